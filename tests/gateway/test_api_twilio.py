# SPDX-License-Identifier: GPL-3.0-or-later
"""Twilio's REST API as far as backends of its Media Streams use it, over HTTP as their serializers speak it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from gateway.api import CallInfo
from gateway.api.orders import HangUpOrder
from gateway.api.reach import EVERYTHING
from gateway.api.twilio import WRONG_PASSWORDS, twilio_router
from gateway.errors import NoSuchCall
from gateway.rates import Rate
from gateway.streams.twilio import call_sid
from tests.gateway.test_api_calls import KEY, STARTED, Api, ScriptedCalls, running_api

CALL_ID = "call_0123456789abcdef0123"
ACCOUNT = "AC" + "5" * 32
URL = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{call_sid(CALL_ID)}.json"
BASIC = httpx.BasicAuth(ACCOUNT, KEY)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as api:
        api.calls.live[CALL_ID] = CallInfo(
            call_id=CALL_ID,
            direction="inbound",
            from_="+15550100",
            to="+15550101",
            state="active",
            started_at=STARTED,
            answered_at=STARTED,
        )
        yield api


async def test_status_completed_ends_the_call(api: Api) -> None:
    answer = await api.stranger.post(URL, auth=BASIC, data={"Status": "completed"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert api.calls.asked == [("get", CALL_ID), ("hangup", CALL_ID)]
    resource = answer.json()
    assert {key: resource[key] for key in ("sid", "account_sid", "status", "from", "to", "direction")} == {
        "sid": call_sid(CALL_ID),
        "account_sid": ACCOUNT,
        "status": "completed",
        "from": "+15550100",
        "to": "+15550101",
        "direction": "inbound",
    }
    assert resource["start_time"] == "Sun, 22 Nov 2026 12:00:00 +0000"


async def test_a_call_that_is_over_is_404_with_twilios_code(api: Api) -> None:
    api.calls.live.clear()
    answer = await api.stranger.post(URL, auth=BASIC, data={"Status": "completed"})
    assert answer.status_code == 404
    assert answer.json() == {
        "code": 20404,
        "message": f"The requested resource {URL} was not found",
        "more_info": "https://www.twilio.com/docs/errors/20404",
        "status": 404,
    }


async def test_a_call_that_ends_meanwhile_is_404_too(api: Api) -> None:
    hang_up = api.calls.hangup

    async def too_late(call_id: str, order: HangUpOrder | None = None) -> None:
        await hang_up(call_id, order)
        raise NoSuchCall(call_id)

    api.calls.hangup = too_late  # type: ignore[method-assign]
    answer = await api.stranger.post(URL, auth=BASIC, data={"Status": "completed"})
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


@pytest.mark.parametrize("sid", ["CA" + "0" * 32, CALL_ID, "x" * 500, "%00"])
async def test_a_foreign_sid_is_404(api: Api, sid: str) -> None:
    answer = await api.stranger.post(URL.replace(call_sid(CALL_ID), sid), auth=BASIC, data={"Status": "completed"})
    assert answer.status_code == 404
    assert api.calls.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic AC:" + KEY},
        {"Authorization": "Basic " + "QUM6b3RoZXI="},
        {"Authorization": "Basic " + "QUM6"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_an_api_key_as_password_nothing_happens(api: Api, method: str, headers: dict[str, str]) -> None:
    answer = await api.stranger.request(method, URL, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert answer.headers["www-authenticate"] == 'Basic realm="Parley"'
    assert api.calls.asked == []


async def test_the_configured_auth_token_is_a_password_too_and_of_this_alone(tmp_path: Path) -> None:
    async with running_api(tmp_path, twilio_auth_token="token-of-the-backend") as api:
        ours = httpx.BasicAuth(ACCOUNT, "token-of-the-backend")
        assert (await api.stranger.get(URL, auth=ours)).json()["code"] == 20404
        answer = await api.stranger.get("/api/v1/calls", headers={"Authorization": "Bearer token-of-the-backend"})
        assert answer.status_code == 401


async def test_a_standing_call_can_be_looked_at(api: Api) -> None:
    answer = await api.stranger.get(URL, auth=BASIC)
    assert (answer.status_code, answer.json()["status"]) == (200, "in-progress")


@pytest.mark.parametrize("body", [b"", b"Status=busy", b"Url=https://example.com", b"\xff", b"&".join([b"a=1"] * 500)])
async def test_nothing_else_can_be_changed(api: Api, body: bytes) -> None:
    answer = await api.stranger.post(URL, auth=BASIC, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 20001)
    assert "hangup" not in [asked[0] for asked in api.calls.asked]


@pytest.mark.parametrize(("state", "status_code"), [("offered", 200), ("dialing", 200), ("active", 400), ("held", 400)])
async def test_only_a_call_that_rings_can_be_canceled(api: Api, state: str, status_code: int) -> None:
    api.calls.live[CALL_ID] = api.calls.live[CALL_ID].model_copy(update={"state": state})
    answer = await api.stranger.post(URL, auth=BASIC, data={"Status": "canceled"})
    assert answer.status_code == status_code
    assert ("hangup" in [asked[0] for asked in api.calls.asked]) == (status_code == 200)


async def test_passwords_cannot_be_tried_out(api: Api) -> None:
    statuses: list[int] = []
    for number in range(10 * WRONG_PASSWORDS.burst):  # a slow machine earns another one now and then
        answer = await api.stranger.get(URL, auth=httpx.BasicAuth(ACCOUNT, f"guess-{number}"))
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            break
    assert set(statuses[:-1]) == {401}
    assert len(statuses) > WRONG_PASSWORDS.burst
    assert (answer.status_code, answer.json()["code"]) == (429, 20429)
    assert int(answer.headers["Retry-After"]) >= 1


async def test_a_right_password_is_good_for_as_many_requests_as_a_key() -> None:
    calls = ScriptedCalls()
    app = FastAPI()
    app.include_router(
        twilio_router(calls, lambda password: EVERYTHING if password == KEY else None, Rate(per_s=0.001, burst=2))
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://parley") as client:
        answers = [(await client.get(URL, auth=BASIC)).status_code for _ in range(3)]
    assert answers == [404, 404, 429]
