# SPDX-License-Identifier: GPL-3.0-or-later
"""Heard truth."""

import pytest

from agent.conversation import History, SpokenClause, SpokenReply
from agent.recollection import Exchange, Recollection
from agent.services.llm import Message
from media.playout import Cleared, Heard

RATE_HZ = 8_000


def spoken(*clauses: tuple[str, int], is_whole: bool = True) -> SpokenReply:
    """Clauses of so many samples; ids from 1."""
    return SpokenReply(
        [SpokenClause(index, text, RATE_HZ, samples, is_whole) for index, (text, samples) in enumerate(clauses, 1)]
    )


def test_a_snapshot_holds_what_was_said_and_does_not_change_later() -> None:
    history = History("Be kind.", caller="alice", metadata={"order": "7"})
    history.caller_said("hello")
    snapshot = history.snapshot()
    history.agent_said("Hi.", interrupted=False)
    assert snapshot.messages == (Message("system", "Be kind."), Message("user", "hello"))
    assert (snapshot.caller, snapshot.metadata) == ("alice", {"order": "7"})
    assert history.snapshot().messages[-1] == Message("assistant", "Hi.")


def test_without_a_prompt_there_is_no_system_message() -> None:
    assert History("").snapshot().messages == ()


def test_a_turn_that_goes_on_is_taken_back() -> None:
    history = History("")
    history.caller_said("I would like")
    history.take_back_caller()
    history.take_back_caller()
    assert history.snapshot().messages == ()


def test_what_the_agent_said_is_never_taken_back() -> None:
    history = History("")
    history.agent_said("Hello.", interrupted=False)
    history.take_back_caller()
    assert history.snapshot().messages == (Message("assistant", "Hello."),)


def test_a_reply_of_which_nothing_was_heard_leaves_no_message() -> None:
    history = History("")
    history.agent_said("", interrupted=True)
    assert history.snapshot().messages == ()


def test_a_resumed_reply_continues_its_message() -> None:
    history = History("")
    history.agent_said("We open", interrupted=True)
    history.agent_said("at nine.", interrupted=False)
    assert history.snapshot().messages == (Message("assistant", "We open at nine."),)


def long_call(turns: int, max_messages: int = 120) -> History:
    history = History("Be kind.", max_messages=max_messages)
    for number in range(turns):
        history.caller_said(f"my question is number {number}")
        history.agent_said(f"answer {number}", interrupted=False)
    return history


def test_the_beginning_of_a_long_call_becomes_a_summary_behind_the_prompt() -> None:
    conversation = long_call(5, max_messages=4).snapshot()
    system, *rest = conversation.messages
    assert system.role == "system"
    assert system.text.startswith("Be kind.\n\nEarlier in this call: ")
    assert 'They asked: "my question is number 0" They were told: "answer 0"' in system.text
    assert [message.text for message in rest] == [
        "my question is number 3",
        "answer 3",
        "my question is number 4",
        "answer 4",
    ]
    assert conversation.earlier.questions == tuple(f"my question is number {number}" for number in range(3))


def test_the_prompt_of_a_long_call_changes_in_big_steps_only() -> None:
    history = History("Be kind.", max_messages=40)
    prompts = []
    for number in range(100):
        history.caller_said(f"my question is number {number}")
        prompts.append(history.snapshot().messages[0].text)
        history.agent_said(f"answer {number}", interrupted=False)
    assert 5 <= len(set(prompts)) <= 10


def test_an_hour_of_turns_needs_no_more_room_than_ten_minutes() -> None:
    def room(turns: int) -> tuple[int, int]:
        conversation = long_call(turns).snapshot()
        return len(conversation.messages), sum(len(message.text) for message in conversation.messages)

    counts, characters = zip(*(room(turns) for turns in range(600, 4_000, 333)), strict=True)
    assert max(counts) <= 121
    assert max(characters) < 10_000


def test_few_long_messages_are_folded_as_many_short_ones_are() -> None:
    history = History("", max_characters=10_000)
    for _ in range(30):
        history.caller_said("please read this " + "to me " * 300)
        history.agent_said("no " * 300, interrupted=False)
    assert sum(len(message.text) for message in history.snapshot().messages) < 16_000


def test_a_fold_begins_where_the_caller_speaks() -> None:
    history = History("", max_messages=6)
    for number in range(8):
        history.caller_said(f"my question is number {number}")
        history.agent_said("Let me see.", interrupted=False)
        history.take_back_caller()
    assert [message.role for message in history.snapshot().messages[1:3]] == ["user", "assistant"]


def test_a_language_models_summary_takes_the_place_of_the_rules() -> None:
    history = long_call(10, max_messages=24)
    fold = history.begin_fold()
    assert fold is not None
    assert history.begin_fold() is None  # it is at it
    history.finish_fold(fold, "They ask numbers.")
    conversation = history.snapshot()
    assert conversation.messages[0].text == "Be kind.\n\nEarlier in this call: They ask numbers."
    assert len(conversation.messages) == 1 + 20 - len(fold.messages)
    assert conversation.earlier.questions[0] == "my question is number 0"


def test_a_summary_that_comes_too_late_is_dropped() -> None:
    history = long_call(10, max_messages=24)
    fold = history.begin_fold()
    assert fold is not None
    for number in range(4):
        history.caller_said(f"quick question {number}")
        history.agent_said("Yes.", interrupted=False)
    before = history.snapshot()
    assert before.earlier
    history.finish_fold(fold, "Too late.")
    assert history.snapshot() == before


def test_a_call_that_broke_off_is_gone_on_with() -> None:
    history = History("Be kind.")
    messages = (Message("assistant", "Hello."), Message("user", "my name is Anna"), Message("assistant", "Hi", True))
    history.restore(messages)
    assert not history.is_empty
    assert history.snapshot().messages[1:] == messages
    assert history.recollection.caller_name == "Anna"


def test_what_is_remembered_of_earlier_calls_is_a_note_and_no_part_of_the_messages() -> None:
    history = History("Be kind.")
    history.memory = Recollection("Anna", (Exchange("where can I park"),))
    conversation = history.snapshot()
    assert conversation.messages == (Message("system", "Be kind."),)
    (note,) = conversation.notes
    assert note.source == "memory"
    assert "Anna" in note.text
    assert "where can I park" in note.text


def test_what_was_not_thrown_away_was_heard() -> None:
    reply = spoken(("We open at nine.", 8_000), ("We close at five.", 8_000))
    assert reply.split(Cleared()) == ("We open at nine. We close at five.", "")
    assert reply.text == "We open at nine. We close at five."


def test_a_clause_is_heard_or_not_exactly() -> None:
    reply = spoken(("We open at nine.", 8_000), ("We close at five.", 8_000))
    assert reply.split(Cleared((Heard(2, 0, 8_000),))) == ("We open at nine.", "We close at five.")


def test_within_a_clause_words_are_heard_in_proportion() -> None:
    # 12 letters in 12,000 samples: a word is heard from its middle on.
    reply = spoken(("aaaa bbbb cccc", 12_000))
    expected = {0: 0, 1_999: 0, 2_000: 1, 5_999: 1, 6_000: 2, 9_999: 2, 10_000: 3, 12_000: 3}
    heard = {samples: reply.clauses[0].heard_words(samples) for samples in expected}
    assert heard == expected


@pytest.mark.parametrize("heard_samples", range(0, 12_001, 1_500))
def test_heard_and_unheard_make_the_whole(heard_samples: int) -> None:
    reply = spoken(("one two three", 12_000), ("four five", 4_000))
    heard, rest = reply.split(Cleared((Heard(1, heard_samples, 0), Heard(2, 0, 4_000))))
    assert f"{heard} {rest}".strip() == "one two three four five"


def test_a_clause_still_being_rendered_is_taken_for_as_long_as_voices_need() -> None:
    # 30 characters are about 2 s; 1 s of it was rendered and heard.
    text = "aaaaaaaaa bbbbbbbbb ccccccccc "
    reply = spoken((text, RATE_HZ), is_whole=False)
    assert reply.split(Cleared()) == ("aaaaaaaaa bbbbbbbbb", "ccccccccc")
