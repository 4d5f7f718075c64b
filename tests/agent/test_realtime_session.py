# SPDX-License-Identifier: GPL-3.0-or-later
"""A call with a speech-to-speech service: what the caller hears, and what the service is told of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from agent.config import AgentConfig
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.events import (
    AgentEvent,
    HangUpRequested,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ServiceFailed,
    TurnCommitted,
    TurnMeasured,
)
from agent.realtime_session import RealtimeSession
from agent.services.llm import ToolCall
from agent.services.realtime import AnswerFailed, CallerSaid, CallerStarted, CallerStopped, TalkLost, ToolWanted
from media.frames import FrameFlags, PcmFrame
from tests.fakes.leg import FakeLeg
from tests.fakes.talk import ScriptedTalk
from tests.fakes.virtual_time import in_virtual_time

Event = TypeVar("Event")


@dataclass
class Scene:
    talk: ScriptedTalk
    leg: FakeLeg
    session: RealtimeSession
    running: "asyncio.Task[str]"
    events: list[AgentEvent] = field(default_factory=list)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def scene(talk: ScriptedTalk | None = None, **config: object) -> AsyncIterator[Scene]:
    talk = talk or ScriptedTalk()
    leg = FakeLeg()
    events: list[AgentEvent] = []
    loop = asyncio.get_running_loop()
    settings = AgentConfig.model_validate({"greeting": "", **config})
    session = RealtimeSession(settings, talk, leg, events.append, clock=loop.time)
    leg.on_frames, leg.on_playout = session.feed, session.playout
    clock = loop.create_task(leg.run())
    running = loop.create_task(session.run())
    await asyncio.sleep(0.1)
    try:
        yield Scene(talk, leg, session, running, events)
    finally:
        running.cancel()
        clock.cancel()
        await asyncio.gather(running, clock, return_exceptions=True)


@in_virtual_time
async def test_the_greeting_is_asked_for_and_its_end_is_told() -> None:
    async with scene(greeting="Hello, how can I help you?") as s:
        assert s.talk.said == ["Hello, how can I help you?"]
        s.talk.answer("a1", "Hello, how can I help you?", 1000)
        await asyncio.sleep(2)
        (started,) = s.of(ReplyStarted)
        (finished,) = s.of(ReplyFinished)
        assert finished.text == "Hello, how can I help you?"
        assert finished.turn_index is None
        assert finished.ended_at - started.started_at == pytest.approx(1.0, abs=0.05)
        assert not s.of(TurnMeasured)


@in_virtual_time
async def test_a_turn_has_its_words_its_answer_and_its_ledger() -> None:
    async with scene() as s:
        s.talk.news(CallerStarted())
        await s.leg.speak("when do you open", 600)
        await asyncio.sleep(0.5)
        s.talk.news(CallerStopped())
        await asyncio.sleep(0.2)
        s.talk.answer("a1", "At nine.", 500)
        await asyncio.sleep(0.1)
        s.talk.news(CallerSaid("When do you open?"))  # later than the answer, as it comes
        await asyncio.sleep(1)
        (turn,) = s.of(TurnCommitted)
        (reply,) = s.of(ReplyFinished)
        (measured,) = s.of(TurnMeasured)
        assert (turn.turn_index, turn.text) == (0, "When do you open?")
        assert reply.turn_index == 0
        ledger = measured.ledger
        assert sum(ledger.segments_ms.values()) == pytest.approx(ledger.response_ms, abs=1)
        assert ledger.response_ms >= 200
        assert [message.role for message in s.session.history.snapshot().messages[-2:]] == ["user", "assistant"]


@in_virtual_time
@pytest.mark.parametrize("spoken_ms", [137, 740, 1610])
async def test_who_speaks_over_an_answer_silences_it_and_the_service_knows_what_was_sent(spoken_ms: int) -> None:
    async with scene() as s:
        s.talk.answer("a1", "one two three four five six seven eight nine ten", 2000)
        begun = s.leg.packets[-1].sent_at
        await asyncio.sleep(spoken_ms / 1e3)
        s.talk.news(CallerStarted())
        await asyncio.sleep(0.5)
        sent_ms = 20 * sum(packet.utterance_id is not None and packet.sent_at > begun for packet in s.leg.packets)
        ((answer_id, heard_ms),) = s.talk.heard_ms
        assert answer_id == "a1"
        assert abs(heard_ms - sent_ms) <= 20
        assert abs(heard_ms - spoken_ms) <= 40
        (interrupted,) = s.of(ReplyInterrupted)
        words = len(interrupted.heard_text.split())
        assert abs(words - spoken_ms / 200) <= 1
        assert s.leg.queued_ms == 0


@in_virtual_time
async def test_what_still_comes_of_a_broken_off_answer_is_not_heard() -> None:
    async with scene() as s:
        s.talk.answer("a1", "one two three", 1000)
        await asyncio.sleep(0.3)
        s.talk.news(CallerStarted())
        count = len(s.leg.packets)
        s.talk.answer("a2", "yes", 200)
        await asyncio.sleep(1)
        heard = sum(packet.utterance_id is not None for packet in s.leg.packets[count:])
        assert heard == pytest.approx(10, abs=1)
        assert [reply.text for reply in s.of(ReplyFinished)] == ["yes"]


@in_virtual_time
async def test_keys_are_told_once_the_entry_is_over_and_secret_ones_are_not_shown() -> None:
    async with scene() as s:
        for digit in "12":
            s.session.dtmf(digit)
        await asyncio.sleep(2)
        s.session.keep_keys_secret(True, 2)
        for digit in "34#":
            s.session.dtmf(digit)
        await asyncio.sleep(0.1)
        assert s.talk.told == ["[pressed 12]", "[pressed **#]"]
        assert s.session.take_secret_keys() == "34"
        assert not s.session.keeps_keys_secret


@in_virtual_time
async def test_the_agent_hangs_up_when_its_goodbye_has_been_heard() -> None:
    async with scene() as s:
        s.talk.answer("a1", "Goodbye.", 800)
        s.talk.news(ToolWanted(ToolCall("hang_up", {}, "c1")))
        await asyncio.sleep(0.4)
        assert not s.running.done()
        assert await asyncio.wait_for(s.running, 2) == "goodbye"
        assert s.of(HangUpRequested) == [HangUpRequested("goodbye")]
        assert s.talk.is_closed


@in_virtual_time
async def test_a_tool_that_nobody_has_is_told_so() -> None:
    async with scene() as s:
        s.talk.news(ToolWanted(ToolCall("fly", {}, "c1")))
        assert s.talk.results == [("c1", "fly", "Error: there is no such tool.")]


@in_virtual_time
async def test_a_service_that_cannot_be_reached_ends_the_call_with_its_reason() -> None:
    async with scene(ScriptedTalk(fails=ServiceRejected("voice", "answers 401"))) as s:
        assert await asyncio.wait_for(s.running, 1) == "service_failure"
        assert s.of(ServiceFailed) == [ServiceFailed("voice", False)]


@in_virtual_time
async def test_a_service_that_fails_is_asked_to_apologize_and_given_up_in_the_end() -> None:
    async with scene() as s:
        for _ in range(3):
            assert not s.running.done()
            s.talk.news(AnswerFailed(ServiceUnavailable("voice", "overloaded")))
        assert s.talk.said == [AgentConfig().phrases.trouble] * 2
        assert await asyncio.wait_for(s.running, 1) == "service_failure"


@in_virtual_time
async def test_a_service_that_is_lost_ends_the_call() -> None:
    async with scene() as s:
        s.talk.news(TalkLost(ServiceUnavailable("voice", "was lost")))
        assert await asyncio.wait_for(s.running, 1) == "service_failure"


@in_virtual_time
async def test_all_of_the_callers_audio_reaches_the_service() -> None:
    async with scene() as s:
        before = s.talk.pushed_samples
        await asyncio.sleep(1)
        assert s.talk.pushed_samples - before == pytest.approx(8000, abs=320)
        assert s.talk.pushed_samples >= 8000 * 1.05  # what came before the service was there, too
        frame = PcmFrame(bytes(320), 8000, 0, 0.0, FrameFlags.NONE)
        s.session.feed([frame])
