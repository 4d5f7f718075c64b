# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that we placed: people are talked to, machines are not."""

from agent.config import AgentConfig, FarEndConfig
from agent.events import FarEndKnown, HangUpRequested, ReplyFinished, ReplyStarted, TurnCommitted
from tests.fakes.scene import Scene
from tests.fakes.virtual_time import in_virtual_time

GREETING = "Hello, this is Parley."
MESSAGE = AgentConfig(
    greeting=GREETING,
    far_end=FarEndConfig(voicemail="message", message="Please call us back."),
)


@in_virtual_time
async def test_a_person_is_answered() -> None:
    async with Scene(config=MESSAGE, is_placed=True) as scene:
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("hello who is there")
        await scene.wait_for(ReplyStarted, 2)
        assert scene.all(FarEndKnown) == [FarEndKnown("person", "words", 0.95)]


@in_virtual_time
async def test_a_voicemail_gets_the_message_after_its_greeting_and_nothing_else() -> None:
    async with Scene(config=MESSAGE, is_placed=True) as scene:
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("please leave a message")
        await scene.wait_for(HangUpRequested)
        assert scene.all(HangUpRequested) == [HangUpRequested("voicemail_message")]
        assert scene.all(ReplyFinished)[-1].text == "Please call us back."
        assert [turn.text for turn in scene.all(TurnCommitted)] == ["please leave a message"]
        assert not scene.llm.asked


@in_virtual_time
async def test_a_voicemail_that_gets_no_message_is_hung_up_on() -> None:
    async with Scene(config=AgentConfig(greeting=GREETING), is_placed=True) as scene:
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("you have reached the voicemail of tom")
        await scene.wait_for(HangUpRequested)
        assert scene.all(HangUpRequested) == [HangUpRequested("voicemail")]


@in_virtual_time
async def test_a_queue_is_waited_in_without_a_word_until_a_person_comes() -> None:
    async with Scene(config=MESSAGE, is_placed=True) as scene:
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("all of our agents are busy please hold")
        await scene.wait_for(TurnCommitted)
        await scene.leg.speak("hello this is sam")
        await scene.wait_for(ReplyStarted, 2)
        # The fake recogniser tells no words before the turn is over, and by its length it could be a person's.
        assert [known.kind for known in scene.all(FarEndKnown)] == ["person", "hold", "person"]
        assert len(scene.llm.asked) == 1


@in_virtual_time
async def test_who_called_us_is_a_person_whatever_he_says() -> None:
    async with Scene(config=MESSAGE) as scene:
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("please leave a message")
        await scene.wait_for(ReplyStarted, 2)
        assert not scene.all(FarEndKnown)
