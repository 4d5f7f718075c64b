# SPDX-License-Identifier: GPL-3.0-or-later
"""A silent caller and a call without end, on a line: what is said, when, and how the call ends."""

import asyncio

from agent.config import AgentConfig, SilenceConfig
from agent.events import HangUpRequested, ReplyFinished, ReplyStarted, SilencePrompted, TurnCommitted
from tests.fakes.scene import Scene
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time

SILENCE = SilenceConfig(reprompt_after_s=5, max_reprompts=2, phrases=("Hello?", "Are you there?"), goodbye="Goodbye.")
CONFIG = AgentConfig(greeting="Welcome.", silence=SILENCE)


@in_virtual_time
async def test_a_silent_caller_is_asked_and_then_the_call_ends() -> None:
    async with Scene(config=CONFIG) as scene:
        await scene.wait_for(HangUpRequested)
        assert [said.text for said in scene.all(ReplyFinished)] == ["Welcome.", "Hello?", "Are you there?", "Goodbye."]
        assert scene.all(SilencePrompted) == [
            SilencePrompted(1, "Hello?"),
            SilencePrompted(2, "Are you there?"),
            SilencePrompted(0, "Goodbye."),
        ]
        said = scene.all(ReplyFinished)
        assert 5.0 <= said[1].started_at - said[0].ended_at < 5.5
        await asyncio.sleep(0.1)
        assert scene.end_reason == "silence"


@in_virtual_time
async def test_a_caller_who_answers_a_prompt_is_answered_and_may_be_silent_again() -> None:
    async with Scene(config=CONFIG) as scene:
        await scene.wait_for(SilencePrompted)
        await scene.wait_for(ReplyFinished, 2)
        await scene.leg.speak("I am looking for my papers")
        await scene.wait_for(TurnCommitted)
        assert (await scene.wait_for(SilencePrompted, 2)).number == 1


@in_virtual_time
async def test_speaking_over_the_goodbye_keeps_the_call() -> None:
    async with Scene(config=CONFIG) as scene:
        await scene.wait_for(SilencePrompted, 3)
        await scene.wait_for(ReplyStarted, 4)
        await scene.leg.speak("wait I am here")
        await scene.wait_for(TurnCommitted)
        await scene.wait_for(ReplyFinished, 4)
        assert scene.all(HangUpRequested) == []


@in_virtual_time
async def test_who_talks_presses_keys_or_waits_for_an_answer_is_not_asked() -> None:
    async with Scene(config=CONFIG, llm=ScriptedLlm([12.0, "Certainly."])) as scene:
        await scene.wait_for(ReplyFinished)
        for _ in range(4):
            await asyncio.sleep(1.5)
            scene.session.dtmf("1")
        await scene.wait_for(TurnCommitted)
        await scene.wait_for(ReplyStarted, 2)
        assert scene.all(SilencePrompted) == []


@in_virtual_time
async def test_who_is_on_hold_is_waited_for_and_then_has_all_the_time() -> None:
    scene = Scene(config=CONFIG)
    async with scene:
        await scene.wait_for(ReplyFinished)
        scene.is_engaged = True
        await asyncio.sleep(300)
        assert scene.all(SilencePrompted) == []
        scene.is_engaged = False
        await asyncio.sleep(4.9)
        assert scene.all(SilencePrompted) == []
        await asyncio.sleep(0.8)  # that the hold is over is noticed within half a second
        assert len(scene.all(SilencePrompted)) == 1


@in_virtual_time
async def test_a_call_that_lasts_too_long_is_warned_and_ended_after_the_last_word() -> None:
    silence = SilenceConfig(
        reprompt_after_s=0, max_call_s=20, warn_before_s=8, call_ends_soon="Soon.", call_over="Over."
    )
    async with Scene(config=AgentConfig(greeting="", silence=silence)) as scene:
        began = asyncio.get_running_loop().time()
        await scene.wait_for(HangUpRequested)
        assert [said.text for said in scene.all(ReplyFinished)] == ["Soon.", "Over."]
        assert [round(said.started_at - began) for said in scene.all(ReplyFinished)] == [12, 20]
        assert scene.all(HangUpRequested) == [HangUpRequested("max_call")]


@in_virtual_time
async def test_a_caller_who_never_stops_talking_is_cut_off_in_the_end() -> None:
    silence = SilenceConfig(reprompt_after_s=0, max_call_s=5, warn_before_s=0)
    async with Scene(config=AgentConfig(greeting="", silence=silence)) as scene:
        began = asyncio.get_running_loop().time()
        await scene.leg.speak("and another thing", ms=40_000)
        assert scene.all(HangUpRequested) == [HangUpRequested("max_call")]
        assert scene.all(ReplyStarted) == []
        assert asyncio.get_running_loop().time() - began > 34
