# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from agent.number_words import cardinal, decimal, digit_by_digit, ordinal, year


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (95, "ninety-five"),
        (100, "one hundred"),
        (118, "one hundred eighteen"),
        (1_234, "one thousand two hundred thirty-four"),
        (1_000_001, "one million one"),
        (999_999_999_999_999, "nine hundred ninety-nine trillion nine hundred ninety-nine billion "
         "nine hundred ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine"),
        (10**15, "one" + " zero" * 15),
    ],
)  # fmt: skip
def test_cardinals(number: int, words: str) -> None:
    assert cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "first"),
        (2, "second"),
        (12, "twelfth"),
        (20, "twentieth"),
        (21, "twenty-first"),
        (100, "one hundredth"),
        (103, "one hundred third"),
    ],
)
def test_ordinals(number: int, words: str) -> None:
    assert ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1905, "nineteen oh five"),
        (1900, "nineteen hundred"),
        (1999, "nineteen ninety-nine"),
        (2000, "two thousand"),
        (2007, "two thousand seven"),
        (2026, "twenty twenty-six"),
        (500, "five hundred"),
    ],
)
def test_years(number: int, words: str) -> None:
    assert year(number) == words


def test_decimals_and_digits() -> None:
    assert decimal("1,250") == "one thousand two hundred fifty"
    assert decimal("2.50") == "two point five zero"
    assert decimal("007") == "zero zero seven"
    assert decimal("0.5") == "zero point five"
    assert digit_by_digit("01-9") == "zero one nine"
