# SPDX-License-Identifier: GPL-3.0-or-later
"""What page tokens, which anybody may have, cannot be used for: many calls at once, many WebSockets, for ever."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.e2e.gateway_process import API_KEY, GatewayProcess
from tests.gateway.webrtc.offers import CHROMIUM

_SETTINGS = """
[webrtc]
stun = "192.0.2.55:3478"
public_agents = ["receptionist"]
calls_per_address = 2
[agents.receptionist]
"""
"""Nobody answers there: an offer takes two seconds, and others come meanwhile."""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), _SETTINGS, record=False) as gateway:
        yield gateway


def client(gateway: GatewayProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://{gateway.http_address}/api/v1", timeout=20)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def offered(api: httpx.AsyncClient, tokens: list[str]) -> list[httpx.Response]:
    """All at once."""
    return await asyncio.gather(
        *(api.post("/webrtc/offer", headers=bearer(token), json={"sdp": CHROMIUM}) for token in tokens)
    )


async def hung_up(api: httpx.AsyncClient, answers: list[httpx.Response]) -> list[int]:
    """The statuses, sorted; calls that came of it are ended."""
    for one in answers:
        if one.status_code == 201:
            await api.delete(one.headers["location"].removeprefix("/api/v1"), headers=bearer(API_KEY))
    return sorted(one.status_code for one in answers)


async def test_a_page_token_opens_one_call_however_many_offers_come_at_once(slow: GatewayProcess) -> None:
    async with client(slow) as api:
        order = {"scope": "call", "agent": "receptionist", "ttl_s": 60}
        token: str = (await api.post("/tokens", headers=bearer(API_KEY), json=order)).json()["token"]
        assert await hung_up(api, await offered(api, [token] * 8)) == [201] + [503] * 7


async def test_an_address_opens_so_many_however_many_tokens_it_has(slow: GatewayProcess) -> None:
    async with client(slow) as api:
        origin = {"Origin": f"http://{slow.http_address}"}
        tokens = []
        for _ in range(3):
            answer = await api.post("/webrtc/token", headers=origin, json={})
            if answer.status_code == 201:
                tokens.append(answer.json()["token"])
        assert answer.status_code == 429
        assert await hung_up(api, await offered(api, tokens * 4)) == [201] * 2 + [503] * 6


async def test_a_page_follows_its_call_a_few_times_at_once_and_until_it_is_over(gateway: GatewayProcess) -> None:
    async with client(gateway) as api, AsyncExitStack() as stack:
        order = {"scope": "call", "agent": "receptionist", "ttl_s": 60}
        token: str = (await api.post("/tokens", headers=bearer(API_KEY), json=order)).json()["token"]
        (answer,) = await offered(api, [token])
        call_id = answer.json()["call_id"]
        address = f"ws://{gateway.http_address}/api/v1/webrtc/calls/{call_id}/events"
        feeds = [await stack.enter_async_context(connect(address, additional_headers=bearer(token))) for _ in range(3)]
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, additional_headers=bearer(token))
        assert refused.value.response.status_code == 503
        await api.delete(f"/webrtc/calls/{call_id}", headers=bearer(token))
        for feed in feeds:
            async with asyncio.timeout(10):
                told: list[dict[str, Any]] = [json.loads(message) async for message in feed]
            assert [one["kind"] for one in told] == ["feed.started", "call.ended"]
            assert feed.close_code == 1000
