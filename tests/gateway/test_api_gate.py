# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys with scopes, how often they may ask, and the tokens that they give out."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.api import bind_http, create_app, serving
from gateway.api.gate import BearerGate
from gateway.api.keyring import KeyRing, key_hash
from gateway.api.scopes import ALL_SCOPES, scope_needed
from gateway.errors import TokenRefused
from gateway.rates import Rate
from gateway.store import ApiKeyRecord
from gateway.streams.tokens import StreamTokens
from gateway.telemetry import Metrics
from gateway.webrtc.tokens import PageTokens
from tests.gateway.test_api_calls import KEY, Api, ScriptedCalls, running_api

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def made(api: Api, *scopes: str, **more: object) -> dict[str, Any]:
    answer = await api.client.post("/api/v1/keys", json={"name": "desk", "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert isinstance(created, dict)
    return created


async def test_a_key_does_what_its_scopes_say_and_is_told_which_one_is_missing(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "10"})
    key = (await made(api, "calls:read"))["key"]
    assert (await api.stranger.get("/api/v1/calls", headers=bearer(key))).status_code == 200
    refused = await api.stranger.post("/api/v1/calls/call_1/hangup", headers=bearer(key))
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:parley:problem:scope-missing"
    assert refused.json()["detail"] == "the key has not the scope calls:write"
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="calls:write"'
    assert api.calls.asked == []


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/calls", "calls:read"),
        ("HEAD", "/calls/c1", "calls:read"),
        ("POST", "/calls", "calls:write"),
        ("POST", "/calls/c1/transfer", "calls:write"),
        ("PATCH", "/calls/c1", "calls:write"),
        ("GET", "/calls/c1/stream", "streams"),
        ("POST", "/stream/start", "streams"),
        ("POST", "/tokens", "streams"),
        ("GET", "/sessions/c1/recording", "sessions:read"),
        ("DELETE", "/sessions/c1", "sessions:erase"),
        ("PUT", "/sessions/c1", "admin"),
        ("GET", "/events", "events"),
        ("POST", "/keys", "admin"),
        ("GET", "/callsigns", "admin"),
        ("GET", "", "admin"),
        ("GET", "/whatever/comes/next", "admin"),
    ],
)
def test_every_address_needs_one_scope_and_an_unknown_one_the_highest(method: str, path: str, scope: str) -> None:
    assert scope_needed(method, path) == scope


@pytest.mark.parametrize(
    "purpose", [{"stream": {"stream_url": "wss://b.example/"}}, {"flow": {"flow_url": "https://b.example/"}}]
)
async def test_a_call_for_a_backend_needs_the_scope_of_streams_too(api: Api, purpose: dict[str, Any]) -> None:
    order = {"to": "10", **purpose}
    caller = (await made(api, "calls:write"))["key"]
    refused = await api.stranger.post("/api/v1/calls", headers=bearer(caller), json=order)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:parley:problem:scope-missing"
    assert refused.json()["detail"] == "the key has not the scope streams"
    assert api.calls.orders == []
    assert (await api.stranger.post("/api/v1/calls", headers=bearer(caller), json={"to": "10"})).status_code == 201
    both = (await made(api, "calls:write", "streams"))["key"]
    assert (await api.stranger.post("/api/v1/calls", headers=bearer(both), json=order)).status_code == 201


async def test_only_an_admin_makes_keys_and_an_admin_may_do_everything(api: Api) -> None:
    clerk = (await made(api, *(ALL_SCOPES - {"admin", "audit"})))["key"]
    for answer in (
        await api.stranger.post("/api/v1/keys", headers=bearer(clerk), json={"name": "x", "scopes": ["admin"]}),
        await api.stranger.get("/api/v1/keys", headers=bearer(clerk)),
        await api.stranger.delete("/api/v1/keys/key_1", headers=bearer(clerk)),
    ):
        assert answer.status_code == 403
    admin = (await made(api, "admin"))["key"]
    assert (await api.stranger.get("/api/v1/sessions", headers=bearer(admin))).status_code == 200


async def test_a_key_is_shown_once_and_kept_as_its_hash(api: Api, tmp_path: Path) -> None:
    created = await made(api, "calls:read")
    listed = (await api.client.get("/api/v1/keys")).json()["keys"]
    assert [key["key_id"] for key in listed] == [created["key_id"]]
    assert "key" not in listed[0]
    await api.store.flush()
    with closing(sqlite3.connect(tmp_path / "parley.db")) as database:
        rows = "\n".join(database.iterdump())
    assert created["key"] not in rows
    assert hashlib.sha256(created["key"].encode()).hexdigest() in rows
    assert f"'api_key_created','{created['key_id']}'" in rows


async def test_a_revoked_key_opens_nothing_from_then_on(api: Api) -> None:
    created = await made(api, "calls:read")
    assert (await api.client.delete(f"/api/v1/keys/{created['key_id']}")).status_code == 204
    assert (await api.stranger.get("/api/v1/calls", headers=bearer(created["key"]))).status_code == 401
    assert (await api.client.delete(f"/api/v1/keys/{created['key_id']}")).status_code == 404
    assert (await api.client.delete("/api/v1/keys/configured-1")).status_code == 404
    assert (await api.client.get("/api/v1/keys")).json() == {"keys": []}


async def test_keys_outlive_the_process(api: Api, tmp_path: Path) -> None:
    created = await made(api, "calls:read", ttl_days=1)
    ring = KeyRing([], await api.store.api_keys())
    holder = ring.holder(created["key"].encode(), datetime.now(UTC))
    assert holder is not None
    assert (holder.key_id, holder.scopes) == (created["key_id"], ("calls:read",))
    assert ring.holder(created["key"].encode(), datetime.now(UTC) + timedelta(days=2)) is None


def test_a_configured_key_may_stand_there_as_its_hash() -> None:
    ring = KeyRing(["clear", f"sha256:{key_hash(b'hidden').upper()}"])
    for key in (b"clear", b"hidden"):
        holder = ring.holder(key, NOW)
        assert holder is not None
        assert set(holder.scopes) == ALL_SCOPES
    assert ring.holder(key_hash(b"hidden").encode(), NOW) is None
    assert ring.holder(f"sha256:{key_hash(b'hidden')}".encode(), NOW) is None
    assert ring.holder(b"", NOW) is None


def test_removing_a_key_leaves_the_others() -> None:
    ring = KeyRing(["clear"])
    ring.add(key_hash(b"one"), ApiKeyRecord(key_id="key_1", name="one", scopes=()))
    ring.add(key_hash(b"two"), ApiKeyRecord(key_id="key_2", name="two", scopes=()))
    ring.remove("key_1")
    assert [ring.holder(key, NOW) is not None for key in (b"clear", b"one", b"two")] == [True, False, True]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "scopes": []},
        {"name": "", "scopes": ["admin"]},
        {"name": "x", "scopes": ["root"]},
        {"key": "x"},
    ],
)
async def test_a_faulty_order_for_a_key_is_a_problem(api: Api, body: dict[str, object]) -> None:
    assert (await api.client.post("/api/v1/keys", json=body)).status_code == 422


@asynccontextmanager
async def limited(folder: Path, rate: Rate) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(folder) as api:
        keys = KeyRing([KEY, "other"])
        app = create_app(
            ScriptedCalls(),
            api.store,
            Metrics(),
            api.events,
            keys=keys,
            tokens=StreamTokens(),
            pages=PageTokens(),
            rate=rate,
            ready=lambda: [],
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://parley") as client:
            yield client


async def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_not_kept_waiting(tmp_path: Path) -> None:
    async with limited(tmp_path, Rate(per_s=0.01, burst=2)) as client:
        for _ in range(2):
            assert (await client.get("/api/v1/calls", headers=bearer(KEY))).status_code == 200
        late = await client.get("/api/v1/calls", headers=bearer(KEY))
        assert late.status_code == 429
        assert 90 <= int(late.headers["retry-after"]) <= 101
        assert late.headers["content-type"] == "application/problem+json"
        assert (await client.get("/api/v1/calls", headers=bearer("other"))).status_code == 200
        assert (await client.get("/api/v1/calls", headers=bearer("wrong"))).status_code == 401


async def test_a_token_is_for_a_call_that_exists(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "10"})
    order = {"scope": "stream", "call_id": "call_1", "ttl_s": 5}
    issued = await api.client.post("/api/v1/tokens", json=order)
    assert issued.status_code == 201
    assert {**issued.json(), "token": ""} == {"token": "", "scope": "stream", "call_id": "call_1", "expires_in_s": 5}
    with pytest.raises(TokenRefused, match="another call"):
        api.tokens.redeem(issued.json()["token"], "call_2", 0.0)
    nowhere = await api.client.post("/api/v1/tokens", json={**order, "call_id": "call_9"})
    assert nowhere.status_code == 404
    assert nowhere.json()["type"] == "urn:parley:problem:no-such-call"


@pytest.mark.parametrize(
    "body", [{}, {"scope": "admin"}, {"scope": "stream", "ttl_s": 0}, {"scope": "stream", "ttl_s": 3601}]
)
async def test_a_faulty_order_for_a_token_is_a_problem(api: Api, body: dict[str, object]) -> None:
    assert (await api.client.post("/api/v1/tokens", json=body)).status_code == 422


async def test_giving_out_tokens_needs_the_scope_streams(api: Api) -> None:
    key = (await made(api, "calls:write"))["key"]
    refused = await api.stranger.post("/api/v1/tokens", json={"scope": "stream"}, headers=bearer(key))
    assert (refused.status_code, refused.json()["detail"]) == (403, "the key has not the scope streams")


async def test_when_too_many_tokens_are_outstanding_the_next_comes_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streams.tokens._MAX_TOKENS", 1)
    assert (await api.client.post("/api/v1/tokens", json={"scope": "listen"})).status_code == 201
    full = await api.client.post("/api/v1/tokens", json={"scope": "listen"})
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    ("path", "query", "passes"),
    [
        ("/api/v1/calls/c1/stream", b"token=x", True),
        ("/api/v1/calls/c1/stream", b"codec=l16&token=x", True),
        ("/api/v1/calls/c1/stream", b"codec=token", False),
        ("/api/v1/calls/c1/stream", b"a=1&" * 100 + b"token=x", False),
        ("/api/v1/calls/c1/stream/x", b"token=x", False),
        ("/api/v1/calls/c1/hangup", b"token=x", False),
        ("/api/v1/events", b"token=x", False),
    ],
)
async def test_a_token_in_the_address_opens_one_address_only(path: str, query: bytes, passes: bool) -> None:
    reached, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    async def send(message: Any) -> None:
        sent.append(message)

    gate = BearerGate(app, keys=KeyRing([KEY]), rate=None, prefix="/api/v1")
    scope = {"type": "websocket", "path": path, "query_string": query, "headers": []}
    await gate(scope, None, send)  # type: ignore[arg-type]
    assert bool(reached) is passes
    assert sent == ([] if passes else [{"type": "websocket.close", "code": 1008}])
    with_key = {**scope, "headers": [(b"authorization", f"Bearer {KEY}".encode())]}
    await gate(with_key, None, send)  # type: ignore[arg-type]
    assert reached[-1] == path


async def test_a_websocket_where_there_is_none_is_answered_and_no_error_of_ours(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    listener = bind_http("127.0.0.1", 0)
    async with serving(api.app, listener):
        for path, status in (("/", 404), ("/metrics", 404), ("/api/v1/events", 401)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{listener.getsockname()[1]}{path}")
            assert refused.value.response.status_code == status
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
