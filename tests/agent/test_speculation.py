# SPDX-License-Identifier: GPL-3.0-or-later
"""When an answer is begun before the turn is over."""

import pytest

from agent.config import SpeculationConfig
from agent.speculation import DropPrepared, Prepare, Speculation, SpeculationEvent, essence

PATIENT = SpeculationConfig(stable_ms=100, max_per_turn=2, max_per_call=3)


def guessed(speculation: Speculation, now: float) -> list[SpeculationEvent]:
    speculation.handle_timeout(now)
    return speculation.events()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What are your opening hours?", "what are your opening hours"),
        ("Um, yes, please.", "Yes please"),
        ("I, er, need an appointment...", "I need an appointment"),
        ("It’s “Monday”", "it's monday"),  # noqa: RUF001 - typographic quotes are meant
        ("Straße", "STRASSE"),
    ],
)
def test_case_punctuation_and_fillers_do_not_matter(one: str, other: str) -> None:
    assert essence(one) == essence(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I need an appointment", "I need no appointment"),
        ("It costs 1.5", "It costs 15"),
        ("Call 555-01 [pressed 2]", "Call 555-01"),
        ("Um", "Uh"),
        ("$20", "€20"),
        ("re-sign", "resign"),
        ("", "no"),
    ],
)
def test_words_and_numbers_do_matter(one: str, other: str) -> None:
    assert essence(one) != essence(other)


def test_words_that_stay_the_same_while_the_caller_is_silent_are_tried() -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial("what are your hours", None, 1.0)
    assert guessed(speculation, 1.5) == []
    speculation.receive_silence(1.6)
    assert speculation.events() == [Prepare("what are your hours")]


def test_words_that_have_just_changed_wait_until_they_are_stable() -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial("what are hours", None, 1.0)
    speculation.receive_silence(1.2)
    speculation.events()
    speculation.receive_partial("what are your hours", None, 1.25)
    assert speculation.events() == [DropPrepared()]
    assert speculation.next_timeout() == pytest.approx(1.35)
    assert guessed(speculation, 1.34) == []
    assert guessed(speculation, 1.36) == [Prepare("what are your hours")]
    assert speculation.next_timeout() is None


def test_what_the_recogniser_calls_unstable_is_left_alone() -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial("what are your hours", False, 1.0)
    speculation.receive_silence(1.6)
    assert guessed(speculation, 5.0) == []


def test_what_the_recogniser_calls_stable_is_tried_at_once() -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial("what are your hours", True, 1.0)
    assert speculation.events() == [Prepare("what are your hours")]


def test_the_same_words_in_other_dress_are_neither_dropped_nor_tried_again() -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial("what are your hours", True, 1.0)
    speculation.events()
    speculation.receive_partial("What are your hours?", True, 1.1)
    assert speculation.events() == []


def test_a_caller_who_goes_on_without_new_words_loses_nothing() -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial("what are your hours", True, 1.0)
    speculation.events()
    speculation.receive_speech(1.2)
    assert guessed(speculation, 2.0) == []
    speculation.receive_partial("what are your hours on Sunday", False, 2.0)
    assert speculation.events() == [DropPrepared()]


def test_tries_are_counted_per_turn_and_per_call() -> None:
    speculation = Speculation(PATIENT)
    tried = []
    for turn in ("one", "two"):
        for word in ("red", "green", "blue"):
            speculation.receive_partial(f"{turn} {word}", True, 1.0)
            tried += [event.text for event in speculation.events() if isinstance(event, Prepare)]
        speculation.receive_answer()
        speculation.receive_forgotten()
    assert tried == ["one red", "one green", "two red"]


def test_a_reopened_turn_is_no_new_one() -> None:
    speculation = Speculation(PATIENT)
    for word in ("red", "green", "blue"):
        speculation.receive_partial(word, True, 1.0)
        speculation.receive_answer()
    assert [event for event in speculation.events() if isinstance(event, Prepare)] == [Prepare("red"), Prepare("green")]


def test_a_turn_that_was_none_drops_what_was_prepared() -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial("thank you", True, 1.0)
    speculation.events()
    speculation.receive_forgotten()
    assert speculation.events() == [DropPrepared()]


@pytest.mark.parametrize("text", ["", "and my number is"])
def test_no_words_and_words_that_promise_more_are_not_tried(text: str) -> None:
    speculation = Speculation(PATIENT)
    speculation.receive_partial(text, True, 1.0)
    speculation.receive_silence(1.5)
    assert speculation.events() == []


def test_nothing_happens_when_it_is_off() -> None:
    speculation = Speculation(SpeculationConfig(mode="off"))
    speculation.receive_partial("what are your hours", True, 1.0)
    speculation.receive_silence(1.5)
    assert (speculation.events(), speculation.next_timeout()) == ([], None)
