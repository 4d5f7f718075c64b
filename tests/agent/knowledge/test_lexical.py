# SPDX-License-Identifier: GPL-3.0-or-later
"""Search by words: rare ones tell most, inflection does not matter, function words tell nothing."""

import numpy as np
import pytest

from agent.knowledge.lexical import WordIndex, stem, terms_of

TEXTS = (
    "The cabin has a hot tub on the terrace.",
    "The cabin has a kitchen. The kitchen has a stove.",
    "Dogs pay 6.50 a night in the cabin.",
)


@pytest.mark.parametrize(
    "forms",
    [
        ("cancel", "cancels", "cancelled", "cancelling"),
        ("city", "cities"),
        ("bake", "baked", "baking", "bakes"),
        ("stop", "stopped", "stopping"),
        ("box", "boxes"),
        ("price", "prices", "priced"),
    ],
)
def test_forms_of_a_word_are_one(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_what_only_looks_like_an_ending_is_none() -> None:
    assert [stem(word) for word in ("bus", "ring", "red", "grass", "2024")] == ["bus", "ring", "red", "grass", "2024"]


def test_function_words_and_punctuation_are_no_terms_numbers_are_whole() -> None:
    assert terms_of("What's the price for it at 6.50, or 5:15?") == [stem("price"), "6.50", "5:15"]
    assert terms_of("Is it there?") == []


def test_the_text_with_the_rarer_word_comes_first_and_shares_lie_between_none_and_all() -> None:
    index = WordIndex(TEXTS)
    scores = index.search(terms_of("a cabin with a hot tub"))
    assert int(np.argmax(scores)) == 0
    assert scores[0] > scores[1] > 0
    assert float(scores.max()) <= 1
    assert index.weight("tub") > index.weight("cabin")


def test_more_of_a_word_in_a_text_of_the_same_length_counts_more_but_not_twice() -> None:
    index = WordIndex(["stove stove lamp lamp", "stove chair lamp lamp", "lamp lamp lamp lamp"])
    twice, once, never = index.search(terms_of("stove"))
    assert once < twice < 2 * once
    assert never == 0


def test_a_word_that_is_nowhere_takes_from_the_share_of_those_that_are_found() -> None:
    index = WordIndex(TEXTS)
    assert "jacuzzi" not in index
    assert index.search(["tub", "jacuzzi"])[0] < index.search(["tub"])[0]


def test_without_words_or_texts_nothing_is_found() -> None:
    assert not WordIndex(TEXTS).search([]).any()
    assert WordIndex([]).search(["tub"]).shape == (0,)
