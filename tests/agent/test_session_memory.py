# SPDX-License-Identifier: GPL-3.0-or-later
"""A long call on a line: its beginning is put into words while it goes on, and nobody waits for that."""

import asyncio
from collections.abc import Sequence

from agent.config import AgentConfig
from agent.conversation import History
from agent.errors import ServiceUnavailable
from agent.events import ReplyFinished
from agent.recollection import Recollection
from agent.services.llm import Message
from tests.fakes.scene import Scene
from tests.fakes.virtual_time import in_virtual_time


class ScriptedSummarizer:
    """Takes five seconds, or fails."""

    def __init__(self, summary: str = "") -> None:
        self._summary = summary
        self.asked: list[int] = []

    async def summarize(self, earlier: Recollection, messages: Sequence[Message]) -> str:
        self.asked.append(len(messages))
        await asyncio.sleep(5)
        if not self._summary:
            raise ServiceUnavailable("llm", "it is busy")
        return self._summary


async def eight_turns(summarizer: ScriptedSummarizer) -> Scene:
    async with Scene(history=History("Be kind.", max_messages=16), summarizer=summarizer) as scene:
        for number in range(8):
            await scene.leg.speak(f"tell me about number {number}")
            await scene.wait_for(ReplyFinished, number + 1)
        await asyncio.sleep(6)
    return scene


@in_virtual_time
async def test_a_long_calls_beginning_is_put_into_words_by_who_can() -> None:
    summarizer = ScriptedSummarizer("They ask about numbers.")
    scene = await eight_turns(summarizer)
    assert summarizer.asked == [6]  # half of the twelve messages at which it is time
    system, *rest = scene.session.history.snapshot().messages
    assert system.text == "Be kind.\n\nEarlier in this call: They ask about numbers."
    assert len(rest) == 10


@in_virtual_time
async def test_a_summary_that_fails_may_be_asked_for_again_and_costs_the_caller_nothing() -> None:
    summarizer = ScriptedSummarizer()
    scene = await eight_turns(summarizer)
    assert summarizer.asked
    assert scene.session.history.begin_fold() is not None
    assert len(scene.all(ReplyFinished)) == 8
    assert len(scene.session.history.snapshot().messages) == 17


@in_virtual_time
async def test_a_call_opens_with_what_it_is_told_to() -> None:
    scene = Scene(config=AgentConfig(greeting="Hello."), history=History("Be kind."))
    async with scene:
        scene.session.open_with("Welcome back.")
        scene.session.history.restore([Message("user", "hello")])
        assert (await scene.wait_for(ReplyFinished)).text == "Welcome back."
