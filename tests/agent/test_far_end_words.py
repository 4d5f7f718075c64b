# SPDX-License-Identifier: GPL-3.0-or-later
"""What opening words say of who says them."""

import pytest

from agent.far_end_kind import FarEndKind
from agent.far_end_words import is_asked, is_introduction, is_persons, said_by_machine


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Hi, you've reached Tom", FarEndKind.MACHINE),
        ("Hi, you reach Tom", FarEndKind.MACHINE),  # as recognised
        ("Your call has been", FarEndKind.MACHINE),
        ("The person you're trying to reach", FarEndKind.MACHINE),
        ("The person you're trying to reach is currently unavailable.", FarEndKind.VOICEMAIL),
        ("Sorry I missed your call", FarEndKind.MACHINE),
        ("Please leave me a detailed message", FarEndKind.VOICEMAIL),
        ("at the tone, please record", FarEndKind.VOICEMAIL),
        ("You know what to do.", FarEndKind.VOICEMAIL),
        ("Please say your name and why you are calling.", FarEndKind.MENU),
        ("The number you have dialed is not in service.", FarEndKind.FAILED),
        ("Your call cannot be completed as dialed.", FarEndKind.FAILED),
        ("The phone you are calling is switched off.", FarEndKind.UNREACHABLE),
        ("All circuits are busy now.", FarEndKind.UNREACHABLE),
        ("All of our representatives are busy.", FarEndKind.HOLD),
    ],
)
def test_machines_name_themselves(text: str, kind: FarEndKind) -> None:
    said = said_by_machine(text)
    assert said is not None
    assert said.kind is kind


@pytest.mark.parametrize(
    "text",
    [
        "Hello?",
        "Thank you for calling Acme, this is Jane.",
        "I can't talk right now, I am driving.",
        "Can you call me back later?",
        "Sorry, I was away for a second.",
        "What number are you calling?",
    ],
)
def test_people_are_no_machines(text: str) -> None:
    assert said_by_machine(text) is None


def test_an_emergency_number_makes_no_menu() -> None:
    assert said_by_machine("If this is an emergency, please dial nine one one.") is None
    assert said_by_machine("If this is an emergency, please dial 911.") is None


def test_who_says_that_he_is_speaking_is_a_person() -> None:
    assert is_asked("Westside Pharmacy, Carol speaking,")
    assert not is_asked("You may start speaking after the tone.")
    assert not is_asked("You are speaking with an automated system.")


def test_who_is_absent_may_be_spoken_for_by_a_person() -> None:
    said = said_by_machine("He is not available.")
    assert said is not None
    assert said.confidence < 0.8
    assert is_asked("He is not available, may I take a message?")


@pytest.mark.parametrize(
    "text", ["Hello?", "Yes, hello?", "Good morning.", "Who is this?", "Mary speaking.", "Tom here."]
)
def test_people_say_this_and_wait(text: str) -> None:
    assert is_persons(text)


@pytest.mark.parametrize(
    "text", ["Hello, this is Tom, I", "Hi, it's Anna and Mark.", "You have reached", "Thank you for"]
)
def test_this_is_not_enough_to_be_a_person(text: str) -> None:
    assert not is_persons(text)


def test_a_name_alone_is_an_introduction() -> None:
    assert is_introduction("Hi, this is Anna.")
    assert is_introduction("Hey, it's Jake")
    assert not is_introduction("Hi, this is Anna, how can I help you today?")
    assert not is_introduction("Hello?")


def test_only_the_end_of_a_long_turn_is_looked_at() -> None:
    assert said_by_machine("leave a message " + "and so on " * 100) is None
