# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever owns the session directs it: says words as they come, stops them, and decides whether the caller may."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.config import AgentConfig, InterruptionConfig
from agent.events import ReplyFinished, ReplyInterrupted, ReplyStarted, ServiceFailed, TurnCommitted
from agent.services.llm import ReplyEvent, Silence, TextDelta
from tests.fakes.scene import Scene
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."


async def words(*steps: str | float) -> AsyncIterator[ReplyEvent]:
    for step in steps:
        if isinstance(step, str):
            yield TextDelta(step)
        else:
            await asyncio.sleep(step)


@in_virtual_time
async def test_words_are_said_while_more_of_them_come() -> None:
    async with Scene() as scene:
        scene.session.say_words(words("We have moved. ", 1.0, "Our new number follows."))
        started = await scene.wait_for(ReplyStarted)
        assert started.turn_index is None
        assert started.started_at == pytest.approx(1_000.1, abs=0.045)
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == "We have moved. Our new number follows."


@in_virtual_time
async def test_an_answer_of_silence_is_no_failure_and_the_next_turn_is_answered() -> None:
    async with Scene(llm=ScriptedLlm([0.1, Silence()], ["At nine."])) as scene:
        await scene.leg.speak("just a moment")
        await scene.leg.pause_for(3_000)
        assert (scene.leg.packets[-1].peak, scene.all(ServiceFailed)) == (0, [])
        await scene.leg.speak("when do you open")
        assert (await scene.wait_for(ReplyFinished)).text == "At nine."


@in_virtual_time
async def test_what_is_heard_can_be_stopped_and_what_waits_comes_next() -> None:
    async with Scene() as scene:
        scene.session.say(LONG)
        scene.session.say("Something else.")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.0)
        scene.session.stop_speaking()
        interrupted = scene.all(ReplyInterrupted)[0]
        assert LONG.startswith(interrupted.heard_text)
        assert (await scene.wait_for(ReplyFinished)).text == "Something else."


@in_virtual_time
async def test_nothing_is_stopped_when_nothing_is_heard() -> None:
    async with Scene() as scene:
        scene.session.stop_speaking()
        await scene.leg.speak("hello there")
        await scene.wait_for(ReplyFinished)


@in_virtual_time
async def test_the_caller_cannot_stop_what_must_be_heard_until_that_changes() -> None:
    async with Scene(llm=ScriptedLlm([LONG])) as scene:
        scene.session.let_interrupt(False)
        scene.session.say(LONG)
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("let me speak")
        assert scene.all(ReplyInterrupted) == []
        scene.session.let_interrupt(True)
        await scene.leg.speak("let me speak now")
        assert len(scene.all(ReplyInterrupted)) == 1
        await scene.wait_for(TurnCommitted)


@pytest.mark.parametrize("resume", [True, False])
@in_virtual_time
async def test_after_a_sound_that_was_no_speech_the_rest_is_said_if_it_is_to_be(*, resume: bool) -> None:
    config = AgentConfig(greeting=LONG, interruption=InterruptionConfig(resume=resume))
    async with Scene(config=config) as scene:
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.0)
        await scene.leg.speak("", ms=900)
        await scene.wait_for(ReplyInterrupted)
        await scene.leg.pause_for(8_000)
        assert len(scene.all(ReplyFinished)) == resume
