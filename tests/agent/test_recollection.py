# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of words that are gone: picked out by rules, bounded, put together, read back."""

import pytest

from agent.recollection import MOST_EXCHANGES, NOTHING, Exchange, Recollection
from agent.services.llm import Message
from agent.summary import LlmSummarizer, recollect
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time


def call(*said: str) -> list[Message]:
    """Caller and agent in turn, the caller first."""
    return [Message("assistant" if index % 2 else "user", text) for index, text in enumerate(said)]


def test_the_name_what_was_asked_and_what_was_answered_are_kept() -> None:
    found = recollect(
        call(
            *("Hello.", "Hello. How can I help you?"),
            *("Hi, my name is Anna Lee and I want to know where to park.", "You can park behind the house."),
            *("Thank you.", "You are welcome."),
            *("And on Sunday?", "We are closed on Sunday."),
            *("[pressed 12]", "There is no menu here."),
            *("Yes.", "What would you like to know?"),
            *("Goodbye.", "Goodbye, Anna Lee."),
        )
    )
    assert found == Recollection(
        "Anna Lee",
        (
            Exchange("I want to know where to park.", "You can park behind the house."),
            Exchange("And on Sunday?", "We are closed on Sunday."),
        ),
    )


def test_a_message_that_was_left_is_no_question() -> None:
    found = recollect(
        call(
            *("Do you sell cheeseburgers?", "I do not know that, I am sorry. Would you like to leave a message?"),
            *("Yes please.", "All right. Please tell me your message, and how we can reach you."),
            *("Please call me back on Monday.", "I have written that down for the front desk."),
        )
    )
    assert found.left == ("Please call me back on Monday.",)
    assert found.questions == ("Do you sell cheeseburgers?",)


def test_the_name_that_was_told_last_counts() -> None:
    assert recollect(call("My name is Anna.", "Hello.", "No, my name is Hannah.", "Hello.")).caller_name == "Hannah"


def test_of_many_questions_the_first_and_the_newest_stay() -> None:
    said = [text for number in range(50) for text in (f"What is number {number}?", "A number.")]
    questions = recollect(call(*said)).questions
    assert questions[0] == "What is number 0?"
    assert questions[1:] == tuple(f"What is number {number}?" for number in range(51 - MOST_EXCHANGES, 50))


def test_a_recollection_stays_small_whatever_is_said() -> None:
    kept = NOTHING
    for number in range(500):
        told = recollect(call(f"What about {number}? " + "very long " * 200, "blah " * 500))
        kept = kept.followed_by(told)
    assert len(kept.text) < 2 * 250 * (MOST_EXCHANGES + 1)
    for _ in range(500):
        kept = kept.followed_by(kept.told_as("so " * 5_000))
    assert len(kept.text) < 7_000


def test_what_was_kept_in_prose_is_not_lost_when_rules_go_on() -> None:
    kept = NOTHING.told_as("They are moving to Oslo.").followed_by(recollect(call("What is the rent?", "900.")))
    assert kept.text == 'They are moving to Oslo. They asked: "What is the rent?" They were told: "900."'


def test_a_recollection_is_read_back_as_it_was_written() -> None:
    kept = Recollection("Anna", (Exchange("where", "there"), Exchange("when")), ("call me",), "prose")
    assert Recollection.from_json(kept.to_json()) == kept


@pytest.mark.parametrize("kept", ["", "[]", "{}", '{"caller_name":"","exchanges":[1],"left":[],"summary":""}'])
def test_what_is_no_recollection_is_refused(kept: str) -> None:
    with pytest.raises(ValueError, match="no recollection"):
        Recollection.from_json(kept)


def test_nothing_is_false() -> None:
    assert not NOTHING
    assert not recollect(call("Hello.", "Hello.", "Yes."))


@in_virtual_time
async def test_a_language_model_is_given_what_was_before_and_who_said_what() -> None:
    llm = ScriptedLlm([0.1, "Anna wants ", "to park. "])
    summary = await LlmSummarizer(llm).summarize(Recollection("Anna"), call("Where can I park?", "Behind the house."))
    assert summary == "Anna wants to park."
    system, asked = llm.asked[0].messages
    assert system.role == "system"
    assert asked.text == ("Before that: The caller's name is Anna.\nCaller: Where can I park?\nYou: Behind the house.")
