# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller speaks while the agent speaks."""

import asyncio
import itertools

import pytest

from agent.config import AgentConfig, InterruptionConfig
from agent.errors import ServiceUnavailable
from agent.events import (
    HangUpRequested,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    TurnCommitted,
    TurnMeasured,
    TurnReopened,
)
from agent.services.llm import Message, ToolCall
from media.playout import UtteranceFinished, UtteranceStarted
from tests.fakes.scene import Scene
from tests.fakes.services import CHARACTERS_PER_S, ScriptedLlm, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."


@in_virtual_time
async def test_speech_stops_the_agent_within_60_ms_of_being_recognised() -> None:
    async with Scene(llm=ScriptedLlm([LONG])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.0)
        begun_at = scene.leg.packets[-1].sent_at
        await scene.leg.speak("stop it please", ms=1_000)
        last_sound = max(packet.sent_at for packet in scene.leg.packets if packet.peak)
        # 128 ms make it speech, found at the end of a 32 ms window that comes with a 20 ms frame.
        assert 0.128 <= last_sound - begun_at <= 0.128 + 0.060
        await scene.wait_for(TurnCommitted, 2)


@in_virtual_time
async def test_the_history_ends_at_the_word_that_was_heard() -> None:
    async with Scene(llm=ScriptedLlm([LONG], ["As you wish."])) as scene:
        await scene.leg.speak("count for me")
        started = await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.0)
        await scene.leg.speak("stop it please")
        interrupted = await scene.wait_for(ReplyInterrupted)
        assert LONG.startswith(f"{interrupted.heard_text} ")
        sent = [packet for packet in scene.leg.packets if packet.peak and packet.sent_at <= interrupted.ended_at]
        assert sent[0].sent_at == pytest.approx(started.started_at, abs=0.02)
        sent_characters = 0.02 * len(sent) * CHARACTERS_PER_S
        assert abs(len(interrupted.heard_text) - sent_characters) <= len("seven ")
        assert interrupted.text == LONG
        await scene.wait_for(ReplyFinished)
        assert scene.history == (
            Message("user", "count for me"),
            Message("assistant", interrupted.heard_text, interrupted=True),
            Message("user", "stop it please"),
        )


@in_virtual_time
async def test_clauses_before_the_interrupted_one_count_as_heard_and_later_ones_do_not() -> None:
    llm = ScriptedLlm(["We open at nine. We close at five in the afternoon. On Sunday we rest."])
    async with Scene(llm=llm) as scene:
        await scene.leg.speak("when are you open")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.2)
        await scene.leg.speak("thank you that is enough")
        interrupted = await scene.wait_for(ReplyInterrupted)
        assert interrupted.heard_text == "We open at nine. We close at"


@in_virtual_time
async def test_the_interrupting_words_are_heard_from_their_first_sample() -> None:
    async with Scene(llm=ScriptedLlm([LONG])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.7)
        await scene.leg.speak("stop it please")
        assert (await scene.wait_for(TurnCommitted, 2)).text == "stop it please"


@in_virtual_time
async def test_the_ledger_of_an_interrupted_reply_says_so() -> None:
    async with Scene(llm=ScriptedLlm([LONG])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("stop it please")
        measured = await scene.wait_for(TurnMeasured)
        assert (measured.ledger.turn_index, measured.ledger.interrupted) == (0, True)


@in_virtual_time
async def test_interrupting_cancels_language_model_and_voice() -> None:
    llm = ScriptedLlm(["This comes first. ", 0.4, "This comes later. ", 5.0, "This never comes."])
    async with Scene(llm=llm) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("stop it please")
        await asyncio.sleep(0.1)
        assert llm.cancelled == 1
        assert "This never comes." not in scene.tts.spoken


@in_virtual_time
async def test_the_greeting_can_be_interrupted() -> None:
    config = AgentConfig(greeting="Welcome to the longest greeting that anyone ever had to listen to.")
    async with Scene(config=config) as scene:
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("an appointment please")
        interrupted = await scene.wait_for(ReplyInterrupted)
        assert interrupted.turn_index is None
        await scene.wait_for(ReplyFinished)
        assert scene.history[0] == Message("assistant", interrupted.heard_text, interrupted=True)
        assert scene.history[1] == Message("user", "an appointment please")


@in_virtual_time
async def test_the_first_sound_makes_the_agent_quieter_and_a_click_does_no_more() -> None:
    async with Scene(llm=ScriptedLlm([LONG])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.7)
        clicked_at = scene.leg.packets[-1].sent_at
        await scene.leg.speak("", ms=60)
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == LONG
        ducked = [packet.sent_at for packet in scene.leg.packets if packet.gain < 1]
        assert clicked_at < ducked[0] <= clicked_at + 0.08
        assert 0.04 <= ducked[-1] - ducked[0] <= 0.2
        assert min(packet.gain for packet in scene.leg.packets) == pytest.approx(10 ** (-15 / 20))


@pytest.mark.parametrize("sound", ["uh-huh", "okay", ""])
@in_virtual_time
async def test_a_back_channel_or_cough_holds_the_agent_who_then_says_a_little_of_it_again(sound: str) -> None:
    config = AgentConfig(greeting="", interruption=InterruptionConfig(repeat_ms=160))
    async with Scene(config=config, llm=ScriptedLlm([LONG])) as scene:
        await scene.leg.speak("count for me")
        started = await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.7)
        spoke_at = await scene.leg.speak(sound, ms=300) - 0.3
        finished = await scene.wait_for(ReplyFinished)
        assert finished.text == LONG
        assert scene.all(ReplyInterrupted) == []
        heard = [packet.sent_at for packet in scene.leg.packets if packet.peak and packet.sent_at > started.started_at]
        held_s = max(later - earlier for earlier, later in itertools.pairwise(heard))
        assert 0.2 <= held_s <= 0.45  # from when it was speech to when its words were known
        said_s = 0.02 * len(heard)
        assert said_s - len(LONG) / CHARACTERS_PER_S == pytest.approx(0.16, abs=0.045)
        assert scene.leg.gain == 1.0
        await scene.leg.speak("thank you", ms=500)
        assert (await scene.wait_for(TurnCommitted, 2)).text == "thank you"
        assert spoke_at > started.started_at


@in_virtual_time
async def test_a_short_no_stops_the_agent_and_is_answered() -> None:
    async with Scene(llm=ScriptedLlm([LONG], ["Sorry."])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.7)
        await scene.leg.speak("no", ms=240)
        assert (await scene.wait_for(TurnCommitted, 2)).text == "no"
        assert len(scene.all(ReplyInterrupted)) == 1
        assert (await scene.wait_for(ReplyFinished)).text == "Sorry."


@in_virtual_time
async def test_what_was_passed_over_belongs_to_what_follows_at_once_but_not_later() -> None:
    for gap_ms, understood in ((500, "okay but what about sunday"), (1_500, "but what about sunday")):
        async with Scene(llm=ScriptedLlm([LONG])) as scene:
            await scene.leg.speak("count for me")
            await scene.wait_for(ReplyStarted)
            await asyncio.sleep(0.5)
            await scene.leg.speak("okay", ms=300)
            await scene.leg.pause_for(gap_ms)
            await scene.leg.speak("but what about sunday", ms=1_000)
            assert (await scene.wait_for(TurnCommitted, 2)).text == understood


@in_virtual_time
async def test_a_yes_at_the_end_of_our_question_is_its_answer() -> None:
    async with Scene(llm=ScriptedLlm(["We have time on Friday at nine. Shall I book it?"], ["Done."])) as scene:
        await scene.leg.speak("an appointment please")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.6)
        await scene.leg.speak("yes", ms=300)
        assert (await scene.wait_for(TurnCommitted, 2)).text == "yes"


@in_virtual_time
async def test_a_yes_in_the_middle_of_what_ends_with_a_question_is_none() -> None:
    async with Scene(llm=ScriptedLlm(["We have time on Friday at nine, and on Monday. Shall I book it?"])) as scene:
        await scene.leg.speak("an appointment please")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("yes", ms=300)
        await scene.wait_for(ReplyFinished)
        assert scene.all(ReplyInterrupted) == []


@in_virtual_time
async def test_words_over_a_protected_utterance_are_answered_after_it_and_back_channels_are_not() -> None:
    notice = "This call is recorded for training. You may object at any time."
    config = AgentConfig(greeting=notice, greeting_protected=True)
    async with Scene(config=config, llm=ScriptedLlm(["Certainly."])) as scene:
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("uh-huh", ms=300)
        await scene.leg.pause_for(1_200)
        await scene.leg.speak("please do not record me", ms=800)
        assert (await scene.wait_for(ReplyFinished)).text == notice
        assert all(packet.gain == 1.0 for packet in scene.leg.packets)
        assert (await scene.wait_for(TurnCommitted)).text == "please do not record me"
        assert (await scene.wait_for(ReplyFinished, 2)).text == "Certainly."


@in_virtual_time
async def test_a_protected_utterance_is_said_to_callers_who_speak_before_it_is_heard() -> None:
    notice = "This call is recorded for training. You may object at any time."
    config = AgentConfig(greeting=notice, greeting_protected=True)
    async with Scene(config=config, tts=ScriptedTts(first_byte_s=0.5), llm=ScriptedLlm(["Certainly."])) as scene:
        await scene.leg.speak("hello I have a question", ms=900)
        assert (await scene.wait_for(ReplyFinished)).text == notice
        assert (await scene.wait_for(TurnCommitted)).text == "hello I have a question"


@in_virtual_time
async def test_a_key_does_not_stop_a_protected_utterance_either_and_is_answered_after_it() -> None:
    async with Scene(llm=ScriptedLlm(["Certainly."])) as scene:
        scene.session.say(LONG, protected=True)
        await scene.wait_for(ReplyStarted)
        scene.session.dtmf("1")
        assert (await scene.wait_for(ReplyFinished)).text == LONG
        assert (await scene.wait_for(TurnCommitted)).text == "[pressed 1]"


@in_virtual_time
async def test_when_recognition_is_down_a_short_sound_lets_the_agent_go_on_and_a_long_one_stops_it() -> None:
    async with Scene(llm=ScriptedLlm([LONG])) as scene:
        scene.stt.failures = [ServiceUnavailable("stt", "down")]
        await scene.leg.speak("count for me", ms=700)
        await scene.wait_for(ReplyFinished)  # the apology
        scene.stt.failures = []
        await scene.leg.speak("count for me", ms=700)
        await scene.wait_for(ReplyStarted, 2)
        await asyncio.sleep(0.4)
        scene.stt.failures = [ServiceUnavailable("stt", "down")]
        await scene.leg.speak("uh-huh", ms=300)
        await asyncio.sleep(0.5)
        assert scene.all(ReplyInterrupted) == []
        await scene.leg.speak("let me speak", ms=900)
        assert len(scene.all(ReplyInterrupted)) == 1


@in_virtual_time
async def test_a_noise_that_stopped_the_agent_lets_it_go_on_where_it_was() -> None:
    async with Scene(llm=ScriptedLlm([LONG])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.0)
        await scene.leg.speak("", ms=900)
        heard = (await scene.wait_for(ReplyInterrupted)).heard_text
        finished = await scene.wait_for(ReplyFinished)
        assert f"{heard} {finished.text}" == LONG
        await scene.leg.speak("thank you")
        await scene.wait_for(ReplyFinished, 2)
        assert scene.history == (
            Message("user", "count for me"),
            Message("assistant", LONG),
            Message("user", "thank you"),
        )


@in_virtual_time
async def test_a_goodbye_that_a_noise_stopped_is_finished_before_the_agent_hangs_up() -> None:
    llm = ScriptedLlm(["Goodbye, and thank you very much for calling us.", ToolCall("hang_up")])
    async with Scene(llm=llm) as scene:
        await scene.leg.speak("goodbye")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("", ms=900)
        await scene.wait_for(HangUpRequested)
        heard = scene.all(ReplyInterrupted)[0].heard_text
        rest = scene.all(ReplyFinished)[0].text
        assert f"{heard} {rest}" == "Goodbye, and thank you very much for calling us."


@in_virtual_time
async def test_a_noise_before_the_greeting_does_not_swallow_it() -> None:
    config = AgentConfig(greeting="Hello, how can I help you?")
    async with Scene(config=config) as scene:
        await scene.leg.speak("", ms=200)
        assert (await scene.wait_for(ReplyFinished)).text == "Hello, how can I help you?"


@in_virtual_time
async def test_a_noise_before_the_answer_does_not_swallow_it() -> None:
    async with Scene(llm=ScriptedLlm([0.6, "Certainly."])) as scene:
        await scene.leg.speak("what time do you open")
        await scene.wait_for(TurnCommitted)
        await scene.leg.speak("", ms=200)
        assert (await scene.wait_for(ReplyFinished)).text == "Certainly."
        assert scene.all(TurnReopened) == [TurnReopened(0)]
        assert {committed.text for committed in scene.all(TurnCommitted)} == {"what time do you open"}


@in_virtual_time
async def test_a_policy_without_interruptions_finishes_and_then_listens() -> None:
    config = AgentConfig(greeting="", interruption=InterruptionConfig(enabled=False))
    async with Scene(config=config, llm=ScriptedLlm([LONG], ["Certainly."])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("stop it please", ms=600)
        assert (await scene.wait_for(ReplyFinished)).text == LONG
        assert all(packet.gain == 1.0 for packet in scene.leg.packets)
        await scene.leg.speak("thank you")
        assert (await scene.wait_for(TurnCommitted, 2)).text == "thank you"


@in_virtual_time
async def test_a_longer_confirmation_keeps_short_words_from_stopping_the_agent() -> None:
    config = AgentConfig(greeting="", interruption=InterruptionConfig(confirm_ms=500))
    async with Scene(config=config, llm=ScriptedLlm([LONG])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("uh-huh", ms=300)
        assert (await scene.wait_for(ReplyFinished)).text == LONG
        assert len(scene.all(TurnCommitted)) == 1
        assert scene.leg.gain == 1.0


@in_virtual_time
async def test_late_news_of_a_stopped_reply_changes_nothing() -> None:
    async with Scene(llm=ScriptedLlm([LONG], [0.5, "Certainly."])) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("stop it please")
        await scene.wait_for(TurnCommitted, 2)
        count = len(scene.events)
        stopped_id = next(packet.utterance_id for packet in scene.leg.packets if packet.utterance_id is not None)
        scene.session.playout(UtteranceStarted(stopped_id, scene.leg.packets[-1].sent_at))
        scene.session.playout(UtteranceFinished(stopped_id, 8_000, scene.leg.packets[-1].sent_at))
        assert len(scene.events) == count
        finished = await scene.wait_for(ReplyFinished)
        assert (finished.turn_index, finished.text) == (1, "Certainly.")
