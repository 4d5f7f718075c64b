# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that are slow, stall, refuse or die: the caller hears something sensible, and the call goes on."""

import asyncio

import pytest

from agent.config import AgentConfig, DeadlinesConfig
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.events import HangUpRequested, ReplyFinished, ServiceFailed, TurnCommitted, TurnMeasured
from agent.services.llm import Message
from tests.fakes.scene import QUICK, Scene
from tests.fakes.services import STALL, ScriptedDetector, ScriptedLlm, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

TROUBLE = AgentConfig().phrases.trouble
GOODBYE = AgentConfig().phrases.goodbye
IMPATIENT = AgentConfig(
    greeting="",
    turn=QUICK,
    deadlines=DeadlinesConfig(
        stt_final_ms=800, llm_first_token_ms=800, llm_stall_ms=800, tts_first_byte_ms=800, tts_stall_ms=800
    ),
)
REFUSED = ServiceRejected("llm", "401")


@in_virtual_time
async def test_a_language_model_that_fails_is_apologised_for_and_asked_again_next_time() -> None:
    llm = ScriptedLlm([ServiceUnavailable("llm", "overloaded")], ["Certainly."])
    async with Scene(llm=llm) as scene:
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == TROUBLE
        assert scene.all(ServiceFailed) == [ServiceFailed("llm", retryable=True)]
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished, 2)).text == "Certainly."
        assert scene.history[1] == Message("assistant", TROUBLE)


@in_virtual_time
async def test_a_language_model_that_never_begins_misses_its_deadline() -> None:
    async with Scene(config=IMPATIENT, llm=ScriptedLlm([STALL])) as scene:
        ended_at = await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == TROUBLE
        assert scene.first_sound_after(ended_at) - ended_at < 1.2
        assert scene.llm.cancelled == 1


@in_virtual_time
async def test_a_language_model_that_stalls_is_apologised_for_after_what_it_said() -> None:
    async with Scene(config=IMPATIENT, llm=ScriptedLlm(["We open at nine. And then ", STALL])) as scene:
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == f"We open at nine. {TROUBLE}"


@in_virtual_time
async def test_a_language_model_that_breaks_off_is_apologised_for_after_what_it_said() -> None:
    async with Scene(llm=ScriptedLlm(["We open at nine. And then ", 0.2, REFUSED])) as scene:
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == f"We open at nine. {TROUBLE}"
        assert scene.all(ServiceFailed) == [ServiceFailed("llm", retryable=False)]


@in_virtual_time
async def test_an_empty_answer_is_a_failure() -> None:
    async with Scene(llm=ScriptedLlm(["", "  "])) as scene:
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == TROUBLE


@in_virtual_time
async def test_a_voice_that_fails_is_replaced_by_what_was_rendered_before() -> None:
    tts = ScriptedTts(failing_clauses={"Certainly.": [ServiceUnavailable("tts", "gone")]})
    async with Scene(tts=tts) as scene:
        await scene.leg.speak("what time do you open")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text.endswith(TROUBLE)
        assert tts.spoken == ["Certainly."]


@in_virtual_time
async def test_a_voice_that_stalls_in_the_middle_of_a_clause_misses_its_deadline() -> None:
    clause = "We open at nine in the morning on every day of the week."
    tts = ScriptedTts(failing_clauses={clause: [STALL]})
    async with Scene(config=IMPATIENT, tts=tts, llm=ScriptedLlm([clause])) as scene:
        await scene.leg.speak("what time do you open")
        finished = await scene.wait_for(ReplyFinished)
        heard = finished.text.removesuffix(f" {TROUBLE}")
        assert heard != finished.text
        assert clause.startswith(heard)
        assert 4 <= len(heard.split()) <= 8


@in_virtual_time
async def test_a_voice_that_never_begins_misses_its_deadline() -> None:
    async with Scene(config=IMPATIENT, tts=ScriptedTts(first_byte_s=STALL)) as scene:
        ended_at = await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == TROUBLE
        assert scene.first_sound_after(ended_at) - ended_at < 1.4


@in_virtual_time
async def test_without_any_voice_the_agent_gives_up_after_three_turns() -> None:
    async with Scene(config=IMPATIENT, tts=ScriptedTts(first_byte_s=STALL), prepared=False) as scene:
        for _ in range(3):
            await scene.leg.speak("is anybody there")
            await scene.leg.pause_for(4_000)
        assert scene.all(HangUpRequested) == [HangUpRequested("service_failure")]


@in_virtual_time
async def test_speech_recognition_that_fails_is_apologised_for() -> None:
    async with Scene() as scene:
        scene.stt.failures.append(ServiceUnavailable("stt", "overloaded"))
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == TROUBLE
        assert scene.all(TurnCommitted) == []
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(TurnCommitted)).text == "what time do you open"


@in_virtual_time
async def test_speech_recognition_that_is_slow_misses_its_deadline() -> None:
    async with Scene(config=IMPATIENT) as scene:
        scene.stt.final_s = STALL
        ended_at = await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(ReplyFinished)).text == TROUBLE
        assert scene.first_sound_after(ended_at) - ended_at < 1.1


@in_virtual_time
async def test_waiting_for_a_transcript_is_not_part_of_the_decision() -> None:
    async with Scene() as scene:
        scene.stt.final_s = 0.6
        await scene.leg.speak("what time do you open")
        segments = (await scene.wait_for(TurnMeasured)).ledger.segments_ms
        assert segments["endpointing"] == pytest.approx(230, abs=33)
        assert segments["stt_final"] == pytest.approx(570, abs=1)


@in_virtual_time
async def test_speech_recognition_that_cannot_be_opened_is_tried_again() -> None:
    async with Scene() as scene:
        scene.stt.open_failures += [ServiceUnavailable("stt", "no connection")] * 2
        await scene.leg.pause_for(4_000)
        await scene.leg.speak("what time do you open")
        assert (await scene.wait_for(TurnCommitted)).text == "what time do you open"
        assert scene.all(ServiceFailed) == [ServiceFailed("stt", retryable=True)] * 2


@in_virtual_time
async def test_speech_recognition_that_opens_late_still_hears_the_whole_turn() -> None:
    async with Scene() as scene:
        scene.stt.open_failures.append(ServiceUnavailable("stt", "no connection"))
        await scene.leg.speak("what time do you open", ms=1_500)
        assert (await scene.wait_for(TurnCommitted)).text == "what time do you open"


@in_virtual_time
async def test_when_services_keep_failing_the_agent_says_goodbye_and_hangs_up() -> None:
    async with Scene(llm=ScriptedLlm([REFUSED])) as scene:
        for count in (1, 2, 3):
            await scene.leg.speak("what time do you open")
            await scene.wait_for(ReplyFinished, count)
        await asyncio.sleep(0.01)
        assert [finished.text for finished in scene.all(ReplyFinished)] == [TROUBLE, TROUBLE, GOODBYE]
        assert scene.end_reason == "service_failure"


@in_virtual_time
async def test_an_answer_that_works_forgives_earlier_failures() -> None:
    llm = ScriptedLlm([REFUSED], [REFUSED], ["Certainly."], [REFUSED])
    async with Scene(llm=llm) as scene:
        for count in (1, 2, 3, 4):
            await scene.leg.speak("what time do you open")
            await scene.wait_for(ReplyFinished, count)
        assert scene.all(ReplyFinished)[-1].text == TROUBLE
        assert scene.all(HangUpRequested) == []


@in_virtual_time
async def test_failures_of_speech_recognition_count_too() -> None:
    async with Scene() as scene:
        scene.stt.failures += [ServiceUnavailable("stt", "overloaded")] * 3
        for count in (1, 2, 3):
            await scene.leg.speak("what time do you open")
            await scene.wait_for(ReplyFinished, count)
        await asyncio.sleep(0.01)
        assert scene.all(HangUpRequested) == [HangUpRequested("service_failure")]


@in_virtual_time
async def test_without_an_end_of_turn_model_the_waits_decide() -> None:
    detector = ScriptedDetector(failures=[ServiceUnavailable("turn_detector", "gone")])
    async with Scene(detector=detector) as scene:
        ended_at = await scene.leg.speak("my tooth hurts")
        assert (await scene.wait_for(ReplyFinished)).text == "Certainly."
        assert scene.first_sound_after(ended_at) - ended_at == pytest.approx(0.9, abs=0.045)
        assert scene.all(ServiceFailed) == [ServiceFailed("turn_detector", retryable=True)]
