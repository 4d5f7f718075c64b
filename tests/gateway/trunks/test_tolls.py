# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trunk may cost."""

import pytest

from gateway.trunks.config import TrunkConfig
from gateway.trunks.tolls import Tolls

DAY_S = 86_400.0


def tolls(**limits: object) -> Tolls:
    return Tolls({"one": TrunkConfig.model_validate({"name": "one", "host": "192.0.2.1", **limits})})


def test_calls_both_ways_count_towards_the_most_at_a_time() -> None:
    one = tolls(max_calls=2)
    assert one.admit("a", "one", 0.0, 0.0) is None
    assert one.admit_inbound("b", "one") is None
    assert one.admit("c", "one", 1.0, 1.0) == "calls"
    assert one.admit_inbound("d", "one") == "calls"
    one.ended("b", "one", 2.0)
    assert one.admit("c", "one", 2.0, 2.0) is None
    assert one.calls("one") == 2


def test_in_no_second_more_calls_begin_than_may() -> None:
    one = tolls(max_cps=5)
    begun = [now for now in (n / 50 for n in range(500)) if one.admit(str(now), "one", now, now) is None]
    assert len(begun) == 50
    assert all(later - first >= 1.0 for first, later in zip(begun, begun[5:], strict=False))


def test_a_call_every_two_seconds_is_half_a_call_per_second() -> None:
    one = tolls(max_cps=0.5)
    assert [one.admit(str(n), "one", float(n), 0.0) for n in range(4)] == [None, "rate", None, "rate"]


def test_what_is_refused_for_its_number_of_calls_does_not_use_up_the_rate() -> None:
    one = tolls(max_cps=1, max_calls=1)
    assert one.admit("a", "one", 0.0, 0.0) is None
    assert one.admit("b", "one", 5.0, 5.0) == "calls"
    one.ended("a", "one", 5.1)
    assert one.admit("b", "one", 5.2, 5.2) is None


def test_minutes_are_counted_from_the_answer_on_calls_that_last_included() -> None:
    one = tolls(max_minutes_per_day=2)
    one.admit("a", "one", 0.0, 1000.0)
    assert one.minutes_today("one", 1060.0) == 0.0
    one.answered("a", "one", 1060.0)
    assert one.minutes_today("one", 1120.0) == 1.0
    assert one.admit("b", "one", 0.0, 1120.0) is None
    assert one.admit("c", "one", 0.0, 1180.0) == "minutes"
    one.ended("a", "one", 1180.0)
    assert one.minutes_today("one", 9999.0) == 2.0


def test_a_day_begins_at_midnight_utc_also_in_the_middle_of_a_call() -> None:
    one = tolls(max_minutes_per_day=10)
    one.restore("one", 9.0, DAY_S - 120)
    one.admit("a", "one", 0.0, DAY_S - 60)
    one.answered("a", "one", DAY_S - 60)
    assert one.admit("b", "one", 0.0, DAY_S - 0.001) is None
    assert one.minutes_today("one", DAY_S + 30) == 0.5


def test_inbound_calls_cost_nothing() -> None:
    one = tolls(max_minutes_per_day=1)
    one.admit_inbound("a", "one")
    one.ended("a", "one", 10_000.0)
    assert one.minutes_today("one", 10_000.0) == 0.0


def test_numbers_are_judged_by_the_trunks_own_lists() -> None:
    one = tolls(allow_destinations=["+44"], deny_destinations=["+449"])
    assert one.bar("one", "+441632960123", "order") is None
    assert one.bar("one", "+449098790000", "order") == "destination"
    assert one.bar("one", "+4930123456", "order") == "destination"


def test_a_national_number_is_judged_as_the_trunk_understands_it() -> None:
    one = tolls(country_code="44", number_format="e164_plus", deny_destinations=["+449"])
    assert one.bar("one", "09098790000", "order") == "destination"
    assert one.bar("one", "01632960123", "order") is None
    one = tolls(country_code="44", allow_destinations=["+44"])
    assert one.bar("one", "01632960123", "order") is None
    assert one.bar("one", "004930123456", "order") == "destination"


_GERMAN = {"country_code": "49"}
_AMERICAN = {"country_code": "1", "national_prefix": "", "international_prefix": "011"}


@pytest.mark.parametrize(
    ("number", "plan"),
    [
        ("+00449012345678", {"number_format": "e164"}),
        ("+00449012345678", {}),
        ("00011979123456", {"number_format": "e164"}),
        ("+0900123456", {"number_format": "e164", **_GERMAN}),
        ("000900123456", {"number_format": "e164", **_GERMAN}),
        ("+4904490123456", {"number_format": "national", **_GERMAN}),
        ("+490900123456", {"number_format": "e164_plus", **_GERMAN}),
        ("+1011979123456", {"number_format": "national", **_AMERICAN}),
        ("0900123456" + 12 * "0", {"number_format": "national", **_GERMAN}),
        ("0/900_123456", {"number_format": "national", **_GERMAN}),
    ],
)
def test_a_number_is_judged_as_the_trunk_will_hear_it(number: str, plan: dict[str, str]) -> None:
    one = tolls(**plan)
    assert one.bar("one", number, "refer") == "destination"
    assert one.bar("one", number, "order") is None


def test_what_the_trunk_hears_has_to_be_allowed_too() -> None:
    american = tolls(allow_destinations=["+1"], number_format="national", **_AMERICAN)
    assert american.bar("one", "+14155550100", "order") is None
    assert american.bar("one", "4155550100", "order") is None
    assert american.bar("one", "+1011441632960123", "order") == "destination"  # is sent as 011441632960123
    british = tolls(allow_destinations=["+44", "0800"], number_format="e164", country_code="44")
    assert british.bar("one", "01632960123", "order") is None
    assert british.bar("one", "0800555555", "order") is None
    german = tolls(allow_destinations=["0800"], number_format="e164", **_GERMAN)
    assert german.bar("one", "08005555555", "order") is None
