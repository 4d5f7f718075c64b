# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that we placed begin with the "hello" of whoever takes them; then we greet, before its words are known."""

import asyncio

from agent.config import AgentConfig, FarEndConfig, TurnConfig
from agent.errors import ServiceUnavailable
from agent.events import (
    FarEndKnown,
    HangUpRequested,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    TurnCommitted,
    TurnMeasured,
    TurnReopened,
)
from agent.far_end_kind import FarEndKind
from media.tones import tone
from tests.fakes.scene import QUICK, Scene
from tests.fakes.services import ScriptedTts
from tests.fakes.virtual_time import in_virtual_time

GREETING = "Hello, this is Parley."
CONFIG = AgentConfig(greeting=GREETING)
SLOW = CONFIG.model_copy(update={"turn": TurnConfig(clear_wait_ms=1_000, fluent_wait_ms=1_000)})


@in_virtual_time
async def test_the_greeting_begins_within_400_ms_of_hello() -> None:
    async with Scene(config=SLOW, tts=ScriptedTts(first_byte_s=0.0), is_placed=True) as scene:
        await scene.leg.pause_for(700)
        assert not scene.audible_between(0.0, asyncio.get_running_loop().time())
        ended_at = await scene.leg.speak("hello", ms=400)
        said = await scene.wait_for(ReplyFinished)
        assert said.text == GREETING
        assert scene.first_sound_after(ended_at) - ended_at <= 0.4
        assert not scene.llm.asked


@in_virtual_time
async def test_hello_is_in_the_record_and_the_greeting_answers_it() -> None:
    async with Scene(config=SLOW, tts=ScriptedTts(first_byte_s=0.0), is_placed=True) as scene:
        await scene.leg.speak("hello", ms=400)
        await scene.wait_for(ReplyFinished)
        assert [(turn.turn_index, turn.text) for turn in scene.all(TurnCommitted)] == [(0, "hello")]
        measured = await scene.wait_for(TurnMeasured)
        assert measured.ledger.turn_index == 0
        assert measured.ledger.response_ms <= 400
        await scene.leg.speak("what do you want")
        await scene.wait_for(ReplyStarted, 2)
        assert [message.text for message in scene.history] == ["hello", GREETING, "what do you want"]
        assert [turn.turn_index for turn in scene.all(TurnCommitted)] == [0, 1]


@in_virtual_time
async def test_words_that_come_late_are_not_lost_and_not_said_twice() -> None:
    async with Scene(config=CONFIG, is_placed=True) as scene:
        scene.stt.final_s = 0.5
        await scene.leg.speak("hello", ms=400)
        await scene.wait_for(ReplyFinished)
        assert [turn.text for turn in scene.all(TurnCommitted)] == ["hello"]
        await scene.leg.speak("who is there")
        await scene.wait_for(ReplyStarted, 2)
        assert [turn.text for turn in scene.all(TurnCommitted)] == ["hello", "who is there"]


@in_virtual_time
async def test_who_goes_on_before_we_are_heard_is_listened_to_and_greeted_then() -> None:
    async with Scene(config=CONFIG, is_placed=True) as scene:
        await scene.leg.speak("hello", ms=400)
        await scene.leg.pause_for(180)
        ended_at = await scene.leg.speak("this is jane", ms=900)
        await scene.wait_for(ReplyFinished)
        assert [reply.text for reply in scene.all(ReplyFinished)] == [GREETING]
        assert scene.first_sound_after(0.0) > ended_at
        assert len(scene.all(TurnCommitted)) == 1 + len(scene.all(TurnReopened))
        assert scene.all(TurnCommitted)[-1].text == "hello this is jane"
        assert not scene.llm.asked
        await scene.leg.speak("what do you want")
        await scene.wait_for(ReplyStarted, 2)
        assert [message.text for message in scene.history] == ["hello this is jane", GREETING, "what do you want"]


@in_virtual_time
async def test_who_says_nothing_is_greeted_after_two_seconds() -> None:
    async with Scene(config=CONFIG, is_placed=True) as scene:
        began_at = asyncio.get_running_loop().time()
        await scene.wait_for(ReplyFinished)
        assert 1.9 < scene.first_sound_after(0.0) - began_at < 2.5


@in_virtual_time
async def test_an_agent_that_waits_for_nobody_greets_at_once() -> None:
    config = CONFIG.model_copy(update={"far_end": FarEndConfig(greet_after_s=0.0)})
    async with Scene(config=config, is_placed=True) as scene:
        began_at = asyncio.get_running_loop().time()
        await scene.wait_for(ReplyFinished)
        assert scene.first_sound_after(0.0) - began_at < 1.0


@in_virtual_time
async def test_a_voicemail_that_says_what_it_is_gets_no_greeting() -> None:
    async with Scene(config=CONFIG, is_placed=True) as scene:
        await scene.leg.speak("please leave a message", ms=2_500)
        await scene.wait_for(HangUpRequested)
        assert scene.all(HangUpRequested) == [HangUpRequested("voicemail")]
        assert not scene.all(ReplyStarted)


@in_virtual_time
async def test_a_voicemail_that_pauses_like_a_person_stops_the_greeting() -> None:
    message = CONFIG.model_copy(update={"far_end": FarEndConfig(voicemail="message", message="Call us back.")})
    async with Scene(config=message, is_placed=True) as scene:
        await scene.leg.speak("hello", ms=400)
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("you have reached the voicemail of jane please leave a message", ms=4_000)
        await scene.wait_for(HangUpRequested)
        assert [reply.text for reply in scene.all(ReplyInterrupted)] == [GREETING]
        assert scene.all(ReplyFinished)[-1].text == "Call us back."
        assert scene.all(FarEndKnown)[-1].kind == "voicemail"


@in_virtual_time
async def test_a_menu_is_answered_and_the_person_behind_it_greeted() -> None:
    async with Scene(config=CONFIG.model_copy(update={"turn": QUICK}), is_placed=True) as scene:
        await scene.leg.speak("for sales press one for service press two", ms=2_500)
        await scene.wait_for(ReplyFinished)
        assert len(scene.llm.asked) == 1
        await scene.leg.speak("hello this is sam", ms=900)
        await scene.wait_for(ReplyFinished, 2)
        assert scene.all(ReplyFinished)[-1].text == GREETING


@in_virtual_time
async def test_a_greeting_that_must_be_heard_to_its_end_is() -> None:
    config = CONFIG.model_copy(update={"greeting_protected": True})
    async with Scene(config=config, is_placed=True) as scene:
        await scene.leg.speak("hello", ms=400)
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("no stop wait who is this")
        await scene.wait_for(ReplyFinished)
        assert not scene.all(ReplyInterrupted)
        assert scene.all(ReplyFinished)[0].text == GREETING


@in_virtual_time
async def test_who_breaks_into_our_first_word_is_greeted_from_the_beginning() -> None:
    async with Scene(config=CONFIG, tts=ScriptedTts(first_byte_s=0.0), is_placed=True) as scene:
        await scene.leg.speak("yeah", ms=300)
        await scene.wait_for(ReplyStarted)
        ended_at = await scene.leg.speak("wait who is that", ms=900)
        said = await scene.wait_for(ReplyFinished)
        assert said.text == GREETING
        assert scene.first_sound_after(ended_at + 0.1) - ended_at <= 0.5
        assert not scene.llm.asked


class Judge:
    def __init__(self, kind: FarEndKind | None) -> None:
        self.asked: list[str] = []
        self._kind = kind

    async def judge(self, text: str) -> FarEndKind:
        self.asked.append(text)
        await asyncio.sleep(0.3)
        if self._kind is None:
            raise ServiceUnavailable("llm", "away")
        return self._kind


DOUBTFUL = "thank you for thinking of the people of our little town we are so glad that you do"


@in_virtual_time
async def test_words_that_tell_nothing_are_shown_to_a_language_model() -> None:
    judge = Judge(FarEndKind.VOICEMAIL)
    async with Scene(config=CONFIG, is_placed=True, far_end_judge=judge) as scene:
        await scene.leg.speak(DOUBTFUL, ms=2_800)
        await scene.wait_for(HangUpRequested)
        assert judge.asked == [DOUBTFUL]
        assert scene.all(FarEndKnown)[-1].cause == "judgement"


@in_virtual_time
async def test_a_language_model_that_fails_leaves_it_to_the_pauses() -> None:
    judge = Judge(None)
    async with Scene(config=CONFIG, is_placed=True, far_end_judge=judge) as scene:
        await scene.leg.speak(DOUBTFUL, ms=2_800)
        await scene.wait_for(ReplyFinished)
        assert judge.asked
        assert scene.all(FarEndKnown)[-1].kind == "person"


@in_virtual_time
async def test_the_message_is_rendered_before_the_machine_records() -> None:
    config = CONFIG.model_copy(update={"far_end": FarEndConfig(voicemail="message", message="Call us back.")})
    tts = ScriptedTts(first_byte_s=0.9)
    async with Scene(config=config, tts=tts, is_placed=True) as scene:
        ended_at = await scene.leg.speak("please leave a message", ms=4_000)
        await scene.wait_for(HangUpRequested)
        assert scene.first_sound_after(ended_at) - ended_at < 2.5 + 0.2


@in_virtual_time
async def test_the_message_begins_after_the_beep_whether_or_not_the_machines_turn_is_over() -> None:
    config = CONFIG.model_copy(update={"far_end": FarEndConfig(voicemail="message", message="Call us back.")})
    async with Scene(config=config, tts=ScriptedTts(first_byte_s=0.0), is_placed=True) as scene:
        await scene.leg.speak("please leave a message and", ms=2_600)
        beeped_at = await scene.leg.sound(tone((1000.0,), 200, 8000) // 32)  # too soft for the scripted detector
        await scene.wait_for(HangUpRequested)
        assert 0.0 < scene.first_sound_after(beeped_at) - beeped_at <= 0.6
        assert [turn.text for turn in scene.all(TurnCommitted)] == ["please leave a message and"]
