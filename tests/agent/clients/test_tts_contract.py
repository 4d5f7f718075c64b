# SPDX-License-Identifier: GPL-3.0-or-later
"""What every hosted voice keeps, over real sockets, whatever its service does.

The simulators say each text as long and as loud as it has words (tests/simulators/speaking.py).
"""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest

from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.tts import SpeechChunk
from tests.agent.clients.contract_tts import TTS_VENDORS, TtsClient, TtsServer, TtsVendor
from tests.simulators.http_speech import HttpSpeechService
from tests.simulators.speaking import LEVEL, WORD_MS, Speech
from tests.simulators.websocket_service import WebSocketService

LEG_HZ = 8_000
NEVER_S = 3600.0
GREETING = "Good morning, how can I help?"


@pytest.fixture(params=TTS_VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> TtsVendor:
    found: TtsVendor = request.param
    return found


async def until(true: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.005)


@dataclass
class Scene:
    vendor: TtsVendor
    server: TtsServer
    client: TtsClient
    used: list[int]

    @property
    def speech(self) -> Speech:
        return self.server.speech

    def say(
        self, text: str, leg_hz: int | None = LEG_HZ, voice: str | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self.client.synthesize(text, voice=voice, sample_rate_hz=leg_hz)

    async def heard(self, text: str, leg_hz: int | None = LEG_HZ) -> list[SpeechChunk]:
        async with aclosing(self.say(text, leg_hz)) as chunks:
            return [chunk async for chunk in chunks]

    async def is_heard(self, text: str) -> bool:
        return is_sound_of(text, await self.heard(text))

    async def given_up(self, text: str, *, after: int) -> None:
        """Said, and closed after so many chunks."""
        said = len(self.speech.said)
        async with aclosing(self.say(text)) as chunks:
            for _ in range(after):
                await anext(chunks)
            if not after:
                waiting = asyncio.ensure_future(anext(chunks))
                await until(lambda: len(self.speech.said) > said)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)


def is_sound_of(text: str, chunks: list[SpeechChunk]) -> bool:
    words = len(text.split())
    samples = np.concatenate([chunk.samples for chunk in chunks])
    length = words * WORD_MS * chunks[0].sample_rate_hz // 1000
    return len(samples) == length and bool(np.all(np.abs(samples - LEVEL * min(words, 7)) < LEVEL // 3))


@asynccontextmanager
async def scene(vendor: TtsVendor, speech: Speech | None = None, **changes: object) -> AsyncIterator[Scene]:
    async with vendor.server(speech or Speech()) as server:
        used: list[int] = []
        settings = replace(vendor.settings(server.url), **changes)  # type: ignore[arg-type]
        client = vendor.client(settings, used.append)
        try:
            yield Scene(vendor, server, client, used)
        finally:
            await client.aclose()


async def test_a_clause_is_heard_whole(vendor: TtsVendor) -> None:
    async with scene(vendor) as s:
        assert await s.is_heard(GREETING)
        assert s.speech.said == [GREETING]


async def test_it_is_heard_while_the_rest_is_still_rendered(vendor: TtsVendor) -> None:
    async with scene(vendor, Speech(every_s=NEVER_S)) as s, aclosing(s.say(GREETING)) as chunks:
        first = await anext(chunks)
        assert len(first.samples) > 0
        assert s.speech.finished == []


@pytest.mark.parametrize("chunk_bytes", [1, 7, 4096])
async def test_samples_may_be_cut_anywhere(vendor: TtsVendor, chunk_bytes: int) -> None:
    async with scene(vendor, Speech(chunk_bytes=chunk_bytes)) as s:
        assert await s.is_heard("Certainly.")


@pytest.mark.parametrize("leg_hz", [8_000, 16_000, 24_000, 48_000])
async def test_it_is_rendered_at_the_legs_rate_where_the_service_has_it(vendor: TtsVendor, leg_hz: int) -> None:
    async with scene(vendor) as s:
        chunks = await s.heard(GREETING, leg_hz)
        assert {chunk.sample_rate_hz for chunk in chunks} == {vendor.given_hz(leg_hz)}
        assert is_sound_of(GREETING, chunks)


async def test_speech_for_no_leg_in_particular_is_wide_band(vendor: TtsVendor) -> None:
    async with scene(vendor) as s:
        chunks = await s.heard(GREETING, None)
        assert chunks[0].sample_rate_hz >= 16_000
        assert is_sound_of(GREETING, chunks)


async def test_text_in_any_script_reaches_the_service_as_it_is(vendor: TtsVendor) -> None:
    text = 'Übergrößen "ab" 5 € <sofort> & 日本語 🙂'
    async with scene(vendor) as s:
        assert await s.is_heard(text)
        assert s.speech.said == [text]


async def test_no_words_are_not_asked_for(vendor: TtsVendor) -> None:
    async with scene(vendor) as s:
        assert await s.heard("  ") == []
        assert s.speech.said == []
        assert s.used == []


async def test_a_voice_that_is_named_is_asked_for(vendor: TtsVendor) -> None:
    async with scene(vendor, voice="their-own") as s:
        await s.heard("One.")
        async with aclosing(s.say("Two.", voice="another-one")) as chunks:
            assert [chunk async for chunk in chunks]
        if isinstance(s.server, HttpSpeechService):
            asked = [f"{request.path} {request.body.decode()}" for request in s.server.requests]
        else:
            asked = [f"{upgrade.path} {dict(upgrade.query)}" for upgrade in s.server.upgrades]
            asked = [f"{asked[0]} {s.server.texts[0]}", f"{asked[-1]} {s.server.texts[-1]}"]
        assert "their-own" in asked[0]
        assert "another-one" in asked[-1]


async def test_clauses_one_after_the_other_share_a_connection(vendor: TtsVendor) -> None:
    async with scene(vendor) as s:
        await s.client.warm(sample_rate_hz=LEG_HZ)
        for _ in range(5):
            assert await s.is_heard(GREETING)
        # Where a connection has room for one, another is opened meanwhile, for whoever speaks next.
        assert s.server.connections <= 2


async def test_clauses_at_the_same_time_are_told_apart(vendor: TtsVendor) -> None:
    texts = [" ".join(["word"] * count) for count in (1, 2, 3, 4, 5, 6, 7, 3, 1, 5, 2, 6)]
    async with scene(vendor, Speech(every_s=0.001)) as s:
        assert all(await asyncio.gather(*(s.is_heard(text) for text in texts)))
        assert sorted(s.speech.said) == sorted(texts)
        assert s.server.connections <= len(texts) // vendor.at_once + 2


async def test_a_clause_that_is_given_up_before_its_first_sound_is_not_rendered(vendor: TtsVendor) -> None:
    if not vendor.can_stop:
        return
    async with scene(vendor, Speech(first_s=NEVER_S)) as s:
        await s.given_up(GREETING, after=0)
        await until(lambda: s.speech.cancelled == [GREETING])


async def test_a_clause_that_is_given_up_in_its_middle_is_not_rendered_to_its_end(vendor: TtsVendor) -> None:
    if not vendor.can_stop:
        return
    async with scene(vendor, Speech(every_s=NEVER_S)) as s:
        await s.given_up(GREETING, after=1)
        await until(lambda: s.speech.cancelled == [GREETING])


async def test_nothing_of_a_clause_that_was_given_up_is_heard_in_the_next_one(vendor: TtsVendor) -> None:
    async with scene(vendor, Speech(every_s=0.002, chunk_bytes=101)) as s:
        for _ in range(3):
            await s.given_up("One two three four five six seven", after=1)
            assert await s.is_heard("Certainly.")


async def test_a_caller_who_interrupts_again_and_again_uses_nothing_up(vendor: TtsVendor) -> None:
    async with scene(vendor, Speech(every_s=0.005)) as s:
        for _ in range(15):
            await s.given_up(GREETING, after=1)
        s.speech.every_s = 0.0
        assert await s.is_heard(GREETING)
        if not isinstance(s.server, HttpSpeechService):
            assert s.server.connections <= 15 // vendor.at_once + 3


async def test_a_wrong_key_is_refused_for_good_and_not_told(vendor: TtsVendor) -> None:
    async with scene(vendor, api_key="a-secret-of-ours") as s:
        with pytest.raises(ServiceRejected) as told:
            await s.heard(GREETING)
        assert "secret" not in str(told.value)
        assert "Good" not in str(told.value)
        assert s.speech.said == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_that_has_no_room_may_be_asked_again(vendor: TtsVendor, status: int) -> None:
    async with scene(vendor) as s:
        s.server.faults.refuse = [(status, {"Retry-After": "1"})]
        with pytest.raises(ServiceUnavailable) as told:
            await s.heard(GREETING)
        assert told.value.retryable
        assert await s.is_heard(GREETING)


async def test_a_service_that_is_not_there_is_unavailable(vendor: TtsVendor) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = vendor.client(vendor.settings(url), None)
        await client.warm()  # it only tells the log
        with pytest.raises(ServiceUnavailable):
            await anext(client.synthesize(GREETING, sample_rate_hz=LEG_HZ))
        await client.aclose()


async def test_a_connection_that_was_closed_in_silence_is_replaced_unnoticed(vendor: TtsVendor) -> None:
    async with scene(vendor) as s:
        assert await s.is_heard(GREETING)
        s.server.drop_connections()
        assert await s.is_heard(GREETING)


@pytest.mark.parametrize("how", ["drop", "close"])
async def test_a_clause_whose_connection_ends_before_its_first_sound_is_said_over_another(
    vendor: TtsVendor, how: str
) -> None:
    async with scene(vendor, Speech(endings=[(0, how)])) as s:  # type: ignore[list-item]
        assert await s.is_heard(GREETING)
        assert s.speech.said == [GREETING, GREETING]


@pytest.mark.parametrize("how", ["drop", "close"])
@pytest.mark.parametrize("chunks", [1, 2])
async def test_a_clause_that_breaks_off_is_an_error_after_what_has_come_of_it(
    vendor: TtsVendor, how: str, chunks: int
) -> None:
    async with scene(vendor, Speech(endings=[(chunks, how)], every_s=0.05)) as s:  # type: ignore[list-item]
        heard: list[SpeechChunk] = []

        async def listen() -> None:
            async for chunk in s.say(GREETING):
                heard.append(chunk)

        with pytest.raises(ServiceUnavailable):
            await listen()
        assert heard
        assert s.speech.said == [GREETING]
        s.speech.every_s = 0.0
        assert await s.is_heard(GREETING)


@pytest.mark.parametrize("chunks", [0, 2])
async def test_a_fault_that_the_service_reports_ends_the_clause_alone(vendor: TtsVendor, chunks: int) -> None:
    async with scene(vendor, Speech(endings=[(chunks, "error"), (chunks, "error")], every_s=0.02)) as s:
        with pytest.raises(ServiceError):
            await s.heard(GREETING)
        s.speech.endings.clear()
        s.speech.every_s = 0.0
        assert await s.is_heard(GREETING)


@pytest.mark.parametrize("chunks", [0, 2])
async def test_a_service_that_stalls_is_late(vendor: TtsVendor, chunks: int) -> None:
    async with scene(vendor, Speech(endings=[(chunks, "stall")]), timeout_s=0.5) as s:
        with pytest.raises(ServiceUnavailable):
            await s.heard(GREETING)


async def test_a_clause_without_a_sound_is_an_error(vendor: TtsVendor) -> None:
    # Where only a clause that has begun to sound is given an end, it comes too late.
    async with scene(vendor, Speech(endings=[(0, "end")]), timeout_s=0.5) as s:
        with pytest.raises(ServiceUnavailable, match=r"nothing|no sound"):
            await s.heard(GREETING)


@pytest.mark.parametrize(
    "garbage", ["{", "[]", "null", '{"type": 7, "contextId": [], "audio": 5}', "[" * 5000, '{"type":"done"}']
)
async def test_what_makes_no_sense_harms_nothing(vendor: TtsVendor, garbage: str) -> None:
    async with scene(vendor) as s:
        if isinstance(s.server, WebSocketService):
            s.server.faults.garbage = [garbage]
            assert await s.is_heard(GREETING)


async def test_slow_sound_is_waited_for(vendor: TtsVendor) -> None:
    async with scene(vendor, Speech(first_s=0.3)) as s:
        assert await s.is_heard(GREETING)


async def test_characters_are_counted(vendor: TtsVendor) -> None:
    async with scene(vendor) as s:
        await s.heard(GREETING)
        await s.heard("Yes.")
        assert s.used == [len(GREETING), 4]


async def test_a_warm_client_has_its_connection_before_the_first_clause(vendor: TtsVendor) -> None:
    async with scene(vendor) as s:
        await s.client.warm(sample_rate_hz=LEG_HZ)
        await s.client.warm()
        assert s.server.connections == 1
        if isinstance(s.server, HttpSpeechService):
            assert await s.is_heard(GREETING)
            assert [one.connection for one in s.server.requests if one.method == "POST"] == [1]
        else:
            async with aclosing(s.say(GREETING)) as chunks:
                await anext(chunks)
                assert s.server.texts
                assert len(s.speech.said) == 1


async def test_a_client_that_is_closed_leaves_no_connection_and_no_task(vendor: TtsVendor) -> None:
    before = asyncio.all_tasks()
    async with scene(vendor, Speech(first_s=NEVER_S)) as s:
        await s.client.warm()
        asking = asyncio.ensure_future(s.heard(GREETING))
        await until(lambda: bool(s.speech.said))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await s.client.aclose()
    await until(lambda: not {task for task in asyncio.all_tasks() - before if "for speech" in task.get_name()})
