# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole turns: a caller who speaks, pauses, presses keys, says goodbye; services that work."""

import asyncio

import pytest

from agent.config import AgentConfig, SpeculationConfig
from agent.events import (
    HangUpRequested,
    ReplyFinished,
    ReplyStarted,
    TranscriptPartial,
    TurnCommitted,
    TurnMeasured,
    TurnReopened,
)
from agent.expectation import Expectation
from agent.services.llm import Message, ToolCall
from agent.services.stt import Transcript
from tests.fakes.leg import FakeLeg
from tests.fakes.scene import QUICK, Scene
from tests.fakes.services import ScriptedDetector, ScriptedLlm, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

GREETING = AgentConfig(greeting="Hello, how can I help you?")


@in_virtual_time
async def test_the_agent_greets_and_the_greeting_is_part_of_the_conversation() -> None:
    async with Scene(config=GREETING) as scene:
        finished = await scene.wait_for(ReplyFinished)
        assert (finished.turn_index, finished.text) == (None, "Hello, how can I help you?")
        await scene.leg.speak("what time do you open")
        await scene.wait_for(TurnCommitted)
        assert scene.history == (
            Message("assistant", "Hello, how can I help you?"),
            Message("user", "what time do you open"),
        )


@in_virtual_time
async def test_without_a_greeting_the_caller_speaks_first() -> None:
    async with Scene() as scene:
        await scene.leg.pause_for(5_000)
        assert scene.events == []


@in_virtual_time
async def test_a_finished_turn_is_answered_after_what_cannot_overlap() -> None:
    llm, tts = ScriptedLlm([0.2, "We open at nine."]), ScriptedTts(first_byte_s=0.1)
    async with Scene(llm=llm, tts=tts, detector=ScriptedDetector(0.95, answers_s=0.03)) as scene:
        ended_at = await scene.leg.speak("what time do you open")
        await scene.wait_for(ReplyStarted)
        response_s = scene.first_sound_after(ended_at) - ended_at
        # 200 ms of silence, 80 ms of recognition (the detector's 30 ms beside it), 200 + 100 ms, one packet.
        assert response_s == pytest.approx(0.58, abs=0.045)


@in_virtual_time
async def test_the_ledger_sums_to_the_response_time_on_the_line() -> None:
    async with Scene(tts=ScriptedTts(silence_s=0.3)) as scene:
        ended_at = await scene.leg.speak("what time do you open")
        ledger = (await scene.wait_for(TurnMeasured)).ledger
        assert sum(ledger.segments_ms.values()) == pytest.approx(ledger.response_ms, abs=1e-6)
        assert ledger.response_ms == pytest.approx((scene.first_sound_after(ended_at) - ended_at) * 1e3, abs=33)
        assert ledger.segments_ms["llm_first_token"] == pytest.approx(100, abs=1)
        assert ledger.segments_ms["tts_first_byte"] == pytest.approx(100, abs=1)
        assert (ledger.turn_index, ledger.interrupted, ledger.speculative) == (0, False, False)


@in_virtual_time
async def test_an_unfinished_turn_waits_the_long_wait() -> None:
    config = AgentConfig(greeting="", turn=QUICK, speculation=SpeculationConfig(mode="off"))
    async with Scene(config=config, detector=ScriptedDetector(0.1)) as scene:
        ended_at = await scene.leg.speak("my number")
        await scene.wait_for(ReplyStarted)
        # 700 ms, 100 for the language model, 100 for the voice; the transcript came meanwhile.
        assert scene.first_sound_after(ended_at) - ended_at == pytest.approx(0.9, abs=0.045)


@in_virtual_time
async def test_a_pause_within_a_turn_does_not_end_it() -> None:
    async with Scene(detector=ScriptedDetector(0.1)) as scene:
        await scene.leg.speak("I would like")
        await scene.leg.pause_for(500)
        await scene.leg.speak("an appointment")
        committed = await scene.wait_for(TurnCommitted)
        assert committed.text == "I would like an appointment"
        assert len(scene.all(TurnCommitted)) == 1
        assert scene.stt.streams[0].finals == 2


@in_virtual_time
async def test_a_caller_who_goes_on_cancels_the_transcript_that_was_asked_for() -> None:
    async with Scene() as scene:
        scene.stt.final_s = 0.6
        await scene.leg.speak("I would like")
        await scene.leg.pause_for(300)
        await scene.leg.speak("an appointment", ms=1_200)
        assert (await scene.wait_for(TurnCommitted)).text == "I would like an appointment"
        assert scene.stt.streams[0].finals == 1


@in_virtual_time
async def test_the_transcript_made_during_the_wait_is_used() -> None:
    async with Scene(detector=ScriptedDetector(0.1)) as scene:
        await scene.leg.speak("my number")
        await scene.wait_for(TurnMeasured)
        assert scene.stt.streams[0].finals == 1
        assert scene.all(TurnMeasured)[0].ledger.segments_ms["stt_final"] == 0


@in_virtual_time
async def test_a_caller_who_goes_on_before_the_answer_is_audible_reopens_the_turn() -> None:
    async with Scene(llm=ScriptedLlm([0.5, "Certainly."])) as scene:
        await scene.leg.speak("I would like")
        await scene.wait_for(TurnCommitted)
        second_end = await scene.leg.speak("an appointment")
        committed = await scene.wait_for(TurnCommitted, 2)
        assert scene.all(TurnReopened) == [TurnReopened(0)]
        assert (committed.turn_index, committed.text) == (0, "I would like an appointment")
        await scene.wait_for(ReplyFinished)
        assert not scene.audible_between(0, second_end)
        assert scene.history == (Message("user", "I would like an appointment"),)
        assert scene.llm.cancelled == 1


@in_virtual_time
async def test_the_next_turn_begins_where_the_answered_one_ended() -> None:
    async with Scene() as scene:
        await scene.leg.speak("what time do you open")
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("and when do you close")
        await scene.wait_for(ReplyFinished, 2)
        first, second = scene.all(TurnCommitted)
        assert (first.turn_index, first.text) == (0, "what time do you open")
        assert (second.turn_index, second.text) == (1, "and when do you close")
        assert scene.history == (
            Message("user", "what time do you open"),
            Message("assistant", "Certainly."),
            Message("user", "and when do you close"),
        )


@in_virtual_time
async def test_a_sound_without_words_is_dropped_silently() -> None:
    async with Scene() as scene:
        await scene.leg.speak("", ms=400)
        await scene.leg.pause_for(3_000)
        assert scene.events == []
        await scene.leg.speak("hello there")
        assert (await scene.wait_for(TurnCommitted)).text == "hello there"


@in_virtual_time
async def test_silence_is_never_sent_to_speech_recognition() -> None:
    async with Scene() as scene:
        await scene.leg.pause_for(20_000)
        assert scene.stt.streams[0].pushed_samples == 0
        await scene.leg.speak("what time do you open", ms=1_000)
        await scene.wait_for(ReplyFinished)
        # The speech, 500 ms before it was recognised as such, and the pause up to the question.
        assert 8 * 1_200 <= scene.stt.streams[0].pushed_samples <= 8 * 1_700


@in_virtual_time
async def test_partials_are_told_while_the_caller_speaks_and_not_otherwise() -> None:
    async with Scene() as scene:
        await asyncio.sleep(0.1)
        scene.stt.streams[0].on_partial(Transcript("you", False, 0.1))
        speaking = asyncio.create_task(scene.leg.speak("what time do you open"))
        await asyncio.sleep(0.5)
        scene.stt.streams[0].on_partial(Transcript("what time", False, 0.5))
        await speaking
        await scene.wait_for(ReplyFinished)
        assert scene.all(TranscriptPartial) == [TranscriptPartial(0, "what time")]


@in_virtual_time
async def test_later_clauses_are_rendered_while_the_first_one_plays() -> None:
    llm = ScriptedLlm(["We open at nine. ", 0.3, "We close at five. ", 0.3, "On Sunday we rest."])
    async with Scene(llm=llm, tts=ScriptedTts(first_byte_s=0.3)) as scene:
        ended_at = await scene.leg.speak("when are you open")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == "We open at nine. We close at five. On Sunday we rest."
        begin = scene.first_sound_after(ended_at)
        silent = [
            packet for packet in scene.leg.packets if begin < packet.sent_at < finished.ended_at and not packet.peak
        ]
        assert silent == []


@in_virtual_time
async def test_rendering_does_not_run_far_ahead_of_playing() -> None:
    async with Scene(llm=ScriptedLlm(["This is one of very many sentences. " * 20])) as scene:
        await scene.leg.speak("tell me everything")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1)
        assert scene.leg.queued_ms < 8_000
        finished = await scene.wait_for(ReplyFinished)
        assert finished.ended_at - finished.started_at == pytest.approx(20 * 35 / 20, rel=0.02)


@in_virtual_time
async def test_a_leg_whose_queue_is_full_gets_the_rest_later() -> None:
    answer = "This sentence is quite a bit longer than the queue of that leg."
    async with Scene(leg=FakeLeg(max_queued_ms=400), llm=ScriptedLlm([answer])) as scene:
        await scene.leg.speak("what is it")
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == answer
        assert finished.ended_at - finished.started_at == pytest.approx(len(answer) / 20, abs=0.03)


@in_virtual_time
async def test_the_voice_begins_without_its_leading_silence() -> None:
    async with Scene(tts=ScriptedTts(silence_s=0.3)) as scene:
        ended_at = await scene.leg.speak("what time do you open")
        started = await scene.wait_for(ReplyStarted)
        first_sound = scene.first_sound_after(ended_at)
        assert first_sound - ended_at == pytest.approx(0.48, abs=0.045)
        assert started.started_at == pytest.approx(first_sound, abs=0.011)


@in_virtual_time
async def test_a_goodbye_is_heard_to_its_end_before_the_agent_hangs_up() -> None:
    llm = ScriptedLlm(["Goodbye, and thank you for calling.", ToolCall("hang_up")])
    async with Scene(llm=llm) as scene:
        await scene.leg.speak("goodbye")
        finished = await scene.wait_for(ReplyFinished)
        await asyncio.sleep(0.01)
        assert scene.events[-1] == HangUpRequested("goodbye")
        assert finished.text == "Goodbye, and thank you for calling."
        assert scene.end_reason == "goodbye"
        assert scene.stt.streams[0].is_closed


@in_virtual_time
async def test_a_caller_with_more_to_say_stops_the_agent_from_hanging_up() -> None:
    llm = ScriptedLlm(["Goodbye, and thank you for calling.", ToolCall("hang_up")], ["Of course."])
    async with Scene(llm=llm) as scene:
        await scene.leg.speak("goodbye")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("oh wait, one more thing")
        await scene.wait_for(ReplyFinished)
        assert scene.all(HangUpRequested) == []
        assert scene.all(ReplyFinished)[0].text == "Of course."


@in_virtual_time
async def test_a_tool_the_agent_may_not_use_does_nothing() -> None:
    config = AgentConfig(greeting="", tools=())
    async with Scene(config=config, llm=ScriptedLlm(["Goodbye.", ToolCall("hang_up")])) as scene:
        await scene.leg.speak("goodbye")
        await scene.wait_for(ReplyFinished)
        assert scene.all(HangUpRequested) == []


@in_virtual_time
async def test_keys_make_a_turn_when_no_more_come() -> None:
    async with Scene() as scene:
        for digit in "4711":
            scene.session.dtmf(digit)
            await asyncio.sleep(0.3)
        committed = await scene.wait_for(TurnCommitted)
        assert committed.text == "[pressed 4711]"
        ledger = (await scene.wait_for(TurnMeasured)).ledger
        assert ledger.segments_ms["endpointing"] == pytest.approx(2_000, abs=1)


@in_virtual_time
async def test_the_hash_key_ends_a_number_at_once() -> None:
    async with Scene() as scene:
        for digit in "42#":
            scene.session.dtmf(digit)
        assert (await scene.wait_for(TurnCommitted, timeout_s=0.1)).text == "[pressed 42]"


@in_virtual_time
@pytest.mark.parametrize("by_config", [False, True])
async def test_secret_keys_are_stars_to_everybody_but_whoever_takes_them(by_config: bool) -> None:
    llm = ScriptedLlm(["Thank you."])
    config = AgentConfig(greeting="", secret_keys=by_config)
    async with Scene(config=config, llm=llm) as scene:
        for digit in "4711#":
            scene.session.dtmf(digit, secret=not by_config)
        assert (await scene.wait_for(TurnCommitted)).text == "[pressed ****]"
        await scene.wait_for(ReplyFinished)
        assert "[pressed ****]" in repr(llm.asked)
        assert "4711" not in repr(llm.asked) + repr(scene.events)
        assert scene.session.take_secret_keys() == "4711"
        assert scene.session.take_secret_keys() == ""


@in_virtual_time
async def test_a_key_stops_the_agent() -> None:
    async with Scene(config=GREETING) as scene:
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.3)
        scene.session.dtmf("1")
        pressed_at = scene.leg.packets[-1].sent_at
        await asyncio.sleep(1.5)
        assert not scene.audible_between(pressed_at, pressed_at + 1.5)
        assert (await scene.wait_for(TurnCommitted)).text == "[pressed 1]"


@in_virtual_time
async def test_keys_pressed_with_words_go_with_them() -> None:
    async with Scene() as scene:
        speaking = asyncio.create_task(scene.leg.speak("here is my number"))
        await asyncio.sleep(0.4)
        scene.session.dtmf("7")
        await speaking
        assert (await scene.wait_for(TurnCommitted)).text == "here is my number [pressed 7]"
        await scene.leg.pause_for(4_000)
        assert len(scene.all(TurnCommitted)) == 1


@in_virtual_time
async def test_announcements_wait_until_nobody_speaks() -> None:
    async with Scene() as scene:
        await scene.leg.speak("what time do you open")
        await scene.wait_for(ReplyStarted)
        scene.session.say("Your call is being recorded.")
        await scene.wait_for(ReplyFinished, 2)
        assert [finished.text for finished in scene.all(ReplyFinished)] == [
            "Certainly.",
            "Your call is being recorded.",
        ]


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "seen in the frames"])
@in_virtual_time
async def test_after_a_change_of_codec_the_conversation_goes_on_at_the_new_rate(is_told: bool) -> None:
    async with Scene() as scene:
        await scene.leg.speak("what time do you open")
        await scene.wait_for(ReplyFinished)
        scene.leg.change_rate(16_000)
        if is_told:
            scene.session.audio_changed(16_000)
        await scene.leg.speak("and when do you close")
        await scene.wait_for(ReplyFinished, 2)
        assert [committed.text for committed in scene.all(TurnCommitted)] == [
            "what time do you open",
            "and when do you close",
        ]
        assert [stream.sample_rate_hz for stream in scene.stt.streams] == [8_000, 16_000]
        assert [stream.is_closed for stream in scene.stt.streams] == [True, False]


@in_virtual_time
async def test_a_line_that_stops_sending_ends_the_turn() -> None:
    async with Scene() as scene:
        speaking = asyncio.create_task(scene.leg.speak("what time do you open", ms=800))
        await asyncio.sleep(0.81)
        scene.leg.on_frames = lambda frames: None  # silence suppression without comfort noise
        await speaking
        committed = await scene.wait_for(TurnCommitted, timeout_s=2)
        assert committed.text.startswith("what time do you open")


@in_virtual_time
async def test_hanging_up_in_the_middle_of_a_reply_records_what_was_heard() -> None:
    async with Scene(llm=ScriptedLlm(["One two three four five six seven eight nine ten."])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.95)
    interrupted = scene.events[-2]
    measured = scene.events[-1]
    assert interrupted.__class__.__name__ == "ReplyInterrupted"
    assert getattr(interrupted, "heard_text", "") == "One two three four"
    assert isinstance(measured, TurnMeasured)
    assert measured.ledger.interrupted
    assert scene.stt.streams[0].is_closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_what_comes_after_the_end_is_ignored() -> None:
    llm = ScriptedLlm(["Goodbye.", ToolCall("hang_up")])
    async with Scene(llm=llm) as scene:
        await scene.leg.speak("goodbye")
        await scene.wait_for(HangUpRequested)
        count = len(scene.events)
        await scene.leg.speak("are you still there")
        scene.session.dtmf("1")
        scene.session.say("Too late.")
        await scene.leg.pause_for(3_000)
        assert len(scene.events) == count


@in_virtual_time
async def test_after_our_question_for_a_number_its_digits_are_not_cut_between_groups() -> None:
    config = AgentConfig(greeting="Hello, what is your phone number?")
    async with Scene(config=config) as scene:
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("two one two")
        await scene.leg.pause_for(1_200)
        await scene.leg.speak("five five five")
        await scene.leg.pause_for(1_200)
        ended_at = await scene.leg.speak("zero one four seven")
        committed = await scene.wait_for(TurnCommitted)
        assert committed.text == "two one two five five five zero one four seven"
        assert len(scene.all(TurnCommitted)) == 1
        assert asyncio.get_running_loop().time() - ended_at < 0.5


@in_virtual_time
async def test_what_is_expected_and_how_hesitant_the_caller_sounds_can_be_told_to_the_session() -> None:
    async with Scene(config=AgentConfig(greeting="")) as scene:
        scene.session.expect(Expectation("digits", length=2))
        await scene.leg.speak("four seven")
        await scene.wait_for(ReplyFinished)
        scene.session.hesitate(3.0)
        ended_at = await scene.leg.speak("what time do you open")
        await scene.wait_for(ReplyFinished, 2)
        assert scene.first_sound_after(ended_at) - ended_at > 0.8
