# SPDX-License-Identifier: GPL-3.0-or-later
"""Clauses out of a stream of words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sentences import ClauseChunker


def clauses(text: str, *, first_min_chars: int = 12, max_chars: int = 240) -> list[str]:
    chunker = ClauseChunker(first_min_chars, max_chars)
    return [*chunker.push(text), *chunker.flush()]


def test_sentences_are_clauses() -> None:
    assert clauses("Yes. We are open! Are you coming? Good…") == ["Yes.", "We are open!", "Are you coming?", "Good…"]


@pytest.mark.parametrize(
    "text",
    [
        "It is $29.50 a month.",
        "Dr. Lee is not in.",
        "Mr. and Mrs. J. R. Smith live on St. John Street.",
        "Pi is 3.14 or so.",
        "Bring something, e.g. a passport.",
        "See www.parley.example.com/prices?a=1.5 or write to a.b@c.example.org now.",
        "It is No. 5 on the list.",
        "We close at 5 p.m. today.",
        "Ask Acme Inc. about it.",
        "Version 2.0.1 costs 1,000.50 euros.",
    ],
)
def test_dots_and_commas_that_end_nothing_do_not_split(text: str) -> None:
    assert clauses(text, first_min_chars=1_000) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We close at 5 p.m. Tomorrow we rest.", ["We close at 5 p.m.", "Tomorrow we rest."]),
        ("The answer is no. Sorry.", ["The answer is no.", "Sorry."]),
        ('She said "no." Then she left.', ['She said "no."', "Then she left."]),
        ("It was I. Nobody else.", ["It was I.", "Nobody else."]),
        ("Wait...what? Oh... fine.", ["Wait...what?", "Oh...", "fine."]),
        ("Really?! Yes.", ["Really?!", "Yes."]),
        ("1. Call us.\n2. Come in.", ["1. Call us.", "2. Come in."]),
        ("One line\nanother line", ["One line", "another line"]),
        ("はい。わかりました。", ["はい。", "わかりました。"]),
    ],
)
def test_dots_that_end_sentences_split(text: str, expected: list[str]) -> None:
    assert clauses(text) == expected


def test_the_first_clause_may_end_at_a_comma_and_later_ones_do_not() -> None:
    text = "We are open on Monday, Tuesday, and Friday. On Sunday, however, we rest."
    assert clauses(text) == ["We are open on Monday,", "Tuesday, and Friday.", "On Sunday, however, we rest."]


def test_a_very_short_beginning_is_not_a_clause_of_its_own() -> None:
    assert clauses("Sure, we can do that.") == ["Sure, we can do that."]


def test_a_sentence_comes_out_as_soon_as_it_is_certain_that_it_has_ended() -> None:
    chunker = ClauseChunker()
    assert chunker.push("Yes.") == []
    assert chunker.push(" ") == ["Yes."]
    assert chunker.push("It closes at 5 p.m. ") == []
    assert chunker.push("T") == ["It closes at 5 p.m."]
    assert chunker.flush() == ["T"]


def test_a_sentence_without_end_is_cut_at_a_comma_or_a_space() -> None:
    assert clauses("aaa bbb, ccc ddd eee", first_min_chars=99, max_chars=12) == ["aaa bbb,", "ccc ddd eee"]
    assert clauses("aaa bbb ccc ddd eee", max_chars=9) == ["aaa bbb", "ccc ddd", "eee"]
    assert clauses("a" * 50, max_chars=10) == ["a" * 20, "a" * 20, "a" * 10]


def test_nothing_comes_out_of_nothing() -> None:
    assert clauses("") == []
    assert clauses(" \n ") == []


TRICKY = ["Yes", "no", "Dr.", "p.m.", "$29.50", "well,", "e.g.", "end.", "What?", "1.", "No.", "(so).", "a;", "\n"]
WORDS = st.lists(st.sampled_from(TRICKY), max_size=40).map(" ".join)


@given(WORDS, st.lists(st.integers(0, 300), max_size=12), st.integers(5, 60))
def test_how_the_words_are_cut_into_deltas_makes_no_difference(text: str, cuts: list[int], max_chars: int) -> None:
    chunker = ClauseChunker(max_chars=max_chars)
    out: list[str] = []
    begin = 0
    for cut in [*sorted(cuts), len(text)]:
        out += chunker.push(text[begin:cut])
        begin = max(begin, cut)
    assert [*out, *chunker.flush()] == clauses(text, max_chars=max_chars)


@given(st.text(max_size=400), st.integers(1, 50))
def test_no_word_is_lost_whatever_the_text(text: str, max_chars: int) -> None:
    out = clauses(text, max_chars=max_chars)
    assert "".join("".join(out).split()) == "".join(text.split())
    assert all(clause.strip() == clause and clause for clause in out)


def test_marks_without_end_are_cut_too_and_cost_no_more_than_words() -> None:
    found = clauses("!?" * 5_000)
    assert "".join(found) == "!?" * 5_000
    assert max(map(len, found)) <= 480
