# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognisers behind each other. Each utterance is a level on the line: what is lost or comes twice shows."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from agent.chains.events import ChainEvent, Failed, FellBack, Hedged
from agent.chains.stt import SpeechToTextChain
from agent.clients.limits import Limits
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.stt import HeardWord, SpeechToText, SttStream, Transcript
from media.frames import PcmSamples
from tests.agent.chains.chain import gone, members
from tests.fakes.services import STALL, ScriptedStt, ScriptedSttStream, Utterances
from tests.fakes.virtual_time import in_virtual_time

HZ = 8_000


@dataclass
class Line:
    """A caller on a chain of two recognisers."""

    utterances: Utterances = field(default_factory=Utterances)
    events: list[ChainEvent] = field(default_factory=list)
    partials: list[Transcript] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.first, self.second = ScriptedStt(self.utterances), ScriptedStt(self.utterances)

    async def open(self, hedge_after_ms: int = 0) -> SttStream:
        services: tuple[SpeechToText, ...] = (self.first, self.second)
        made = members("stt", *services, events=self.events, limits=self.limits)
        chain = SpeechToTextChain("ears", made, hedge_after_ms=hedge_after_ms, on_event=self.events.append)
        return await chain.open(sample_rate_hz=HZ, on_partial=self.partials.append)

    def sound(self, text: str, ms: int = 400) -> list[PcmSamples]:
        """In frames of 20 ms."""
        samples = ms * HZ // 1000
        level = self.utterances.add(text, samples)
        return np.split(np.full(samples, level, np.int16), ms // 20)


def say(stream: SttStream, frames: list[PcmSamples]) -> None:
    for frame in frames:
        stream.push(frame)


async def settled() -> None:
    """What was begun is done."""
    await asyncio.sleep(0.01)


@in_virtual_time
async def test_the_first_recognises_and_the_second_is_not_opened() -> None:
    line = Line()
    stream = await line.open()
    say(stream, line.sound("Hello."))
    assert (await stream.final()).text == "Hello."
    assert line.second.streams == []
    assert line.events == []
    await stream.aclose()
    assert line.first.streams[0].is_closed


@in_virtual_time
async def test_a_first_that_fails_is_replaced_and_the_second_hears_the_turn_from_its_beginning() -> None:
    line = Line()
    stream = await line.open()
    say(stream, line.sound("An earlier turn."))
    stream.next_turn(0)
    say(stream, line.sound("My name is Ann."))
    line.first.failures.append(gone())
    assert (await stream.final()).text == "My name is Ann."
    say(stream, line.sound("And I have a question."))
    assert (await stream.final()).text == "My name is Ann. And I have a question."
    assert line.events == [Failed("first", "stt", "unavailable"), FellBack("ears", "stt", "second")]
    await settled()
    assert line.first.streams[0].is_closed


@in_virtual_time
async def test_what_is_said_while_the_second_is_asked_is_heard_by_it() -> None:
    line = Line()
    line.second.final_s = 0.3
    stream = await line.open()
    say(stream, line.sound("My name is Ann."))
    line.first.failures.append(gone())
    asked = asyncio.ensure_future(stream.final())
    await asyncio.sleep(0.2)
    say(stream, line.sound("No, Anna."))
    await asked
    assert (await stream.final()).text == "My name is Ann. No, Anna."


@in_virtual_time
async def test_the_next_turn_is_the_first_ones_again() -> None:
    line = Line()
    stream = await line.open()
    say(stream, line.sound("One."))
    line.first.failures.append(gone())
    await stream.final()
    stream.next_turn(0)
    await settled()
    say(stream, line.sound("Two."))
    assert (await stream.final()).text == "Two."  # the second's: it was open when the turn began
    stream.next_turn(0)
    say(stream, line.sound("Three."))
    assert (await stream.final()).text == "Three."
    await settled()
    assert [len(line.first.streams), line.first.streams[1].finals] == [2, 1]
    assert line.second.streams[0].is_closed


@in_virtual_time
async def test_the_end_of_a_turn_in_which_the_next_began_goes_with_it_to_the_other_recogniser() -> None:
    line = Line()
    stream = await line.open()
    line.first.failures.append(gone())
    await stream.final()
    stream.next_turn(0)
    await settled()
    say(stream, line.sound("Old.") + line.sound("New.", ms=200))
    stream.next_turn(200)
    assert (await stream.final()).text == "New."
    assert line.first.streams[1].finals == 1


@in_virtual_time
async def test_a_late_transcript_is_asked_of_the_second_as_well() -> None:
    line = Line()
    line.first.final_s = STALL
    stream = await line.open(hedge_after_ms=300)
    say(stream, line.sound("Hello."))
    began_at = asyncio.get_running_loop().time()
    assert (await stream.final()).text == "Hello."
    assert asyncio.get_running_loop().time() - began_at == pytest.approx(0.38)
    assert Hedged("ears", "stt", "second", won=True) in line.events
    await settled()
    assert line.first.streams[0].is_closed


@in_virtual_time
async def test_a_first_that_finds_no_words_late_does_not_beat_a_second_that_has_some() -> None:
    line = Line()
    line.first.is_deaf, line.first.final_s, line.second.final_s = True, 0.35, 0.2
    stream = await line.open(hedge_after_ms=300)
    say(stream, line.sound("Hello."))
    assert (await stream.final()).text == "Hello."


@in_virtual_time
async def test_where_nobody_finds_words_there_are_none() -> None:
    line = Line()
    line.first.is_deaf = True
    stream = await line.open(hedge_after_ms=300)
    say(stream, line.sound("Hello."))
    began_at = asyncio.get_running_loop().time()
    assert (await stream.final()).text == ""
    assert asyncio.get_running_loop().time() - began_at < 0.1
    assert line.second.streams == []


@in_virtual_time
async def test_a_first_that_was_late_and_still_faster_stays() -> None:
    line = Line()
    line.first.final_s, line.second.final_s = 0.35, 0.2
    stream = await line.open(hedge_after_ms=300)
    say(stream, line.sound("Hello."))
    assert (await stream.final()).text == "Hello."
    assert line.events == [Hedged("ears", "stt", "second", won=False)]
    await settled()
    assert [one.is_closed for one in (line.first.streams[0], line.second.streams[0])] == [False, True]


@in_virtual_time
async def test_a_question_that_is_taken_back_closes_whoever_was_asked_as_well() -> None:
    line = Line()
    line.first.final_s = line.second.final_s = STALL
    stream = await line.open(hedge_after_ms=100)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await stream.final()
    await settled()
    assert [one.is_closed for one in (line.first.streams[0], line.second.streams[0])] == [False, True]
    line.first.final_s = 0.05
    say(stream, line.sound("Hello."))
    assert (await stream.final()).text == "Hello."


@in_virtual_time
async def test_a_stream_that_takes_no_audio_any_more_is_replaced_at_once() -> None:
    line = Line()
    stream = await line.open()

    def broken(samples: PcmSamples) -> None:
        raise ServiceUnavailable("first", "the connection is gone")

    say(stream, line.sound("One."))
    line.first.streams[0].push = broken  # type: ignore[method-assign]
    say(stream, line.sound("Two."))
    await settled()
    line.second.streams[0].on_partial(Transcript("One. Tw", False, 0.5))
    assert [partial.text for partial in line.partials] == ["One. Tw"]
    assert (await stream.final()).text == "One. Two."


@in_virtual_time
async def test_partials_of_a_recogniser_that_was_replaced_are_dropped() -> None:
    line = Line()
    stream = await line.open()
    line.first.streams[0].on_partial(Transcript("Hel", False, 0.5))
    line.first.failures.append(gone())
    await stream.final()
    line.first.streams[0].on_partial(Transcript("nonsense", False, 0.5))
    line.second.streams[0].on_partial(Transcript("Hello", False, 0.5))
    assert [partial.text for partial in line.partials] == ["Hel", "Hello"]


@in_virtual_time
async def test_words_are_timed_from_the_calls_first_sample_whoever_heard_them() -> None:
    line = Line()
    stream = await line.open()
    say(stream, line.sound("An earlier turn.", ms=600))
    stream.next_turn(0)
    line.first.failures.append(gone())
    say(stream, line.sound("Hello."))
    await stream.final()
    line.second.streams[0].on_partial(Transcript("Hello.", False, 0.5, words=(HeardWord("Hello.", 100.0, 350.0),)))
    (word,) = line.partials[-1].words
    assert (word.started_ms, word.ended_ms) == (700.0, 950.0)


@in_virtual_time
async def test_of_a_turn_longer_than_what_is_kept_the_first_ones_words_are_kept() -> None:
    line = Line()
    stream = await line.open()
    line.first.failures.append(gone())
    say(stream, line.sound("So it was a long time ago", ms=2_000))
    line.first.streams[0].on_partial(Transcript("So it was a long time ago", False, 0.5))
    for _ in range(3):
        say(stream, line.sound("", ms=20_000))
    assert (await stream.final()).text == "So it was a long time ago"
    line.second.streams[0].on_partial(Transcript("long time ago that I called", False, 0.5))
    assert line.partials[-1].text == "So it was a long time ago that I called"


@in_virtual_time
async def test_a_first_that_cannot_be_opened_is_passed_over_and_taken_when_it_is_back() -> None:
    line = Line()
    line.first.open_failures.append(gone())
    stream = await line.open()
    say(stream, line.sound("One."))
    assert (await stream.final()).text == "One."
    assert line.events == [Failed("first", "stt", "unavailable"), FellBack("ears", "stt", "second")]
    stream.next_turn(0)
    await settled()
    stream.next_turn(0)
    say(stream, line.sound("Two."))
    assert (await stream.final()).text == "Two."
    assert line.first.streams[0].finals == 1


@in_virtual_time
async def test_a_full_service_is_passed_over_and_its_place_is_given_back_with_the_call() -> None:
    line = Line(limits=Limits(max_concurrent=1))
    first, second = await line.open(), await line.open()
    assert (len(line.first.streams), len(line.second.streams)) == (1, 1)
    assert line.events[0] == Failed("first", "stt", "full")
    await first.aclose()
    await second.aclose()
    assert line.limits.concurrent == 0


@in_virtual_time
async def test_when_none_can_be_opened_the_failure_is_told() -> None:
    line = Line()
    line.first.open_failures.append(gone())
    line.second.open_failures.append(ServiceRejected("second", "answers 401"))
    with pytest.raises(ServiceUnavailable, match="first: the connection failed"):
        await line.open()


@in_virtual_time
async def test_when_none_has_any_words_the_failure_is_told_and_a_later_question_may_go_well() -> None:
    line = Line()
    stream = await line.open()
    say(stream, line.sound("Hello."))
    line.first.failures.append(gone())
    line.second.failures.append(gone("second"))
    with pytest.raises(ServiceError):
        await stream.final()
    assert (await stream.final()).text == "Hello."
    await stream.aclose()
    await settled()
    assert all(one.is_closed for one in (*line.first.streams, *line.second.streams))


@in_virtual_time
async def test_closing_closes_what_was_just_being_opened() -> None:
    line = Line()
    opening: Callable[..., object] = line.first.open
    stream = await line.open()
    line.first.failures.append(gone())
    await stream.final()

    async def slow(**arguments: object) -> object:
        await asyncio.sleep(STALL)
        return opening(**arguments)

    line.first.open = slow  # type: ignore[method-assign,assignment]
    stream.next_turn(0)
    await settled()
    await stream.aclose()
    assert line.second.streams[0].is_closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_who_has_failed_in_a_turn_is_asked_last_in_it_and_first_in_the_next() -> None:
    line = Line()
    stream = await line.open()
    line.first.failures.append(gone())
    line.second.failures.append(gone("second"))
    with pytest.raises(ServiceError):
        await stream.final()
    stream.next_turn(0)
    say(stream, line.sound("Hello."))
    assert (await stream.final()).text == "Hello."
    assert [sum(one.finals for one in stt.streams) for stt in (line.first, line.second)] == [1, 0]


def test_the_scripted_stream_is_one() -> None:
    stream: type[SttStream] = ScriptedSttStream
    assert stream is not None
