# SPDX-License-Identifier: GPL-3.0-or-later
"""When a caller is asked, what the answer means, and that "forget me" always works."""

import pytest

from agent.config import MemoryConfig
from agent.recollection import NOTHING, Exchange, Recollection
from agent.remembering import AskConsent, ConsentAnswered, Forget, Remembering, asks_to_be_forgotten, greeting_of

ASK = MemoryConfig(remember="ask", ask="May I remember you for the next time?", forgotten="Gone.")


def asked() -> Remembering:
    """The question has been heard."""
    remembering = Remembering(ASK, None)
    remembering.receive_agent("We open at nine.", is_answer=True)
    assert remembering.events() == [AskConsent(ASK.ask)]
    remembering.receive_agent(ASK.ask, is_answer=False)
    return remembering


@pytest.mark.parametrize(("answer", "given"), [("Yes, of course.", True), ("No, thank you.", False)])
def test_a_caller_is_asked_once_and_the_answer_counts(answer: str, given: bool) -> None:
    remembering = asked()
    assert not remembering.is_allowed
    remembering.receive_caller(answer)
    assert remembering.events() == [ConsentAnswered(given)]
    assert remembering.is_allowed is given
    remembering.receive_agent("We close at five.", is_answer=True)
    assert remembering.events() == []


def test_who_does_not_answer_has_not_agreed() -> None:
    remembering = asked()
    remembering.receive_caller("And on Sunday?")
    remembering.receive_caller("Yes.")  # an answer to something else
    assert remembering.events() == []
    assert not remembering.is_allowed


def test_a_question_that_was_not_heard_is_not_answered() -> None:
    remembering = Remembering(ASK, None)
    remembering.receive_agent("We open at nine.", is_answer=True)
    remembering.receive_agent("May I", is_answer=False)
    remembering.receive_caller("Yes.")
    assert not remembering.is_allowed


def test_nobody_is_asked_while_another_question_is_open_or_in_place_of_the_greeting() -> None:
    remembering = Remembering(ASK, None)
    remembering.receive_agent("Hello, I am your assistant.", is_answer=False)
    remembering.receive_agent("Would you like to leave a message?", is_answer=True)
    assert remembering.events() == []


@pytest.mark.parametrize("consent", [True, False])
def test_who_has_answered_before_is_not_asked_again(consent: bool) -> None:
    remembering = Remembering(ASK, consent)
    remembering.receive_agent("We open at nine.", is_answer=True)
    assert remembering.events() == []
    assert remembering.is_allowed is consent


def test_with_consent_by_other_means_only_a_refusal_counts() -> None:
    config = MemoryConfig(remember="on")
    assert Remembering(config, None).is_allowed
    assert not Remembering(config, False).is_allowed
    assert not Remembering(MemoryConfig(), True).is_allowed


@pytest.mark.parametrize("remember", ["off", "ask", "on"])
def test_forget_me_always_erases_and_is_the_last_word(remember: str) -> None:
    remembering = Remembering(MemoryConfig.model_validate({"remember": remember, "forgotten": "Gone."}), True)
    remembering.receive_caller("Please forget me.")
    assert remembering.events() == [Forget("Gone.")]
    assert not remembering.is_allowed


@pytest.mark.parametrize(
    "text",
    [
        "Forget me.",
        "Could you please forget everything about me?",
        "Delete my data, please.",
        "Erase everything you know about me",
        "Please don't remember me.",
        "Forget what I said.",
        "Stop remembering what I ask.",
    ],
)
def test_ways_to_say_it(text: str) -> None:
    assert asks_to_be_forgotten(text)


@pytest.mark.parametrize(
    "text",
    [
        "Don't forget me.",
        "Please do not forget my name.",
        "I forget my number.",
        "I don't remember anything.",
        "I do not remember what I said.",
        "Never forget me.",
        "Forget it.",
        "Can you remove a tooth?",
        "Remember me?",
    ],
)
def test_what_only_sounds_like_it(text: str) -> None:
    assert not asks_to_be_forgotten(text)


def test_a_remembered_caller_is_greeted_by_name_and_reminded_of_the_last_question() -> None:
    memory = Recollection("Anna", (Exchange("Where can I park?"), Exchange("Are you open on Sunday?")))
    assert greeting_of(MemoryConfig(), memory) == (
        'Hello Anna, welcome back. Last time you asked: "Are you open on Sunday?" How can I help you today?'
    )


def test_a_greeting_leaves_out_what_is_not_known_or_not_wanted() -> None:
    only_name = MemoryConfig(last_time="")
    assert greeting_of(only_name, Recollection("Anna")) == "Hello Anna, welcome back. How can I help you today?"
    assert greeting_of(only_name, Recollection(left=("call me",))) == "Welcome back. How can I help you today?"
    assert greeting_of(MemoryConfig(hello=""), Recollection("Anna")) is None
    assert greeting_of(MemoryConfig(), NOTHING) is None
