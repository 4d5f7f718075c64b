# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of hosted voices: there before they are needed, replaced when they end, given up when they are dead."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from agent.clients.deepgram_tts import DeepgramTts
from agent.clients.elevenlabs import ElevenLabsTts
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceError, ServiceLate
from tests.simulators.deepgram_speak import DeepgramSpeakServer
from tests.simulators.elevenlabs import ElevenLabsServer
from tests.simulators.speaking import Speech

LEG_HZ = 8_000
NEVER_S = 3600.0


async def until(true: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def aura(speech: Speech, timeout_s: float = 10.0) -> AsyncIterator[tuple[DeepgramSpeakServer, DeepgramTts]]:
    async with DeepgramSpeakServer(speech) as server:
        settings = ServiceSettings(name="voice", url=server.url, api_key=server.key, timeout_s=timeout_s)
        client = DeepgramTts(settings)
        try:
            yield server, client
        finally:
            await client.aclose()


async def say(client: DeepgramTts | ElevenLabsTts, text: str = "Certainly.") -> int:
    async with aclosing(client.synthesize(text, sample_rate_hz=LEG_HZ)) as chunks:
        return sum([len(chunk.samples) async for chunk in chunks])


async def test_while_one_clause_is_rendered_the_next_ones_connection_is_opened() -> None:
    async with aura(Speech(every_s=NEVER_S)) as (server, client):
        chunks = client.synthesize("Certainly.", sample_rate_hz=LEG_HZ)
        await anext(chunks)
        await until(lambda: server.connections == 2)
        await chunks.aclose()


async def test_a_service_that_counts_clauses_a_minute_is_not_asked_too_often_on_a_connection() -> None:
    async with aura(Speech()) as (server, client):
        for _ in range(45):
            assert await say(client)
        assert len(server.speech.finished) == 45
        flushes = [text for text in server.texts if text["type"] == "Flush"]
        assert len(flushes) == 45
        assert server.connections >= 3


async def test_a_service_that_counts_more_strictly_than_it_says_is_asked_over_another_connection() -> None:
    async with aura(Speech()) as (server, client):
        server.max_flushes = 2
        for _ in range(6):
            assert await say(client)
        assert len(server.speech.finished) == 6


async def test_an_idle_connection_that_is_lost_is_replaced_before_it_is_needed() -> None:
    async with aura(Speech()) as (server, client):
        assert await say(client)
        await until(lambda: server.connections >= 1)
        opened = server.connections
        server.drop_connections()
        await until(lambda: server.connections > opened)


async def test_a_connection_that_said_nothing_for_long_is_not_used_again() -> None:
    async with aura(Speech(endings=[(0, "stall")]), timeout_s=1.2) as (server, client):
        await client.warm(sample_rate_hz=LEG_HZ)
        with pytest.raises(ServiceLate):
            await say(client)
        assert await say(client)
        assert not any(text["type"] == "Clear" for text in server.texts)


async def test_callers_that_wait_share_the_refusal_and_the_service_is_not_stormed() -> None:
    async with aura(Speech()) as (server, client):
        server.faults.refuse = [(503, {})] * 100
        told = await asyncio.gather(*(say(client) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(one, ServiceError) for one in told)
        assert len(server.upgrades) <= 10


async def test_contexts_beyond_a_connections_limit_go_over_another() -> None:
    async with ElevenLabsServer(Speech(first_s=0.2)) as server:
        client = ElevenLabsTts(ServiceSettings(name="voice", url=server.url, api_key=server.key))
        assert all(await asyncio.gather(*(say(client) for _ in range(11))))
        assert len(server.speech.finished) == 11
        assert 3 <= server.connections <= 5
        await client.aclose()
