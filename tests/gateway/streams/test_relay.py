# SPDX-License-Identifier: GPL-3.0-or-later
"""A text backend converses through an agent's session: a scripted caller, scripted engines, virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.events import AgentEvent, ReplyFinished, ReplyInterrupted, ReplyStarted, ServiceFailed
from agent.services.stt import Transcript
from gateway.streams.conversationrelay import EndSession
from gateway.streams.messages import SendKeys
from gateway.streams.relay import RelayConversation, relay_config
from tests.fakes.scene import QUICK, Scene
from tests.fakes.virtual_time import in_virtual_time

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."
CONFIG = relay_config(AgentConfig(greeting="", turn=QUICK))

Answer = list[dict[str, Any] | float]
"""Messages, and seconds between them."""


class Followed(list[AgentEvent]):
    """The session's events, for the test and for the conversation."""

    conversation: RelayConversation

    def append(self, event: AgentEvent) -> None:
        super().append(event)
        self.conversation.follow(event)


class Backend:
    """The other end of the wire; `answers` are sent to one prompt after the other, a step after the other."""

    def __init__(self, *answers: Answer, partial_prompts: bool = False) -> None:
        self.heard: list[dict[str, Any]] = []
        self._answers = list(answers)
        self.conversation = RelayConversation(self._receive, partial_prompts=partial_prompts)
        self._tasks: list[asyncio.Task[None]] = []

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == kind]

    def send(self, **message: Any) -> None:
        self.conversation.receive(json.dumps(message))

    def say(self, text: str, **more: Any) -> None:
        self.send(type="text", token=text, **{"last": True, **more})

    def _receive(self, text: str) -> None:
        message = json.loads(text)
        self.heard.append(message)
        if message["type"] == "prompt" and message["last"] and self._answers:
            self._tasks.append(asyncio.create_task(self._answer(self._answers.pop(0))))

    async def _answer(self, steps: Answer) -> None:
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                self.send(**step)


def text(token: str, *, last: bool = False, **more: Any) -> dict[str, Any]:
    return {"type": "text", "token": token, "last": last, **more}


@asynccontextmanager
async def relayed(backend: Backend, config: AgentConfig = CONFIG) -> AsyncIterator[Scene]:
    scene = Scene(config=config)
    scene.llm = backend.conversation  # type: ignore[assignment]
    scene.events = followed = Followed()
    followed.conversation = backend.conversation
    async with scene:
        backend.conversation.attach(scene.session)
        yield scene


@in_virtual_time
async def test_a_prompt_is_answered_token_by_token() -> None:
    backend = Backend([0.2, text("We open"), 0.1, text(" at nine. "), 0.1, text("See you.", last=True)])
    async with relayed(backend) as scene:
        await scene.leg.speak("when do you open")
        assert (await scene.wait_for(ReplyFinished)).text == "We open at nine. See you."
    assert backend.heard == [{"type": "prompt", "voicePrompt": "when do you open", "lang": "en", "last": True}]


@in_virtual_time
async def test_what_nobody_asked_for_is_said_too() -> None:
    backend = Backend()
    async with relayed(backend) as scene:
        backend.say("Welcome to the practice.")
        assert (await scene.wait_for(ReplyFinished)).text == "Welcome to the practice."
        backend.say("Are you still there?", last=False)
        backend.say(" Hello?")
        assert (await scene.wait_for(ReplyFinished, 2)).text == "Are you still there? Hello?"


@in_virtual_time
async def test_an_interruption_tells_what_was_really_heard() -> None:
    backend = Backend([text(LONG, last=True)])
    async with relayed(backend) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(1.0)
        await scene.leg.speak("stop it please")
        interrupted = scene.all(ReplyInterrupted)[0]
    (told,) = backend.all("interrupt")
    assert told["utteranceUntilInterrupt"] == interrupted.heard_text
    assert LONG.startswith(told["utteranceUntilInterrupt"] + " ")
    assert told["durationUntilInterruptMs"] == pytest.approx(1_200, abs=100)


@in_virtual_time
async def test_tokens_of_an_interrupted_talk_are_dropped_until_the_next_prompt() -> None:
    slow: Answer = [text(f"{LONG} Fifteen"), 1.0, text(" sixteen."), 1.0, text(" Seventeen."), 1.0, text(" Eighteen.")]
    backend = Backend(slow, [0.5, text("As you wish.", last=True)])
    async with relayed(backend) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.3)
        await scene.leg.speak("stop it please", ms=2_500)
        await scene.wait_for(ReplyFinished)
        await scene.leg.pause_for(5_000)
        assert [event.text for event in scene.all(ReplyFinished)] == ["As you wish."]
    assert [message["type"] for message in backend.heard] == ["prompt", "interrupt", "prompt"]


@in_virtual_time
async def test_after_the_last_token_of_an_interrupted_talk_the_backend_may_speak_again() -> None:
    backend = Backend([text(f"{LONG} Fifteen"), 1.2, text(" sixteen.", last=True), text("Yes?", last=True)])
    async with relayed(backend) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("", ms=400)
        assert (await scene.wait_for(ReplyFinished)).text == "Yes?"


@in_virtual_time
async def test_a_caller_who_goes_on_is_prompted_with_what_is_new() -> None:
    backend = Backend([3.0, text("too early", last=True)], [text("Certainly.", last=True)])
    async with relayed(backend) as scene:
        await scene.leg.speak("I would like")
        await scene.leg.pause_for(1_200)
        await scene.leg.speak("to book a table")
        assert (await scene.wait_for(ReplyFinished)).text == "Certainly."
    prompts = [message["voicePrompt"] for message in backend.all("prompt")]
    assert prompts == ["I would like", "to book a table"]
    assert backend.all("interrupt") == [
        {"type": "interrupt", "utteranceUntilInterrupt": "", "durationUntilInterruptMs": 0}
    ]


@in_virtual_time
async def test_a_prompt_without_an_answer_is_no_failure() -> None:
    backend = Backend([], [text("Here I am.", last=True)])
    async with relayed(backend) as scene:
        await scene.leg.speak("just a moment")
        await scene.leg.pause_for(25_000)
        assert (scene.all(ServiceFailed), scene.all(ReplyStarted)) == ([], [])
        await scene.leg.speak("are you there")
        assert (await scene.wait_for(ReplyFinished)).text == "Here I am."
    assert backend.all("prompt")[1]["voicePrompt"] == "are you there"


@in_virtual_time
async def test_a_talk_without_its_last_token_is_said_after_a_pause() -> None:
    backend = Backend([text("We open at nine")])
    async with relayed(backend) as scene:
        await scene.leg.speak("when do you open")
        assert (await scene.wait_for(ReplyFinished)).text == "We open at nine"


@in_virtual_time
async def test_keys_are_told_one_by_one_and_stop_what_they_may() -> None:
    backend = Backend()
    async with relayed(backend) as scene:
        backend.say(LONG, interruptible="speech")
        await scene.wait_for(ReplyStarted)
        backend.conversation.receive_digit("1")
        assert scene.all(ReplyInterrupted) == []
        await scene.wait_for(ReplyFinished)
        backend.say(LONG)
        await scene.wait_for(ReplyStarted, 2)
        backend.conversation.receive_digit("2")
        assert len(scene.all(ReplyInterrupted)) == 1
    assert backend.all("dtmf") == [{"type": "dtmf", "digit": "1"}, {"type": "dtmf", "digit": "2"}]
    assert backend.all("prompt") == []


@in_virtual_time
async def test_speech_does_not_stop_what_it_may_not() -> None:
    backend = Backend([text(LONG, last=True, interruptible=False)], [text(LONG, last=True)])
    async with relayed(backend) as scene:
        await scene.leg.speak("count for me")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("stop it please")
        await scene.wait_for(ReplyFinished)
        await scene.leg.speak("once more")
        await scene.wait_for(ReplyStarted, 2)
        await scene.leg.speak("stop it please")
        await scene.wait_for(ReplyInterrupted)


@in_virtual_time
async def test_a_preemptible_talk_gives_way_to_the_next_and_the_backend_knows() -> None:
    backend = Backend()
    async with relayed(backend) as scene:
        backend.say(LONG, preemptible=True)
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        backend.say("The doctor is free now.")
        assert (await scene.wait_for(ReplyFinished)).text == "The doctor is free now."
    assert backend.heard == []


@in_virtual_time
async def test_an_interruption_takes_what_waited_behind_it_too() -> None:
    backend = Backend()
    async with relayed(backend) as scene:
        backend.say(LONG)
        backend.say("And another thing.")
        await scene.wait_for(ReplyStarted)
        await asyncio.sleep(0.5)
        await scene.leg.speak("", ms=400)
        await scene.leg.pause_for(5_000)
        assert scene.all(ReplyFinished) == []
        backend.say("Yes?")
        assert (await scene.wait_for(ReplyFinished)).text == "Yes?"


@in_virtual_time
async def test_what_the_call_is_to_do_is_handed_on_and_ends_the_wait_for_words() -> None:
    backend = Backend()
    async with relayed(backend) as scene:
        await scene.leg.speak("press one for me")
        await scene.leg.pause_for(1_000)
        assert backend.conversation.receive('{"type":"sendDigits","digits":"1"}') == [SendKeys("1")]
        await scene.leg.pause_for(100)
        backend.say("Done.")
        assert (await scene.wait_for(ReplyFinished)).turn_index is None
        assert backend.conversation.receive('{"type":"end","handoffData":"x"}') == [EndSession("x")]


@in_virtual_time
async def test_faults_of_the_backend_are_answered() -> None:
    backend = Backend()
    async with relayed(backend):
        for message in ("{", '{"type":"applause"}', '{"type":"text"}', '{"type":"language","ttsLanguage":"fr-FR"}'):
            assert backend.conversation.receive(message) == []
        assert len(backend.all("error")) == 4
        assert backend.conversation.receive('{"type":"language","ttsLanguage":"en-GB"}') == []
        for _ in range(20):
            backend.say("x" * 10_000, last=False)
    assert backend.heard[4:] == [{"type": "error", "description": "Too much text is waiting to be said"}] * 14


@in_virtual_time
async def test_partial_prompts_come_when_they_are_wanted() -> None:
    for wanted in (True, False):
        backend = Backend([text("Yes.", last=True)], partial_prompts=wanted)
        async with relayed(backend) as scene:
            speaking = asyncio.create_task(scene.leg.speak("when do you open", ms=2_000))
            await asyncio.sleep(1.0)
            scene.stt.streams[0].on_partial(Transcript("when do", False, 0.5))
            await speaking
            await scene.wait_for(ReplyFinished)
        assert [message["last"] for message in backend.all("prompt")] == ([False, True] if wanted else [True])
