# SPDX-License-Identifier: GPL-3.0-or-later
"""A key that is limited to agents, tags or trunks reaches nothing else, by any address; and roles stand for scopes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.api import address_of, bind_http, serving
from gateway.api.control import CallInfo
from gateway.api.latency import latency_router
from gateway.api.reach import TAGS, Owner, Reach, tags_of
from gateway.api.scopes import ALL_SCOPES, ROLES, allows, scope_needed
from gateway.api.services import services_router
from gateway.api.settings import settings_router
from gateway.api.trunks import TrunkInfo, trunks_router
from gateway.config import Config
from gateway.store.records import KeyLimits, SessionSummary, TranscriptEntry
from gateway.streams.twilio import call_sid
from gateway.telemetry.turns import RecentTurns
from tests.gateway.test_api_calls import KEY, Api, running_api

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIMITS = {"only_agents": ["mine"], "only_tags": ["mine"], "only_trunks": ["mine"]}
EVERYTHING_ELSE = sorted(ALL_SCOPES - {"admin", "audit"})
CALLS = {"mine": "call_a1a1a1a1a1a1a1a1a1a1", "rivals": "call_b2b2b2b2b2b2b2b2b2b2"}
MARKS = ("rivals", CALLS["rivals"], "+493012346666")
"""Somewhere in all that is another tenant's."""


@dataclass
class Tenants:
    """Two of them in one gateway, and a key of one."""

    api: Api
    mine: httpx.AsyncClient
    key: str
    campaigns: dict[str, str]


def trunk(name: str) -> TrunkInfo:
    return TrunkInfo(
        name=name,
        profile=None,
        host=f"{name}.example",
        registers=False,
        registered=None,
        is_up=True,
        servers=[],
        calls=0,
        max_calls=0,
        minutes_today=0,
        alarms=[],
    )


@pytest.fixture(params=LIMITS)
async def tenants(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tenants]:
    """`mine` and `theirs`: agents, tags and trunks of these names, each with a call, a session and a campaign."""
    more = (
        latency_router(RecentTurns()),
        trunks_router(lambda: [trunk("mine"), trunk("rivals")]),
        services_router(lambda: []),
        settings_router(Config()),
    )
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(
            running_api(tmp_path, runs_campaigns=False, routers=lambda store, journal: more)
        )
        campaigns = {}
        for whose in ("mine", "rivals"):
            number = "+493012341111" if whose == "mine" else "+493012346666"
            facts: dict[str, Any] = {"agent": whose, "trunk": whose, "metadata": {TAGS: f"all,{whose}"}}
            api.calls.live[CALLS[whose]] = CallInfo(
                call_id=CALLS[whose],
                direction="inbound",
                from_=number,
                to="1",
                state="active",
                started_at=NOON,
                **facts,
            )
            for name in (CALLS[whose], f"session_{whose}"):
                row = SessionSummary(call_id=name, direction="inbound", from_=number, to="1", started_at=NOON, **facts)
                await api.store.begin(row)
                said = TranscriptEntry(role="user", text=f"I am {whose}", started_ms=0, ended_ms=1)
                await api.store.add_transcript(name, said)
            await api.store.finish(f"session_{whose}", NOON, "goodbye")
            policy = {"agent": whose, "trunk": whose, "metadata": {TAGS: whose}}
            made = await api.client.post("/api/v1/campaigns", json={"name": whose, "policy": policy})
            assert made.status_code == 201, made.text
            campaigns[whose] = made.json()["campaign_id"]
            barred = {"number": number, "campaign_id": campaigns[whose]}
            assert (await api.client.post("/api/v1/do-not-call", json=barred)).status_code == 201
            api.events.bus.publish("call.answered", f"session_{whose}", {"codec": f"codec of {whose}"})
            api.events.bus.publish("campaign.started", "", {"campaign_id": campaigns[whose], "name": whose})
            api.events.bus.publish("trunk.state", "", {"trunk": whose, "is_up": True, "cause": "calls"})
        api.events.bus.publish("address.changed", "", {"address": "192.0.2.66", "previous": "rivals"})
        await api.store.flush()
        order = {"name": "limited", "scopes": EVERYTHING_ELSE, request.param: LIMITS[request.param]}
        key = (await api.client.post("/api/v1/keys", json=order)).json()["key"]
        mine = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(api.app, raise_app_exceptions=False),
                base_url="http://parley/api/v1",
                headers={"Authorization": f"Bearer {key}"},
            )
        )
        api.calls.asked.clear()
        yield Tenants(api, mine, key, campaigns)


def addresses(api: Api, tenant: str, campaigns: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Method, path with names of this tenant filled in, and the path as described; of all there are."""
    for described, operations in api.app.openapi()["paths"].items():
        path = described.removeprefix("/api/v1")
        if path == described:
            continue
        name = f"session_{tenant}" if path.startswith("/sessions") else CALLS[tenant]
        filled = path.format(
            call_id=name,
            campaign_id=campaigns[tenant],
            number="+493012346666",
            key_id="key_1",
            name=tenant,
            **dict.fromkeys(("erasure_id", "hold_id", "node_id"), "1"),
        )
        for method in operations:
            yield method.upper(), filled, path


OPEN_TO_ALL = {
    ("GET", "/stream/schema"): "the same for everybody",
    ("GET", "/services"): "empty",
    ("GET", "/webrtc/ice-servers"): "the same for everybody",
}
LISTS = {"/calls", "/sessions", "/events", "/campaigns", "/do-not-call", "/trunks", "/latency", "/work", "/agents"}
BODIES = {"/calls", "/campaigns", "/do-not-call", "/tokens", "/stream/start", "/stream/stop", "/webrtc/offer"}


async def test_no_address_leads_to_what_is_another_tenants(tenants: Tenants) -> None:
    looked_at = 0
    for method, filled, path in addresses(tenants.api, "rivals", tenants.campaigns):
        if (method, path) in OPEN_TO_ALL or (method == "POST" and path in BODIES):
            continue
        answer = await tenants.mine.request(method, filled)
        if method == "GET" and path in LISTS:
            assert answer.status_code == 200, (path, answer.text)
            assert not any(mark in answer.text for mark in MARKS), (path, answer.text)
        else:
            # 403: it needs a scope that such a key cannot have.
            assert answer.status_code in (404, 403), (method, path, answer.text)
            assert not any(mark in answer.text for mark in MARKS), (path, answer.text)
        looked_at += 1
    assert looked_at > 40
    assert {action for action, *_ in tenants.api.calls.asked} <= {"get", "list"}, "nothing was done to their calls"
    assert await tenants.api.store.get("session_rivals") is not None
    assert (await tenants.api.store.campaigns.get(tenants.campaigns["rivals"])).state.value == "draft"
    assert await tenants.api.store.do_not_call.bars("+493012346666", tenants.campaigns["rivals"])


async def test_what_is_ones_own_is_there_at_the_same_addresses(tenants: Tenants) -> None:
    for path, marks in (
        ("/calls", ["call_a1a1a1a1a1a1a1a1a1a1"]),
        ("/calls/call_a1a1a1a1a1a1a1a1a1a1", ["call_a1a1a1a1a1a1a1a1a1a1"]),
        ("/sessions", ["call_a1a1a1a1a1a1a1a1a1a1", "session_mine"]),
        ("/sessions/session_mine", ["I am mine"]),
        ("/campaigns", [tenants.campaigns["mine"]]),
        (f"/campaigns/{tenants.campaigns['mine']}", [tenants.campaigns["mine"]]),
        ("/do-not-call", ["+493012341111"]),
        ("/events", ["codec of mine", tenants.campaigns["mine"]]),
    ):
        answer = await tenants.mine.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert all(mark in answer.text for mark in marks), (path, answer.text)
    assert (await tenants.mine.post("/calls/call_a1a1a1a1a1a1a1a1a1a1/hangup")).status_code == 204
    assert (await tenants.mine.delete("/sessions/session_mine")).status_code == 204


async def test_no_body_names_what_is_another_tenants(tenants: Tenants) -> None:
    theirs = {"agent": "rivals", "profile": "rivals", "metadata": {TAGS: "rivals"}}
    url = "wss://backend.example/"
    policy = {"agent": "rivals", "trunk": "rivals", "metadata": {TAGS: "rivals"}}
    for path, body in (
        ("/calls", {"to": "1", **theirs}),
        ("/calls/call_a1a1a1a1a1a1a1a1a1a1/bridge", {"call_id": "call_b2b2b2b2b2b2b2b2b2b2"}),
        ("/calls/call_a1a1a1a1a1a1a1a1a1a1/supervise", {"supervisor": "call_b2b2b2b2b2b2b2b2b2b2"}),
        ("/calls/call_a1a1a1a1a1a1a1a1a1a1/transfer", {"mode": "attended", "call_id": "call_b2b2b2b2b2b2b2b2b2b2"}),
        ("/stream/start", {"call_id": "call_b2b2b2b2b2b2b2b2b2b2", "stream_url": url}),
        ("/tokens", {"scope": "stream", "call_id": "call_b2b2b2b2b2b2b2b2b2b2"}),
        ("/tokens", {"scope": "listen"}),
        ("/campaigns", {"name": "x", "policy": policy}),
        ("/do-not-call", {"number": "+493012347777"}),
        ("/do-not-call", {"number": "+493012347777", "campaign_id": tenants.campaigns["rivals"]}),
    ):
        answer = await tenants.mine.post(path, json=body)
        # 422: as for an agent or trunk that does not exist.
        assert answer.status_code in (403, 404, 422), (path, answer.text)
        assert answer.json().get("errors") is None, answer.text
    done = {action for action, *_ in tenants.api.calls.asked}
    assert done <= {"get", "list"}, "nothing was done"
    assert tenants.api.calls.orders == []
    assert not await tenants.api.store.do_not_call.bars("+493012347777", tenants.campaigns["rivals"])


async def test_what_is_ordered_is_ones_own_afterwards(tenants: Tenants) -> None:
    placed = await tenants.mine.post("/calls", json={"to": "1"})
    assert placed.status_code == 201, placed.text
    (order,) = tenants.api.calls.orders
    assert "mine" in (order.agent, order.profile, order.metadata.get(TAGS))
    made = await tenants.mine.post("/campaigns", json={"name": "another"})
    assert made.status_code == 201
    assert (await tenants.mine.get(f"/campaigns/{made.json()['campaign_id']}")).status_code == 200


async def test_a_stream_of_another_tenants_call_cannot_be_ended(tenants: Tenants) -> None:
    del tenants.api.calls.live["call_a1a1a1a1a1a1a1a1a1a1"]
    assert (await tenants.mine.post("/stream/stop", json={"stream_id": "stream_1"})).status_code == 404
    assert ("stream_stop", "stream_1") not in tenants.api.calls.asked


async def test_the_feed_tells_nothing_of_other_tenants(tenants: Tenants) -> None:
    begin = tenants.api.events.begin
    told: list[str] = []
    headers = {"Authorization": f"Bearer {tenants.key}"}
    listener = bind_http("127.0.0.1", 0)
    async with serving(tenants.api.app, listener):
        address = f"ws://{address_of(listener)}/api/v1"
        async with connect(f"{address}/events?after={begin}", additional_headers=headers) as feed, asyncio.timeout(10):
            while not told or tenants.campaigns["mine"] not in told[-1]:
                told.append(str(await feed.recv()))
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{address}/calls/call_b2b2b2b2b2b2b2b2b2b2/stream", additional_headers=headers)
        assert refused.value.response.status_code == 404
    assert any("codec of mine" in one for one in told)
    assert not any(mark in one for one in told for mark in MARKS)


async def test_twilios_corner_knows_the_same_limits(tenants: Tenants) -> None:
    for whose, status in (("mine", 200), ("rivals", 404)):
        path = f"/2010-04-01/Accounts/AC/Calls/{call_sid(CALLS[whose])}.json"
        answer = await tenants.api.stranger.get(path, auth=("any", tenants.key))
        assert answer.status_code == status, answer.text


async def test_a_key_with_admin_or_audit_cannot_be_limited_and_a_limited_one_makes_no_keys(tenants: Tenants) -> None:
    for scope in ("admin", "audit", "auditor"):
        order = {"name": "x", "scopes": [scope], "only_agents": ["mine"]}
        assert (await tenants.api.client.post("/api/v1/keys", json=order)).status_code == 422
    assert (await tenants.mine.post("/keys", json={"name": "x", "scopes": ["viewer"]})).status_code == 403


async def test_limits_outlive_the_process_and_are_listed(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        order = {"name": "x", "scopes": ["viewer"], "only_agents": ["a", "b"], "only_tags": ["t"]}
        made = (await api.client.post("/api/v1/keys", json=order)).json()
        ((_, record),) = await api.store.api_keys()
        assert record.only == KeyLimits(agents=("a", "b"), tags=("t",))
        assert made["only"] == {"agents": ["a", "b"], "tags": ["t"], "trunks": []}
        assert record.scopes == ("viewer",)


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("viewer", [("GET", "/calls"), ("GET", "/sessions/x"), ("GET", "/events")], [("POST", "/calls")]),
        ("operator", [("POST", "/calls"), ("GET", "/events")], [("GET", "/sessions/x"), ("POST", "/stream/start")]),
        ("supervisor", [("POST", "/calls/x/supervise"), ("GET", "/sessions/x")], [("DELETE", "/sessions/x")]),
        ("campaigner", [("POST", "/campaigns"), ("GET", "/calls")], [("GET", "/sessions"), ("POST", "/calls")]),
        (
            "auditor",
            [("GET", "/keys"), ("GET", "/settings"), ("GET", "/audit")],
            [("POST", "/keys"), ("GET", "/calls")],
        ),
        ("admin", [("POST", "/keys"), ("DELETE", "/sessions/x"), ("GET", "/audit")], []),
    ],
)
async def test_a_role_may_what_its_scopes_may(
    tmp_path: Path, role: str, may: list[tuple[str, str]], may_not: list[tuple[str, str]]
) -> None:
    assert all(allows([role], scope_needed(*one)) for one in may)
    assert not any(allows([role], scope_needed(*one)) for one in may_not)
    async with running_api(tmp_path) as api:
        made = (await api.client.post("/api/v1/keys", json={"name": "x", "scopes": [role]})).json()
        headers = {"Authorization": f"Bearer {made['key']}"}
        for method, path in may_not:
            answer = await api.stranger.request(method, f"/api/v1{path}", headers=headers)
            assert answer.status_code == 403
        for method, path in may:
            answer = await api.stranger.request(method, f"/api/v1{path}", headers=headers, json={})
            assert answer.status_code not in (401, 403), (method, path)


def test_several_limits_hold_together_and_no_limit_covers_everything() -> None:
    reach = Reach.of(KeyLimits(agents=("a",), tags=("x", "y")))
    assert reach.covers(Owner("a", None, {TAGS: "w, x"}))
    assert not reach.covers(Owner("a", None, {TAGS: "w"}))
    assert not reach.covers(Owner("b", None, {TAGS: "x"}))
    assert not reach.covers(None)
    assert Reach.of(None).covers(None)
    assert Reach.of(KeyLimits()).covers(Owner(None))
    assert tags_of({TAGS: " a,,b "}) == {"a", "b"}
    assert ROLES.keys().isdisjoint(ALL_SCOPES), "admin is a scope"
    assert KEY
