# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from tests.wer import word_error_rate


@pytest.mark.parametrize(
    ("reference", "hypothesis"),
    [
        ("Press one for voice mail.", "press 1 for voicemail"),
        ("I can't", "I can not"),
        ("M I S D N", "MISDN"),
        ("press * or #", "Press star or pound."),
        ("...has joined the conference.", "has joined the conference"),
        ("It's 25 re-recorded", "it is twenty five rerecorded"),
    ],
)
def test_another_spelling_is_no_error(reference: str, hypothesis: str) -> None:
    assert word_error_rate([reference], [hypothesis]) == 0


def test_substituted_missing_and_added_words_count() -> None:
    assert word_error_rate(["a b c d"], ["a x c"]) == 0.5
    assert word_error_rate(["a b c d"], ["a b c d e"]) == 0.25
    assert word_error_rate(["a b c d"], [""]) == 1


def test_the_rate_is_over_all_words_not_over_all_sentences() -> None:
    assert word_error_rate(["one two three", "four"], ["one two three", "five"]) == 0.25
