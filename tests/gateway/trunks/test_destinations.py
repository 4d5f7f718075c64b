# SPDX-License-Identifier: GPL-3.0-or-later
"""Which numbers may be dialled, however they are written."""

import pytest

from gateway.trunks.destinations import Way, is_allowed


@pytest.mark.parametrize(
    "number",
    ["+19005550100", "19005550100", "0019005550100", "01119005550100", "+1 (900) 555-0100", "1-900-555.0100", "+1/900"],
)
def test_a_denied_prefix_is_found_however_the_number_is_written(number: str) -> None:
    assert not is_allowed(number, [], ["+1900"], "order")


def test_what_no_list_names_is_allowed() -> None:
    assert is_allowed("+14155550100", [], ["+1900"], "order")
    assert is_allowed("100", [], ["+1900"], "order")
    assert is_allowed("agent", [], [], "order")


def test_with_an_allow_list_nothing_else_may_be_dialled() -> None:
    assert is_allowed("+441632960123", ["+44"], [], "order")
    assert is_allowed("00441632960123", ["+44"], [], "order")
    assert not is_allowed("+4930123456", ["+44"], [], "order")
    assert not is_allowed("100", ["+44"], [], "order")


def test_the_longer_prefix_wins_and_of_equals_the_allowed_one() -> None:
    assert is_allowed("+441632960123", ["+441632"], ["+44"], "order")
    assert not is_allowed("+449012345678", ["+44"], ["+449"], "order")
    assert is_allowed("+449012345678", ["+449"], ["+449"], "order")


def test_a_prefix_without_plus_means_the_number_as_it_is_written() -> None:
    assert not is_allowed("0900123456", [], ["0900"], "order")
    assert is_allowed("+49900123456", [], ["0900"], "order")


@pytest.mark.parametrize("way", ["transfer", "refer", "redirect"])
@pytest.mark.parametrize(
    "number", ["+19005550100", "0044 90 1234 5678", "18765550100", "+979123456789", "011 881 6 1234 5678", "*671234567"]
)
def test_a_far_end_is_not_followed_to_premium_numbers(number: str, way: Way) -> None:
    assert not is_allowed(number, [], [], way)
    assert is_allowed(number, [], [], "order")


def test_an_operator_can_let_a_far_end_go_there_by_name() -> None:
    assert not is_allowed("+18765550100", ["+1"], [], "refer")
    assert is_allowed("+18765550100", ["+1", "+1876"], [], "refer")


@pytest.mark.parametrize(
    "number",
    [
        "++19005550100",
        "+\uff11\uff19\uff10\uff105550100",
        "+1~9005550100",
        "+1\u200b9005550100",
        "+1,9005550100",
        "+\u06619005550100",
        "+019005550100",
    ],
)
def test_marks_and_foreign_digits_hide_no_number(number: str) -> None:
    assert not is_allowed(number, [], ["+1900", "01900"], "order")
    assert not is_allowed(number, [], ["01900"], "refer")


def test_names_of_people_and_rooms_are_no_numbers() -> None:
    assert is_allowed("o'brien", [], [], "refer")
    assert is_allowed("room-7.1_a", [], [], "refer")
