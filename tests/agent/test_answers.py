# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers used again: for the same question, the same knowledge, some time; never what concerns one caller."""

import numpy as np
import pytest

from agent.answers import AnswerCache, RememberingModel, shareable_question, stands_alone
from agent.config import AnswersConfig
from agent.conversation import History
from agent.errors import ServiceError, ServiceUnavailable
from agent.knowledge.vectors import Vectors
from agent.services.llm import Cited, ContextNote, Conversation, Message, ReplyEvent, TextDelta, ToolCall
from agent.thinking import Thinking
from tests.fakes.services import ScriptedLlm, Step

SATURDAY = "When are you open on Saturday?"


class Scene:
    """A cache in front of a model, for which all questions are as close as `closeness`."""

    def __init__(self, *scripts: list[Step], closeness: float = 1.0, config: AnswersConfig | None = None) -> None:
        self.llm = ScriptedLlm(*scripts)
        self.version, self.now, self.outcomes = "1", 0.0, list[str]()
        self._first, self._closeness = "", closeness
        cache = AnswerCache(config or AnswersConfig(cache=True, ttl_s=60, max_entries=2))
        self.model = RememberingModel(
            self.llm, cache, self._embed, lambda: self.version, lambda: self.now, self.outcomes.append
        )

    async def _embed(self, text: str) -> Vectors:
        self._first = self._first or text
        far = np.array([self._closeness, (1 - self._closeness**2) ** 0.5], np.float32)
        return np.array([1, 0], np.float32) if text == self._first else far

    async def ask(self, text: str, *notes: ContextNote, prompt: str = "Be brief.") -> list[ReplyEvent]:
        messages = (Message("system", prompt), Message("user", text))
        return [event async for event in self.model.reply(Conversation(messages, notes=notes))]


async def test_the_same_question_is_answered_without_the_model_and_cites_the_same_source() -> None:
    scene = Scene(["From nine ", "to one."], closeness=0.95)
    await scene.ask(SATURDAY, ContextNote("hours.md:3", "Saturday: 9 to 1"))
    assert await scene.ask("On Saturday, when are you open") == [Cited(("hours.md:3",)), TextDelta("From nine to one.")]
    assert len(scene.llm.asked) == 1
    assert scene.outcomes == ["miss", "hit"]


@pytest.mark.parametrize(
    "other",
    ["When are you open on Sunday?", "When are you not open on Saturday?", "When are you open on Saturday the 5th?",
     "When are you open in Boston on Saturday?", "When aren't you open on Saturday?"],
)  # fmt: skip
async def test_another_day_number_name_or_negation_is_another_question_however_close(other: str) -> None:
    scene = Scene(["One."], ["Other."])
    await scene.ask(SATURDAY)
    assert await scene.ask(other) == [TextDelta("Other.")]


async def test_a_question_that_is_not_close_goes_to_the_model() -> None:
    scene = Scene(["One."], ["Other."], closeness=0.89)
    await scene.ask(SATURDAY)
    assert await scene.ask("When do you sell bread on Saturday?") == [TextDelta("Other.")]


async def test_another_version_of_the_knowledge_or_another_prompt_forgets_everything() -> None:
    scene = Scene(["One."], ["Two."], ["Three."])
    await scene.ask(SATURDAY)
    scene.version = "2"
    assert await scene.ask(SATURDAY) == [TextDelta("Two.")]
    assert await scene.ask(SATURDAY, prompt="Be kind.") == [TextDelta("Three.")]


async def test_an_answer_expires() -> None:
    scene = Scene(["One."], ["Two."])
    await scene.ask(SATURDAY)
    scene.now = 59.9
    assert await scene.ask(SATURDAY) == [TextDelta("One.")]
    scene.now = 60.0
    assert await scene.ask(SATURDAY) == [TextDelta("Two.")]


async def test_the_least_recently_used_goes_first() -> None:
    scene = Scene(["One."], ["Two."], ["Three."], ["Four."])
    for day in ("Saturday", "Sunday", "Saturday", "Monday"):
        await scene.ask(f"When are you open on {day}?")
    assert await scene.ask(SATURDAY) == [TextDelta("One.")]
    assert await scene.ask("When are you open on Sunday?") == [TextDelta("Four.")]


async def test_what_used_a_tool_failed_or_was_broken_off_is_not_kept() -> None:
    scene = Scene(
        ["Bye.", ToolCall("hang_up")], ["Half", ServiceUnavailable("llm", "gone")], ["Half", "rest"], ["End."]
    )
    await scene.ask(SATURDAY)
    with pytest.raises(ServiceError):
        await scene.ask(SATURDAY)
    reply = scene.model.reply(Conversation((Message("system", "Be brief."), Message("user", SATURDAY))))
    async for _ in reply:
        break
    await reply.aclose()  # type: ignore[attr-defined]
    assert await scene.ask(SATURDAY) == [TextDelta("End.")]


@pytest.mark.parametrize(
    "text",
    ["and on Sunday evening?", "how much is that", "where is my order", "do they take cards", "Are you open today?"],
)
def test_what_leans_on_the_call_the_caller_or_the_moment_is_not_shared(text: str) -> None:
    assert not stands_alone(text)


def test_nothing_personal_is_shared() -> None:
    history = History("Be brief.")
    history.caller_said(SATURDAY)
    plain = history.snapshot()
    assert shareable_question(plain) == SATURDAY
    remembered = Conversation(plain.messages, notes=(ContextNote("memory", "Ann called."),))
    assert shareable_question(remembered) is None
    assert shareable_question(Conversation(plain.messages, metadata={"plan": "gold"})) is None
    every_call = {"sip_call_id": "a@192.0.2.1", "trunk": "provider"}
    assert shareable_question(Conversation(plain.messages, metadata=every_call)) == plain.messages[-1].text
    history.agent_said("From nine.", interrupted=False)
    history.caller_said("How much is a haircut?")
    assert shareable_question(history.snapshot()) is None


async def test_a_used_answer_cites_only_what_it_was_made_from() -> None:
    class Elsewhere:
        async def notes(self, conversation: Conversation) -> list[ContextNote]:
            return [ContextNote("other.md:1", "Something")]

    scene = Scene(["One."])
    await scene.ask(SATURDAY, ContextNote("hours.md:3", "Saturday"))
    asked = Conversation((Message("system", "Be brief."), Message("user", SATURDAY)))
    events = [event async for event in Thinking(scene.model, [Elsewhere()]).reply(asked)]
    assert events == [Cited(("hours.md:3",)), TextDelta("One.")]
