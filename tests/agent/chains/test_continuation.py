# SPDX-License-Identifier: GPL-3.0-or-later
"""One text of two speakers."""

import random

import pytest

from agent.chains.continuation import Continuation, WholeWords, joined_transcripts

SAID = "We are open from nine to five. On Saturday we close at "


def new_of(said: str, text: str, seed: int = 1) -> str:
    """What is new, the text coming in pieces of any size."""
    chance = random.Random(seed)
    words, tested = WholeWords(), Continuation(said)
    given = ""
    while text:
        size = chance.randint(1, 9)
        piece, text = text[:size], text[size:]
        given += tested.push(words.push(piece))
    return given + tested.push(words.flush()) + tested.flush()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "text",
    [
        "noon. Come by then.",
        " noon. Come by then.",
        "we close at noon. Come by then.",
        "On Saturday we close at noon. Come by then.",
        "on saturday, we close at: noon. Come by then.",
        SAID + "noon. Come by then.",
    ],
)
def test_what_the_second_repeats_is_left_out(text: str, seed: int) -> None:
    assert new_of(SAID, text, seed) == "noon. Come by then."


@pytest.mark.parametrize(
    ("said", "text", "new"),
    [
        ("Our number is five five ", "five one two.", "five one two."),
        ("It is 555 ", "555 12 34.", "555 12 34."),
        ("I think that ", "that is it.", "that is it."),
        ("We open at nine ", "at nine every day.", "every day."),
        ("The doctor ", "doctor Lee is in.", "Lee is in."),
    ],
)
def test_numbers_and_short_words_may_be_meant_twice(said: str, text: str, new: str) -> None:
    assert new_of(said, text) == new


def test_a_second_that_says_something_else_says_all_of_it() -> None:
    assert new_of("We are open from nine to ", "We are closed today.") == "We are closed today."


def test_a_second_that_has_nothing_to_add_adds_nothing() -> None:
    assert new_of("All right. Goodbye.", "All right. Goodbye.") == ""
    assert new_of("All right. Goodbye.", "All right.") == ""
    assert new_of(SAID, "") == ""


def test_the_mark_behind_a_repeated_word_was_heard_too() -> None:
    assert new_of("All right, Monday. ", "All right, Monday. See you.") == "See you."


@pytest.mark.parametrize(
    ("said", "text", "both"),
    [
        ("We close at", "noon.", "We close at noon."),
        ("We close at ", " noon.", "We close at noon."),
        ("We close", ", I think, at noon.", "We close, I think, at noon."),
        ("私たちは", "開いています。", "私たちは開いています。"),
    ],
)
def test_one_space_joins_the_two(said: str, text: str, both: str) -> None:
    assert said + new_of(said, text) == both


def test_nothing_said_leaves_the_text_as_it_is() -> None:
    assert new_of("", "  Well, hello there. ") == "  Well, hello there. "


def test_words_are_given_when_they_are_whole() -> None:
    words = WholeWords()
    assert [words.push(piece) for piece in ("Our recep", "tion", "ist is", " here.")] == [
        "Our ",
        "",
        "receptionist ",
        "is ",
    ]
    assert words.flush() == "here."
    assert words.flush() == ""


def test_scripts_without_spaces_wait_for_none() -> None:
    assert WholeWords().push("開いて") == "開いて"


def test_what_is_no_word_is_not_held_for_ever() -> None:
    words = WholeWords()
    assert words.push("x" * 61) == "x" * 61


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("my name is Ann Lee and I", "and I would like a date", "my name is Ann Lee and I would like a date"),
        ("my name is Ann Lee, and I", "Lea and I would like a date", "my name is Ann Lee, and I would like a date"),
        ("one thing", "something else", "one thing something else"),
        ("", "a date", "a date"),
        ("a date", "", "a date"),
    ],
)
def test_two_transcripts_are_joined_where_they_agree(first: str, second: str, whole: str) -> None:
    assert joined_transcripts(first, second) == whole
