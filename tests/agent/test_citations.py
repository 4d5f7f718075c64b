# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer rests on travels with it, and is never spoken."""

from collections.abc import Sequence

from agent.config import AgentConfig
from agent.events import ReplyFinished, ReplyInterrupted, ReplyStarted
from agent.services.llm import Cited, ContextNote, Conversation
from tests.fakes.scene import Scene
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time


class Pages:
    """A source that always has the same to say."""

    def __init__(self, *notes: ContextNote) -> None:
        self._notes = notes

    async def notes(self, conversation: Conversation) -> Sequence[ContextNote]:
        return self._notes


@in_virtual_time
async def test_what_the_model_was_told_is_cited_once_each_and_notes_without_a_source_are_not() -> None:
    pages = Pages(ContextNote("hours.md:3", "At nine."), ContextNote("", "It is a question."))
    more = Pages(ContextNote("hours.md:3", "At nine."), ContextNote("prices.csv:2", "Ten dollars."))
    async with Scene(sources=[pages, more]) as scene:
        await scene.leg.speak("what time do you open")
        finished = await scene.wait_for(ReplyFinished)
        assert (finished.text, finished.sources) == ("Certainly.", ("hours.md:3", "prices.csv:2"))
        assert [note.text for note in scene.llm.asked[0].notes] == [
            "At nine.",
            "It is a question.",
            "At nine.",
            "Ten dollars.",
        ]


@in_virtual_time
async def test_a_model_that_looks_things_up_itself_can_cite_them_and_an_interrupted_answer_keeps_them() -> None:
    long = "One two three four five six seven eight nine ten eleven twelve."
    async with Scene(llm=ScriptedLlm([Cited(("count.md:1",)), long])) as scene:
        await scene.leg.speak("please count")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("thank you that is enough")
        assert (await scene.wait_for(ReplyInterrupted)).sources == ("count.md:1",)


@in_virtual_time
async def test_a_greeting_rests_on_nothing() -> None:
    async with Scene(config=AgentConfig(greeting="Hello."), sources=[Pages(ContextNote("a.md:1", "A"))]) as scene:
        assert (await scene.wait_for(ReplyFinished)).sources == ()
