# SPDX-License-Identifier: GPL-3.0-or-later
"""The fence behind the gate: a key that is limited reaches nothing but what it is limited to, by any address.

Addresses that name a call, a session, a campaign or an agent are looked at here; lists and bodies by their routes. An
address that is not in the table is closed to such keys: who adds a route and forgets this file has locked it.
"""

import json
import re
import time
from collections import OrderedDict
from typing import Literal

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.control import CallControl
from gateway.api.problems import problem_of, problem_response
from gateway.api.reach import EVERYTHING, Owner, Reach, reach_of
from gateway.errors import NoSuchCall, NoSuchCampaign, StoreError
from gateway.events import Event
from gateway.store import SessionStore
from gateway.store.campaign_records import CampaignRecord

_Named = Literal["call", "campaign", "agent", ""]
_READING = ("GET", "HEAD", "OPTIONS")
_OPEN: tuple[tuple[str, tuple[str, ...] | None, _Named], ...] = (
    (r"/calls", None, ""),
    (r"/calls/(?P<name>[^/]+)(?:/.*)?", None, "call"),
    (r"/sessions", _READING, ""),
    (r"/sessions/(?P<name>[^/]+)(?:/.*)?", None, "call"),
    (r"/events", None, ""),
    (r"/campaigns", None, ""),
    (r"/campaigns/(?P<name>[^/]+)(?:/.*)?", None, "campaign"),
    (r"/do-not-call(?:/.*)?", None, ""),
    (r"/agents", _READING, ""),
    (r"/agents/(?P<name>[^/]+)(?:/.*)?", _READING, "agent"),
    (r"/tokens", None, ""),
    (r"/stream/(?:start|stop|schema)", None, ""),
    (r"/webrtc/(?:offer|ice-servers)", None, ""),
    (r"/webrtc/calls/(?P<name>[^/]+)(?:/.*)?", None, "call"),
    (r"/latency", _READING, ""),
    (r"/trunks", _READING, ""),
    (r"/services", _READING, ""),
    (r"/work", _READING, ""),
)
"""Below the base path; the first that matches is meant."""
_REMEMBERED = 2_000
_REMEMBERED_S = 2.0
"""A call may be handed to somebody else's agent."""


class Owners:
    """Whose calls and campaigns are, also when they are over."""

    def __init__(self, calls: CallControl, store: SessionStore) -> None:
        self._calls = calls
        self._store = store
        self._lately: OrderedDict[str, tuple[float, Owner | None]] = OrderedDict()
        """For feeds, which ask again and again."""

    async def of_call(self, call_id: str) -> Owner | None:
        """None: there is none. Raises `StoreError`."""
        try:
            call = await self._calls.get(call_id)
        except NoSuchCall:
            session = await self._store.summary(call_id)
            return None if session is None else Owner(session.agent, session.trunk, session.metadata)
        return Owner(call.agent, call.trunk, call.metadata)

    async def of_campaign(self, campaign_id: str) -> Owner | None:
        """Likewise."""
        try:
            return owner_by(await self._store.campaigns.get(campaign_id))
        except NoSuchCampaign:
            return None

    async def admits(self, reach: Reach, event: Event) -> bool:
        """Whether whoever has this reach is told of the event. Raises `StoreError`."""
        if not reach.is_limited:
            return True
        if event.call_id:
            return reach.covers(await self._of_call_lately(event.call_id))
        data = event.data
        if "campaign_id" in data:
            return reach.covers(await self.of_campaign(str(data["campaign_id"])))
        match event.kind, data.get("kind"):
            case "work.progress", "knowledge" | "phrases":
                return reach.covers_agent(str(data["name"]))
            case "work.progress", "campaign_list":
                return reach.covers(await self.of_campaign(str(data["name"])))
        return "trunk" in data and reach.covers_trunk(str(data["trunk"]))

    async def _of_call_lately(self, call_id: str) -> Owner | None:
        now = time.monotonic()
        asked_at, owner = self._lately.get(call_id, (-_REMEMBERED_S, None))
        if now - asked_at >= _REMEMBERED_S:
            owner = await self.of_call(call_id)
            self._lately[call_id] = now, owner
            self._lately.move_to_end(call_id)
            if len(self._lately) > _REMEMBERED:
                self._lately.popitem(last=False)
        return owner


def owner_by(campaign: CampaignRecord) -> Owner:
    """Whose it is, by its policy (which is not parsed here: `gateway.campaigns` needs this package)."""
    policy = json.loads(campaign.policy)
    return Owner(policy.get("agent"), policy.get("trunk"), policy.get("metadata") or {})


class Fence:
    """ASGI middleware, inside `BearerGate`."""

    def __init__(self, app: ASGIApp, *, owners: Owners, prefix: str) -> None:
        self._app = app
        self._owners = owners
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reach = reach_of(HTTPConnection(scope)) if scope["type"] != "lifespan" else EVERYTHING
        if not reach.is_limited:
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._prefix)
        try:
            is_within = await self._is_within(reach, scope.get("method", "GET"), path)
        except StoreError as error:
            refusal = problem_of(error)
        else:
            if is_within:
                await self._app(scope, receive, send)
                return
            refusal = problem_response(404)
        if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _is_within(self, reach: Reach, method: str, path: str) -> bool:
        for pattern, methods, named in _OPEN:
            found = re.fullmatch(pattern, path)
            if found is None or (methods is not None and method not in methods):
                continue
            match named:
                case "call":
                    return reach.covers(await self._owners.of_call(found["name"]))
                case "campaign":
                    return reach.covers(await self._owners.of_campaign(found["name"]))
                case "agent":
                    return reach.covers_agent(found["name"])
            return True
        return False
