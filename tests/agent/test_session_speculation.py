# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers begun before the turn is over: heard earlier, and never when the turn turns out to be another."""

import asyncio
from collections.abc import Sequence

import pytest

from agent.config import AgentConfig, SpeculationConfig
from agent.errors import ServiceUnavailable
from agent.events import HangUpRequested, ReplyFinished, ReplyPrepared, ReplyStarted, ServiceFailed, TurnMeasured
from agent.services.llm import Message, Silence, ToolCall
from agent.services.stt import Transcript
from tests.fakes.scene import Scene
from tests.fakes.services import ScriptedDetector, ScriptedLlm, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

OFF, TEXT, SPEECH = (
    AgentConfig.model_validate({"greeting": "", "speculation": mode}) for mode in ("off", "text", "speech")
)
QUESTION = "what time do you open"


def hear(scene: Scene, text: str, *, is_stable: bool = True) -> None:
    """Speech recognition tells a partial."""
    scene.stt.streams[0].on_partial(Transcript(text, False, 0.9, is_stable=is_stable))


def states(scene: Scene) -> list[str]:
    return [event.state for event in scene.all(ReplyPrepared)]


async def ask(scene: Scene, partial: str = QUESTION, after_s: float = 0.1) -> float:
    """The question, and a partial so long after it; returns when the question ended."""
    ended_at = await scene.leg.speak(QUESTION)
    await asyncio.sleep(after_s)
    hear(scene, partial)
    return ended_at


async def response_s(config: AgentConfig) -> tuple[float, str]:
    """STT final 150 ms, first token 200 ms, first byte 100 ms; the partial is stable 120 ms after the last word."""
    llm, tts = ScriptedLlm([0.2, "We open at nine."]), ScriptedTts(first_byte_s=0.1)
    async with Scene(config=config, llm=llm, tts=tts, detector=ScriptedDetector(0.95, answers_s=0.03)) as scene:
        scene.stt.final_s = 0.15
        ended_at = await ask(scene, after_s=0.12)
        finished = await scene.wait_for(ReplyFinished)
        return scene.first_sound_after(ended_at) - ended_at, finished.text


@in_virtual_time
async def test_the_answer_is_heard_as_soon_as_the_turn_is_ours_and_it_is_ready() -> None:
    off_s, off_text = await response_s(OFF)
    text_s, text_text = await response_s(TEXT)
    speech_s, speech_text = await response_s(SPEECH)
    assert off_text == text_text == speech_text == "We open at nine."
    # Decided after 200 + 150 ms; then 200 + 100 ms; one packet. Ahead: 120 + 200 + 100 ms.
    assert off_s == pytest.approx(0.65, abs=0.045)
    assert text_s == pytest.approx(0.45, abs=0.045)
    assert speech_s == pytest.approx(0.42, abs=0.045)


@in_virtual_time
async def test_what_is_ready_before_the_decision_waits_for_it() -> None:
    async with Scene(config=SPEECH, detector=ScriptedDetector(0.1)) as scene:
        ended_at = await ask(scene)
        await scene.wait_for(ReplyStarted)
        assert scene.first_sound_after(ended_at) - ended_at == pytest.approx(0.7, abs=0.045)
        assert scene.tts.spoken == ["Certainly."]


@in_virtual_time
async def test_the_ledger_of_a_speculative_turn_says_so_and_still_sums() -> None:
    async with Scene(config=SPEECH, detector=ScriptedDetector(0.1)) as scene:
        await ask(scene)
        ledger = (await scene.wait_for(TurnMeasured)).ledger
        assert ledger.speculative
        assert sum(ledger.segments_ms.values()) == pytest.approx(ledger.response_ms, abs=1e-6)
        assert (ledger.segments_ms["llm_first_token"], ledger.segments_ms["tts_first_byte"]) == (0, 0)
        assert states(scene) == ["begun", "used"]


@in_virtual_time
async def test_other_words_throw_the_answer_away() -> None:
    async with Scene(config=SPEECH, llm=ScriptedLlm([0.1, "We close at five."], [0.1, "We open at nine."])) as scene:
        await ask(scene, "what time do you close")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == "We open at nine."
        assert states(scene) == ["begun", "wasted"]
        assert not scene.all(TurnMeasured)[0].ledger.speculative
        assert scene.history == (Message("user", QUESTION),)


@in_virtual_time
async def test_the_same_words_in_other_dress_keep_it_and_the_record_has_the_final_ones() -> None:
    async with Scene(config=SPEECH) as scene:
        await ask(scene, "Um, what time do you open?")
        await scene.wait_for(ReplyFinished)
        assert states(scene) == ["begun", "used"]
        assert len(scene.llm.asked) == 1
        assert scene.session.history.snapshot().messages[-2:] == (
            Message("user", QUESTION),
            Message("assistant", "Certainly."),
        )


@in_virtual_time
async def test_a_key_pressed_meanwhile_throws_the_answer_away() -> None:
    async with Scene(config=SPEECH, detector=ScriptedDetector(0.1)) as scene:
        await ask(scene)
        await asyncio.sleep(0.02)
        scene.session.dtmf("1")
        await scene.wait_for(ReplyFinished)
        assert states(scene) == ["begun", "wasted"]
        assert scene.history[-1].text == f"{QUESTION} [pressed 1]"


@in_virtual_time
async def test_what_was_entered_into_the_history_meanwhile_throws_the_answer_away() -> None:
    async with Scene(config=SPEECH, detector=ScriptedDetector(0.1)) as scene:
        await ask(scene)
        await asyncio.sleep(0.02)
        scene.session.history.agent_said("By the way.", interrupted=False)
        await scene.wait_for(ReplyFinished)
        assert states(scene) == ["begun", "wasted"]
        assert len(scene.llm.asked) == 2


@in_virtual_time
async def test_a_caller_who_goes_on_hears_nothing_of_it() -> None:
    async with Scene(config=SPEECH, detector=ScriptedDetector(0.1)) as scene:
        await ask(scene)
        await asyncio.sleep(0.35)
        assert scene.tts.spoken == ["Certainly."]
        second_end = await scene.leg.speak("on a Sunday")
        hear(scene, f"{QUESTION} on a Sunday")
        await scene.wait_for(ReplyFinished)
        assert not scene.audible_between(0, second_end)
        assert states(scene) == ["begun", "wasted", "begun", "used"]


@in_virtual_time
async def test_a_call_that_ends_ends_what_was_prepared() -> None:
    async with Scene(config=SPEECH, llm=ScriptedLlm([5.0, "Certainly."]), detector=ScriptedDetector(0.1)) as scene:
        await ask(scene)
        await asyncio.sleep(0.05)
    assert scene.llm.cancelled == 1
    assert states(scene) == ["begun", "wasted"]


@in_virtual_time
async def test_a_failure_ahead_of_the_turn_is_forgotten_and_the_turn_answered_afresh() -> None:
    llm = ScriptedLlm([ServiceUnavailable("llm", "busy")], [0.1, "We open at nine."])
    async with Scene(config=SPEECH, llm=llm) as scene:
        await ask(scene)
        assert (await scene.wait_for(ReplyFinished)).text == "We open at nine."
        assert scene.all(ServiceFailed) == []
        assert states(scene) == ["begun", "wasted"]


@in_virtual_time
async def test_a_failure_after_the_turn_is_ours_is_told_to_the_caller() -> None:
    llm = ScriptedLlm(["Let me look that up for you. ", 0.8, ServiceUnavailable("llm", "gone")])
    async with Scene(config=SPEECH, llm=llm) as scene:
        await ask(scene)
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text.startswith("Let me look that up for you. I'm sorry")
        assert scene.all(ServiceFailed) == [ServiceFailed("llm", retryable=True)]


@in_virtual_time
async def test_a_hang_up_that_was_prepared_happens_after_the_turn_is_ours() -> None:
    async with Scene(config=SPEECH, llm=ScriptedLlm([ToolCall("hang_up")]), detector=ScriptedDetector(0.1)) as scene:
        await ask(scene)
        await asyncio.sleep(0.3)
        assert scene.all(HangUpRequested) == []
        await scene.wait_for(HangUpRequested)
        assert states(scene) == ["begun", "used"]


@in_virtual_time
async def test_an_answer_without_words_that_was_prepared_is_one() -> None:
    async with Scene(config=SPEECH, llm=ScriptedLlm([Silence()], ["Certainly."])) as scene:
        await ask(scene)
        await asyncio.sleep(1.0)
        assert (scene.all(ReplyStarted), scene.all(ServiceFailed), states(scene)) == ([], [], ["begun", "used"])
        await scene.leg.speak("hello there")
        assert (await scene.wait_for(ReplyFinished)).text == "Certainly."


@in_virtual_time
async def test_the_wait_for_a_decision_is_used_without_any_partials() -> None:
    async with Scene(config=SPEECH, detector=ScriptedDetector(0.1)) as scene:
        ended_at = await scene.leg.speak(QUESTION)
        await scene.wait_for(ReplyStarted)
        assert scene.first_sound_after(ended_at) - ended_at == pytest.approx(0.7, abs=0.045)
        assert states(scene) == ["begun", "used"]


@in_virtual_time
async def test_others_may_play_into_the_call_before_the_turn_is_ours() -> None:
    """Utterance ids only grow: what was prepared takes its own when it is let out."""
    async with Scene(config=SPEECH, detector=ScriptedDetector(0.1)) as scene:
        await ask(scene)
        await asyncio.sleep(0.3)
        beep = next(scene.utterance_ids)
        scene.leg.play(beep, b"\x01\x00" * 160)
        scene.leg.end_utterance(beep)
        assert (await scene.wait_for(ReplyFinished)).text == "Certainly."


@pytest.mark.parametrize("texts", [["red", "green", "blue", "white"]])
@in_virtual_time
async def test_there_are_at_most_so_many_tries_in_a_turn(texts: Sequence[str]) -> None:
    config = AgentConfig(greeting="", speculation=SpeculationConfig(max_per_turn=2))
    async with Scene(config=config) as scene:
        await asyncio.sleep(0.1)
        speaking = asyncio.create_task(scene.leg.speak(QUESTION))
        await asyncio.sleep(0.3)
        for text in texts:
            hear(scene, text)
            await asyncio.sleep(0.02)
        await speaking
        await scene.wait_for(ReplyFinished)
        assert states(scene) == ["begun", "wasted", "begun", "wasted"]
