# SPDX-License-Identifier: GPL-3.0-or-later
"""What every streaming speech recognition keeps, over real sockets, whatever its service does.

The simulators say one word of a script for each 200 ms of sound; silence has no words.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest

from agent.clients.hosted_stt import HostedStream, HostedStt
from agent.errors import ServiceError, ServiceLate, ServiceRejected, ServiceUnavailable
from agent.services.stt import Transcript
from media.frames import PcmSamples
from tests.agent.clients.contract_stt import STT_VENDORS, SttVendor
from tests.simulators.websocket_service import WebSocketService

RATE_HZ = 16_000
SCRIPT = ["What", "are", "your", "opening", "hours", "on", "Monday?", "And", "on", "Sunday?"]


@pytest.fixture(params=STT_VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> SttVendor:
    found: SttVendor = request.param
    return found


def sound(words: float, rate_hz: int = RATE_HZ) -> PcmSamples:
    """Of so many words."""
    return np.full(round(words * 0.2 * rate_hz), 1000, np.int16)


async def until(true: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.005)


@dataclass
class Scene:
    server: WebSocketService
    client: HostedStt
    stream: HostedStream
    partials: list[Transcript]

    def say(self, words: float) -> None:
        """In frames of 20 ms, as a leg gives them."""
        samples = sound(words)
        for begin in range(0, len(samples), RATE_HZ // 50):
            self.stream.push(samples[begin : begin + RATE_HZ // 50])

    async def final(self) -> str:
        return (await self.stream.final()).text


@asynccontextmanager
async def scene(vendor: SttVendor, **changes: object) -> AsyncIterator[Scene]:
    async with vendor.server(SCRIPT, None) as server:
        settings = replace(vendor.settings(server.url), **changes)  # type: ignore[arg-type]
        client = vendor.client(settings)
        partials: list[Transcript] = []
        stream = await client.open(sample_rate_hz=RATE_HZ, on_partial=partials.append)
        try:
            yield Scene(server, client, stream, partials)
        finally:
            await client.aclose()


async def test_what_was_said_comes_as_one_final_transcript(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(5)
        transcript = await s.stream.final()
        assert transcript.text == "What are your opening hours"
        assert transcript.is_final
        assert 0.8 < transcript.confidence <= 1


async def test_words_are_told_while_the_caller_still_speaks(vendor: SttVendor) -> None:
    if not vendor.has_partials:
        return
    async with scene(vendor) as s:
        for _ in range(3):
            s.say(1)
            count = len(s.partials)
            await until(lambda count=count: len(s.partials) > count)  # type: ignore[misc]
        assert all(not partial.is_final for partial in s.partials)
        assert s.partials[-1].text.lower().startswith("what are")


async def test_words_have_their_times_in_the_stream(vendor: SttVendor) -> None:
    if not vendor.times_words:
        return
    async with scene(vendor) as s:
        s.say(2)
        first = await s.stream.final()
        s.stream.next_turn(0)
        s.say(2)
        second = await s.stream.final()
        assert [word.text for word in first.words] == ["What", "are"]
        assert first.words[1].started_ms == pytest.approx(200, abs=60)
        assert second.words[0].started_ms == pytest.approx(400, abs=120)
        assert all(0.8 < word.confidence <= 1 for word in (*first.words, *second.words))


async def test_more_speech_after_a_question_is_added(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(3)
        assert await s.final() == "What are your"
        s.say(2)
        assert await s.final() == "What are your opening hours"


async def test_asking_twice_without_more_speech_costs_nothing(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(3)
        first = await s.final()
        count = len(s.server.texts) + len(s.server.binaries)
        assert await s.final() == first
        assert len(s.server.texts) + len(s.server.binaries) == count


async def test_turns_are_told_apart(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(7)
        assert await s.final() == "What are your opening hours on Monday?"
        s.stream.next_turn(0)
        s.say(3)
        assert await s.final() == "And on Sunday?"


async def test_nothing_of_a_forgotten_turn_comes_into_the_next_one(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(4)  # a sound that was no turn: nobody asks
        s.stream.next_turn(0)
        s.say(3)
        assert await s.final() == "hours on Monday?"


async def test_silence_has_no_words_and_is_told_soon(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.stream.push(np.zeros(RATE_HZ, np.int16))
        assert await s.final() == ""
        assert await s.final() == ""
        s.say(1)
        assert await s.final() == "What"


async def test_a_question_that_is_withdrawn_harms_nothing(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(2)
        asking = asyncio.create_task(s.stream.final())
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        s.say(3)
        assert await s.final() == "What are your opening hours"


async def test_a_short_rest_is_heard_too(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(1)
        s.stream.push(sound(0.15))
        s.stream.push(sound(0.85))
        s.stream.push(sound(1.05))  # the last 10 ms make no chunk
        assert await s.final() == "What are your"


async def test_audio_at_the_rate_of_the_telephone_is_taken_as_it_is_or_converted(vendor: SttVendor) -> None:
    async with vendor.server(SCRIPT, None) as server:
        client = vendor.client(vendor.settings(server.url))
        stream = await client.open(sample_rate_hz=8000, on_partial=lambda _: None)
        stream.push(sound(4.2, 8000))
        assert (await stream.final()).text == "What are your opening"
        await client.aclose()


async def test_hints_reach_the_service(vendor: SttVendor) -> None:
    async with vendor.server(SCRIPT, None) as server:
        client = vendor.client(vendor.settings(server.url))
        hints = ("Zürich", "Dr. Lee")
        stream = await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None, hints=hints, language="de")
        stream.push(sound(1))
        assert (await stream.final()).text == "What"  # some are told with the first sound
        told = f"{server.upgrades[-1].query} {server.texts}"
        await client.aclose()
        assert "Zürich" in told or "Z\\u00fcrich" in told
        assert "Dr. Lee" in told


async def test_a_wrong_key_is_refused_for_good_and_not_told(vendor: SttVendor) -> None:
    async with vendor.server(SCRIPT, None) as server:
        client = vendor.client(vendor.settings(server.url, key="wrong-secret"))
        with pytest.raises(ServiceRejected) as refused:
            await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
        assert "wrong-secret" not in str(refused.value)
        await client.aclose()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_that_has_no_room_may_be_asked_again(vendor: SttVendor, status: int) -> None:
    async with vendor.server(SCRIPT, None) as server:
        server.faults.refuse.append((status, {"Retry-After": "1"}))
        client = vendor.client(vendor.settings(server.url))
        with pytest.raises(ServiceUnavailable):
            await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
        stream = await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
        stream.push(sound(1))
        assert (await stream.final()).text == "What"
        await client.aclose()


async def test_a_service_that_is_not_there_is_unavailable(vendor: SttVendor) -> None:
    client = vendor.client(vendor.settings("ws://127.0.0.1:9"))
    with pytest.raises(ServiceUnavailable):
        await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)


@pytest.mark.parametrize("lost_after", [0, 1, 3])
async def test_a_lost_connection_is_replaced_and_no_word_is_lost_or_said_twice(
    vendor: SttVendor, lost_after: int
) -> None:
    async with scene(vendor) as s:
        before = len(s.server.upgrades)
        for number in range(5):
            s.say(1)
            await asyncio.sleep(0.01)
            if number == lost_after:
                s.server.sessions[-1]._connection.transport.abort()
        assert await s.final() == "What are your opening hours"
        assert len(s.server.upgrades) == before + 1


async def test_a_connection_lost_while_the_final_words_are_awaited_is_replaced(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(3)
        s.server.faults.is_deaf = True
        asking = asyncio.create_task(s.stream.final())
        await asyncio.sleep(0.05)
        s.server.faults.is_deaf = False
        s.server.sessions[-1]._connection.transport.abort()
        assert (await asking).text == "What are your"


async def test_a_connection_closed_in_good_order_is_replaced(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(2)
        await s.server.sessions[-1].close(1011, "try again")
        await until(lambda: len(s.server.upgrades) == 2)
        s.say(2)
        assert await s.final() == "What are your opening"


async def test_a_service_that_stays_away_is_lost_in_the_end(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.say(2)
        s.server.faults.refuse += [(503, {})] * 20
        s.server.sessions[-1]._connection.transport.abort()
        with pytest.raises(ServiceUnavailable):
            await s.final()
        with pytest.raises(ServiceError):
            s.say(1)


async def test_a_service_that_lets_us_in_and_throws_us_out_is_not_asked_for_ever(
    vendor: SttVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.clients.hosted_stt._RECONNECT_AFTER_S", (0.0, 0.05, 0.1))
    async with scene(vendor, timeout_s=5.0) as s:
        s.server.faults.close_at += [(1, 1011, "no room")] * 50
        s.say(2)
        s.server.sessions[-1].drop()
        with pytest.raises(ServiceUnavailable):
            await s.final()
        assert len(s.server.upgrades) <= 8


async def test_a_service_that_closes_as_soon_as_it_listens_is_noticed(vendor: SttVendor) -> None:
    async with vendor.server(SCRIPT, None) as server:
        server.faults.close_at.append((0, 1011, "no room"))
        client = vendor.client(vendor.settings(server.url, timeout_s=5.0))
        with contextlib.suppress(ServiceUnavailable):  # or it is replaced
            stream = await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
            stream.push(sound(2))
            assert (await stream.final()).text == "What are"
        await client.aclose()


async def test_a_service_that_does_not_answer_is_late(vendor: SttVendor) -> None:
    async with scene(vendor, timeout_s=0.3) as s:
        s.say(1)
        await asyncio.sleep(0.1)
        s.server.faults.is_deaf = True
        s.say(1.1)
        if vendor.has_partials:
            with pytest.raises(ServiceLate):
                await s.final()


@pytest.mark.parametrize("vendor", [one for one in STT_VENDORS if one.says_ready], ids=lambda vendor: vendor.name)
async def test_a_service_that_does_not_begin_is_late(vendor: SttVendor) -> None:
    async with vendor.server(SCRIPT, None) as server:
        server.faults.is_deaf = True
        client = vendor.client(vendor.settings(server.url, timeout_s=0.2))
        with pytest.raises(ServiceLate):
            await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
        await client.aclose()


@pytest.mark.parametrize(
    "garbage",
    ["no JSON", "[]", "null", '{"type": 7}', "{" * 50_000, b"\x00\xff\x00", '{"type": "Results", "channel": []}'],
    ids=["text", "list", "null", "number", "nested", "binary", "wrong shape"],
)
async def test_what_makes_no_sense_harms_nothing(vendor: SttVendor, garbage: str | bytes) -> None:
    async with scene(vendor) as s:
        s.server.faults.garbage.append(garbage)
        s.say(5)
        assert await s.final() == "What are your opening hours"


async def test_slow_news_are_waited_for(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        s.server.faults.slow_s = 0.05
        s.say(5)
        assert await s.final() == "What are your opening hours"


async def test_a_long_silence_does_not_end_the_connection(vendor: SttVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    async with vendor.server(SCRIPT, None) as server:
        client = vendor.client(vendor.settings(server.url))
        make = client._make_dialect

        def quick(*given: object) -> object:
            dialect = make(*given)  # type: ignore[arg-type]
            monkeypatch.setattr(type(dialect), "keep_alive_s", 0.05)
            return dialect

        client._make_dialect = quick  # type: ignore[assignment]
        stream = await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
        before = len(server.texts) + len(server.binaries)
        await until(lambda: len(server.texts) + len(server.binaries) >= before + 3)
        stream.push(sound(1))
        assert (await stream.final()).text == "What"
        assert len(server.upgrades) == 1
        await client.aclose()


async def test_usage_is_told_once_however_often_a_stream_is_closed(vendor: SttVendor) -> None:
    seconds: list[float] = []
    async with scene(vendor) as s:
        s.stream.on_usage = seconds.append
        s.say(5)
        await s.final()
        await s.stream.aclose()
        await s.stream.aclose()
    assert sum(seconds) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("vendor", [one for one in STT_VENDORS if one.goodbye], ids=lambda vendor: vendor.name)
async def test_the_goodbye_is_said(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        await s.stream.aclose()
        await until(lambda: {"type": vendor.goodbye} in s.server.texts)


async def test_two_callers_do_not_hear_each_other(vendor: SttVendor) -> None:
    async with scene(vendor) as s:
        other = await s.client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
        s.say(2)
        other.push(sound(3))
        texts = await asyncio.gather(s.stream.final(), other.final())
        assert [transcript.text for transcript in texts] == ["What are", "What are your"]
