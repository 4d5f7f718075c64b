# SPDX-License-Identifier: GPL-3.0-or-later
"""What a language model is told of the knowledge: the passages that bear on the question, or that there are none."""

from pathlib import Path

import pytest

from agent.knowledge.context import KnowledgeSource
from agent.knowledge.library import Knowledge
from agent.knowledge.sources import Files
from agent.local.engines import OfflineEngines
from agent.services.llm import ContextNote, Conversation, Message

PAGE = """\
# Green Lane Garage

## Do you repair bicycles?
Yes, we repair every kind of bicycle, usually within two days.

## Opening hours
We are open from nine to five on weekdays. On Saturdays we close at noon.

## What does a new tyre cost?
A tyre costs $35.
"""


@pytest.fixture
async def knowledge(engines: OfflineEngines, tmp_path: Path) -> Knowledge:
    (tmp_path / "garage.md").write_text(PAGE)
    return await engines.knowledge([Files(tmp_path)])


async def told(source: KnowledgeSource, *said: str) -> list[ContextNote]:
    messages = [Message("system", "Be brief.")]
    for text in said:
        messages += [Message("user", text), Message("assistant", "Certainly.")]
    return list(await source.notes(Conversation(tuple(messages[:-1]))))


async def test_passages_are_told_with_what_they_are_about_and_cited_and_the_instruction_is_not(
    knowledge: Knowledge,
) -> None:
    instruction, best, *_ = await told(KnowledgeSource(knowledge), "Can you fix my bicycle?")
    assert instruction.source == ""
    assert "say that you do not know" in instruction.text
    assert best.source == "garage.md:3"
    assert best.text.startswith("Green Lane Garage / Do you repair bicycles?: Yes, we repair")


async def test_no_more_than_are_wanted_and_each_once(knowledge: Knowledge) -> None:
    source = KnowledgeSource(knowledge, most=2, threshold=-1.0)
    _, *passages = await told(source, "What does a new tyre cost?", "And on Saturdays?")
    assert len(passages) == 2
    assert len({note.source for note in passages}) == 2


async def test_a_model_is_told_when_nothing_was_found(knowledge: Knowledge) -> None:
    (note,) = await told(KnowledgeSource(knowledge), "Who won the football game last night?")
    assert note.source == ""
    assert "do not make one up" in " ".join(note.text.split())


@pytest.mark.parametrize("text", ["Hello.", "Thank you.", "Goodbye.", "Uh-huh.", "How are you?", "  ", "One moment."])
async def test_small_talk_is_not_looked_up(knowledge: Knowledge, text: str) -> None:
    assert await told(KnowledgeSource(knowledge), text) == []


async def test_a_question_that_follows_up_is_looked_up_with_the_one_before(knowledge: Knowledge) -> None:
    source = KnowledgeSource(knowledge)
    alone = await told(source, "And on Tuesdays?")
    after = await told(source, "Do you repair bicycles?", "And on Tuesdays?")
    assert "garage.md:3" not in [note.source for note in alone]
    assert "garage.md:3" in [note.source for note in after]


async def test_nobody_who_said_nothing_is_told_anything(knowledge: Knowledge) -> None:
    assert await KnowledgeSource(knowledge).notes(Conversation((Message("system", "Be brief."),))) == ()
