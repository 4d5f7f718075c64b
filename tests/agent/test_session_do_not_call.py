# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks not to be called any more is told that they will not be, and the call ends."""

from agent.config import AgentConfig, PhrasesConfig
from agent.events import HangUpRequested, ReplyFinished, ReplyInterrupted, ReplyStarted, ToolUsed, TurnCommitted
from agent.services.llm import ToolCall
from tests.fakes.scene import QUICK, Scene
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time

GREETING = "Hello, this is Parley."
GONE = "You will not be called again. Goodbye."
PHRASES = PhrasesConfig(do_not_call=GONE)
CONFIG = AgentConfig(greeting="", turn=QUICK, phrases=PHRASES)
PLACED = AgentConfig(greeting=GREETING, phrases=PHRASES)


@in_virtual_time
async def test_the_request_is_confirmed_without_asking_the_model_and_the_call_ends() -> None:
    async with Scene(config=CONFIG) as scene:
        await scene.leg.speak("take me off your list")
        await scene.wait_for(HangUpRequested)
        assert scene.all(HangUpRequested) == [HangUpRequested("do_not_call")]
        assert [said.text for said in scene.all(ReplyFinished)] == [GONE]
        assert [turn.text for turn in scene.all(TurnCommitted)] == ["take me off your list"]
        assert not scene.llm.asked


@in_virtual_time
async def test_who_talks_over_the_confirmation_has_the_call_on() -> None:
    async with Scene(config=CONFIG) as scene:
        await scene.leg.speak("do not call me again")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("no wait please I meant the other number", ms=2_000)
        await scene.wait_for(ReplyInterrupted)
        await scene.wait_for(ReplyFinished)
        assert not scene.all(HangUpRequested)
        assert len(scene.llm.asked) == 1


@in_virtual_time
async def test_whom_we_called_need_not_hear_the_greeting_first() -> None:
    async with Scene(config=PLACED, is_placed=True) as scene:
        scene.stt.final_s = 0.01
        await scene.leg.speak("stop calling me")
        await scene.wait_for(HangUpRequested)
        assert scene.all(HangUpRequested) == [HangUpRequested("do_not_call")]
        assert [said.text for said in scene.all(ReplyFinished)] == [GONE]


@in_virtual_time
async def test_when_the_words_come_late_the_greeting_gives_way() -> None:
    async with Scene(config=PLACED, is_placed=True) as scene:
        scene.stt.final_s = 0.6
        await scene.leg.speak("stop calling me", ms=500)
        await scene.wait_for(HangUpRequested)
        assert scene.all(HangUpRequested) == [HangUpRequested("do_not_call")]
        assert scene.all(ReplyFinished)[-1].text == GONE


@in_virtual_time
async def test_without_a_phrase_the_model_answers() -> None:
    config = CONFIG.model_copy(update={"phrases": PhrasesConfig(do_not_call="")})
    async with Scene(config=config, llm=ScriptedLlm(["I am sorry."])) as scene:
        await scene.leg.speak("take me off your list")
        assert (await scene.wait_for(ReplyFinished)).text == "I am sorry."
        assert not scene.all(HangUpRequested)


@in_virtual_time
async def test_the_model_may_do_it_in_whatever_language() -> None:
    config = CONFIG.model_copy(update={"tools": ("hang_up", "do_not_call")})
    script = ScriptedLlm([ToolCall("do_not_call", {}, "c1")], ["Entschuldigung. Auf Wiederhören.", ToolCall("hang_up")])
    async with Scene(config=config, llm=script) as scene:
        await scene.leg.speak("rufen Sie mich nie wieder an")
        await scene.wait_for(HangUpRequested)
        assert scene.control.done == [("do_not_call", "")]
        assert [(used.tool, used.outcome) for used in scene.all(ToolUsed)] == [("do_not_call", "ok")]
