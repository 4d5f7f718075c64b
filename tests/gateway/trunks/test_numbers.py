# SPDX-License-Identifier: GPL-3.0-or-later
"""How telephone numbers are written to a trunk, and read from it."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trunks.numbers import NumberPlan, ReceivedNumber, SentNumber

BRITISH = NumberPlan(country_code="44", national_prefix="0", international_prefix="00")
AMERICAN = NumberPlan(country_code="1", national_prefix="", international_prefix="011")
NOT_NUMBERS = ("agent", "100", "112", "911", "+112", "1234", "anna.smith", "", "+", "*21*01632960123#", "2001:db8::1")


@pytest.mark.parametrize(
    ("sent", "number", "written"),
    [
        ("as_is", "01632 960123", "01632 960123"),
        ("e164_plus", "+441632960123", "+441632960123"),
        ("e164_plus", "01632960123", "+441632960123"),
        ("e164_plus", "01632 960-123", "+441632960123"),
        ("e164_plus", "(01632) 960123", "+441632960123"),
        ("e164_plus", "0014155550100", "+14155550100"),
        ("e164_plus", "441632960123", "+441632960123"),
        ("e164", "+441632960123", "441632960123"),
        ("e164", "01632960123", "441632960123"),
        ("national", "+441632960123", "01632960123"),
        ("national", "01632960123", "01632960123"),
        ("national", "+14155550100", "0014155550100"),
    ],
)
def test_numbers_are_sent_as_the_trunk_wants_them(sent: SentNumber, number: str, written: str) -> None:
    assert replace(BRITISH, sent=sent).written(number) == written


@pytest.mark.parametrize(
    ("sent", "number", "written"),
    [
        ("e164_plus", "4155550100", "+14155550100"),
        ("e164_plus", "14155550100", "+14155550100"),
        ("e164_plus", "011441632960123", "+441632960123"),
        ("national", "+14155550100", "4155550100"),
        ("national", "+441632960123", "011441632960123"),
    ],
)
def test_where_national_numbers_have_no_prefix_their_length_tells_them(
    sent: SentNumber, number: str, written: str
) -> None:
    assert replace(AMERICAN, sent=sent).written(number) == written


def test_without_a_country_national_numbers_stay_as_they_are() -> None:
    plan = NumberPlan(sent="e164_plus")
    assert plan.written("01632960123") == "01632960123"
    assert plan.written("441632960123") == "+441632960123"
    assert plan.written("00441632960123") == "+441632960123"


@pytest.mark.parametrize("number", NOT_NUMBERS)
def test_what_is_no_telephone_number_passes_as_it_is(number: str) -> None:
    for sent in get_args(SentNumber):
        for received in get_args(ReceivedNumber):
            plan = replace(BRITISH, sent=sent, received=received)
            assert plan.written(number) == number
            assert plan.received_number(number) == number


def test_the_prefix_is_put_before_dialled_numbers_alone_and_the_strip_taken_from_those_that_come_in() -> None:
    plan = NumberPlan(sent="e164", received="e164", prefix="1234", strip="9", country_code="44")
    assert plan.dialled("+441632960123") == "1234441632960123"
    assert plan.written("+441632960123") == "441632960123"
    assert plan.called("9441632960123") == "+441632960123"
    assert plan.called("441632960123") == "+441632960123"
    assert plan.dialled("100") == "1234100"


@pytest.mark.parametrize(
    ("number", "seen"),
    [
        ("441632960123", "+441632960123"),
        ("+441632960123", "+441632960123"),
        ("01632960123", "01632960123"),  # no country code begins with 0
    ],
)
def test_numbers_that_come_in_with_their_country_code_get_a_plus(number: str, seen: str) -> None:
    assert NumberPlan(received="e164").received_number(number) == seen


@pytest.mark.parametrize(
    ("number", "seen"),
    [("01632960123", "+441632960123"), ("0014155550100", "+14155550100"), ("+14155550100", "+14155550100")],
)
def test_national_numbers_that_come_in_get_their_country(number: str, seen: str) -> None:
    assert replace(BRITISH, received="national").received_number(number) == seen


@given(st.from_regex(r"\A[1-9][0-9]{9,14}\Z"), st.sampled_from(["e164_plus", "e164"]))
def test_a_number_that_was_sent_comes_back_as_it_was(digits: str, sent: SentNumber) -> None:
    plan = replace(BRITISH, sent=sent, received="e164")
    assert plan.received_number(plan.written(f"+{digits}")) == f"+{digits}"


@given(st.text(max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    for sent in get_args(SentNumber):
        replace(AMERICAN, sent=sent, received="national").received_number(replace(AMERICAN, sent=sent).dialled(text))
