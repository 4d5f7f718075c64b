# SPDX-License-Identifier: GPL-3.0-or-later
"""Heard truth."""

import pytest

from agent.conversation import History, SpokenClause, SpokenReply
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


def test_a_very_long_call_forgets_its_beginning_but_not_the_prompt() -> None:
    history = History("Be kind.", max_messages=4)
    for number in range(5):
        history.caller_said(f"question {number}")
        history.agent_said(f"answer {number}", interrupted=False)
    assert [message.text for message in history.snapshot().messages] == [
        "Be kind.",
        "question 3",
        "answer 3",
        "question 4",
        "answer 4",
    ]


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
