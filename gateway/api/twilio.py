# SPDX-License-Identifier: GPL-3.0-or-later
"""The corner of Twilio's REST API that backends of protocol `twilio` reach for: end the call, or look at it.

    POST, GET /2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}.json

Requests, answers and errors have Twilio's shapes (twilio.com/docs/voice/api/call-resource, /docs/usage/errors), so that
a client only needs another base URL. HTTP Basic: the password is an API key, or `twilio.auth_token`; the user name and
the account may be any, for there is one account here.
"""

import base64
import binascii
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from gateway.api.calls import owner_of_call
from gateway.api.control import CallControl, CallInfo, CallStateName
from gateway.api.reach import Reach
from gateway.errors import NoSuchCall
from gateway.rates import Buckets, Rate
from gateway.streams.twilio import call_id

_NOT_FOUND = 20404
_UNAUTHORIZED = 20003
_BAD_REQUEST = 20001
_NOT_CANCELABLE = 21220
_TOO_MANY_REQUESTS = 20429
_VERSION = "2010-04-01"
_MAX_FIELDS = 100
_MAX_SID_CHARACTERS = 64
WRONG_PASSWORDS = Rate(per_s=1, burst=20)
"""Of one address; after that none of its passwords is looked at, so that they cannot be tried out."""

_STATUS: dict[CallStateName, Literal["ringing", "in-progress", "completed"]] = {
    "offered": "ringing",
    "dialing": "ringing",
    "active": "in-progress",
    "held": "in-progress",
    "ended": "completed",
}


def twilio_router(
    calls: CallControl,
    admits: Callable[[str], Reach | None],
    rate: Rate | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> APIRouter:
    """`admits` judges a password, in constant time: which calls it reaches, None for a wrong one. `rate`: requests of
    one address with one password that is right; None: as many as it likes."""
    wrong, right = Buckets(WRONG_PASSWORDS), None if rate is None else Buckets(rate)
    router = APIRouter(prefix=f"/{_VERSION}/Accounts/{{account_sid}}/Calls", include_in_schema=False)

    async def look_up(request: Request, sid: str) -> CallInfo | JSONResponse:
        now, source = clock(), "" if request.client is None else request.client.host
        if (wait_s := wrong.wait_s(source, now)) > 0:
            return _too_often(wait_s)
        password = _password(request)
        reach = admits(password)
        if reach is None:
            wrong.take(source, now)
            return _error(401, _UNAUTHORIZED, "Authenticate", {"WWW-Authenticate": 'Basic realm="Parley"'})
        if right is not None and (wait_s := right.take(f"{source} {password}", now)) > 0:
            return _too_often(wait_s)
        own_id = call_id(sid)
        try:
            if own_id is not None and reach.covers(owner_of_call(call := await calls.get(own_id))):
                return call
        except NoSuchCall:
            pass
        return _error(404, _NOT_FOUND, f"The requested resource {request.url.path} was not found")

    @router.get("/{sid}.json")
    async def get_call(account_sid: str, sid: str, request: Request) -> JSONResponse:
        """A call that is not over."""
        call = await look_up(request, sid)
        return call if isinstance(call, JSONResponse) else JSONResponse(_resource(call, account_sid, sid))

    @router.post("/{sid}.json")
    async def update_call(account_sid: str, sid: str, request: Request) -> JSONResponse:
        """`Status=completed` ends the call, `Status=canceled` one that rings."""
        call = await look_up(request, sid)
        if isinstance(call, JSONResponse):
            return call
        status = await _status_asked(request)
        if status not in ("completed", "canceled"):
            return _error(400, _BAD_REQUEST, "Status must be completed or canceled: calls can be ended here, no more")
        if status == "canceled" and _STATUS[call.state] != "ringing":
            return _error(400, _NOT_CANCELABLE, "Call is not in a state that can be canceled")
        try:
            await calls.hangup(call.call_id)
        except NoSuchCall:  # over in this very moment
            return _error(404, _NOT_FOUND, f"The requested resource {request.url.path} was not found")
        return JSONResponse({**_resource(call, account_sid, sid), "status": status, "end_time": _date(_now())})

    return router


def _too_often(wait_s: float) -> JSONResponse:
    return _error(429, _TOO_MANY_REQUESTS, "Too Many Requests", {"Retry-After": str(int(wait_s) + 1)})


def _password(request: Request) -> str:
    """Of HTTP Basic (RFC 7617); empty when there is none."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        _, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ""
    return password


async def _status_asked(request: Request) -> str:
    """The form's field `Status`; empty when there is none that can be read."""
    try:
        form = parse_qs((await request.body()).decode(), max_num_fields=_MAX_FIELDS)
    except ValueError:
        return ""
    return form.get("Status", [""])[0]


def _resource(call: CallInfo, account_sid: str, sid: str) -> dict[str, str | None]:
    account_sid = account_sid[:_MAX_SID_CHARACTERS]
    return {
        "sid": sid,
        "account_sid": account_sid,
        "api_version": _VERSION,
        "parent_call_sid": None,
        "to": call.to,
        "from": call.from_,
        "direction": "inbound" if call.direction == "inbound" else "outbound-api",
        "status": _STATUS[call.state],
        "date_created": _date(call.started_at),
        "start_time": None if call.answered_at is None else _date(call.answered_at),
        "end_time": None,
        "uri": f"/{_VERSION}/Accounts/{account_sid}/Calls/{sid}.json",
    }


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    content = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return JSONResponse(content, status, headers)


def _date(moment: datetime) -> str:
    """As RFC 2822 writes it."""
    return format_datetime(moment.astimezone(UTC))


def _now() -> datetime:
    return datetime.now(UTC)
