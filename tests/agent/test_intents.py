# SPDX-License-Identifier: GPL-3.0-or-later
"""Intents: told early when they are clear, told finally, taken back when they were none."""

import asyncio
from collections.abc import Sequence

from agent.errors import ServiceUnavailable
from agent.events import IntentRecognized, ReplyFinished
from agent.intents import Intent, IntentSource, IntentTracker
from agent.services.llm import Conversation, Message
from agent.services.stt import Transcript
from tests.fakes.scene import Scene
from tests.fakes.virtual_time import in_virtual_time


class Keywords:
    """Knows an intent by a word; `seconds` is how long it thinks."""

    def __init__(self, seconds: float = 0.0, **labels: str) -> None:
        self._seconds = seconds
        self._labels = labels
        self.asked: list[str] = []
        self.fails = False

    async def classify(self, text: str, *, is_final: bool) -> Intent:
        self.asked.append(text)
        await asyncio.sleep(self._seconds)
        if self.fails:
            raise ServiceUnavailable("offline engines", "busy")
        label = next((label for label, word in self._labels.items() if word in text), None)
        return Intent(label, 0.9 if label else 0.1)


def labels(events: Sequence[IntentRecognized]) -> list[tuple[str | None, bool]]:
    return [(event.label, event.is_final) for event in events]


async def test_an_intent_is_told_once_while_the_caller_speaks_and_once_at_the_end() -> None:
    told: list[IntentRecognized] = []
    tracker = IntentTracker(Keywords(booking="book"), told.append)
    for text in ("i want", "i want to book", "i want to book a table"):
        assert tracker.hear(3, text, is_final=False)
        await tracker.judge()
    assert tracker.hear(3, "i want to book a table", is_final=True)
    await tracker.judge()
    assert labels(told) == [("booking", False), ("booking", True)]
    assert {event.turn_index for event in told} == {3}


async def test_an_intent_that_turns_out_to_be_none_is_taken_back_and_none_alone_is_not_told() -> None:
    told: list[IntentRecognized] = []
    tracker = IntentTracker(Keywords(booking="book"), told.append)
    for turn_index, text, is_final in ((0, "book", False), (0, "i read a novel", True), (1, "hello there", True)):
        tracker.hear(turn_index, text, is_final=is_final)
        await tracker.judge()
    assert labels(told) == [("booking", False), (None, True)]


async def test_while_one_text_is_judged_only_the_newest_waits_and_a_final_one_is_not_displaced() -> None:
    classifier = Keywords(seconds=0.001, booking="book")
    tracker = IntentTracker(classifier, lambda event: None)
    assert tracker.hear(0, "one", is_final=False)
    judging = asyncio.create_task(tracker.judge())
    await asyncio.sleep(0)
    for text, is_final in (("two", False), ("three", False), ("four", True), ("five", False)):
        assert not tracker.hear(0, text, is_final=is_final)
    await judging
    assert classifier.asked == ["one", "four"]


async def test_a_classifier_that_fails_costs_its_answer_and_nothing_else() -> None:
    told: list[IntentRecognized] = []
    classifier = Keywords(booking="book")
    tracker = IntentTracker(classifier, told.append)
    classifier.fails = True
    tracker.hear(0, "book", is_final=False)
    await tracker.judge()
    classifier.fails = False
    assert tracker.hear(0, "book", is_final=True)
    await tracker.judge()
    assert labels(told) == [("booking", True)]


async def test_a_language_model_is_told_what_the_caller_wants_and_it_is_nothing_to_cite() -> None:
    source = IntentSource(Keywords(booking="book"))
    (note,) = await source.notes(Conversation((Message("user", "book a table"), Message("assistant", "For when?"))))
    assert (note.source, "booking" in note.text) == ("", True)
    assert await source.notes(Conversation((Message("user", "hello"),))) == ()
    assert await source.notes(Conversation(())) == ()


@in_virtual_time
async def test_on_a_call_the_intent_is_known_before_the_turn_is_over() -> None:
    async with Scene(intents=Keywords(booking="book")) as scene:
        speaking = asyncio.create_task(scene.leg.speak("i want to book a table", ms=2_000))
        await asyncio.sleep(1.0)
        scene.stt.streams[0].on_partial(Transcript("i want to book", False, 0.5))
        await asyncio.sleep(0.1)
        assert labels(scene.all(IntentRecognized)) == [("booking", False)]
        await speaking
        await scene.wait_for(ReplyFinished)
        assert labels(scene.all(IntentRecognized)) == [("booking", False), ("booking", True)]
