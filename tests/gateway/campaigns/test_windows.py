# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody is called out of hours: by everybody's own clock, on every day of a year, when clocks change, too."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.campaigns.policy import DAYS, Policy
from gateway.campaigns.windows import CallingWindows

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # changes by half an hour
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Africa/Casablanca",  # changes around Ramadan
    "Pacific/Apia",
    "Europe/Berlin America/New_York",
)
YEAR = datetime(2027, 1, 1, tzinfo=UTC)
moments = st.integers(0, 366 * 24 * 60 - 1).map(lambda minute: YEAR + timedelta(minutes=minute))
clock = st.times().map(lambda at: at.replace(second=0, microsecond=0))
windows = st.lists(
    st.builds(
        lambda days, begin, end: {"days": sorted(days, key=DAYS.index), "from": begin, "to": end},
        st.sets(st.sampled_from(DAYS), min_size=1),
        clock,
        clock,
    ),
    min_size=1,
    max_size=3,
)
holidays = st.lists(st.dates(date(2027, 1, 1), date(2027, 12, 31)), max_size=5)


def shows_open(policy: Policy, zone: str, at: datetime) -> bool:
    """By the clock on the wall: the rule, as a person would check it."""
    local = at.astimezone(ZoneInfo(zone))
    day, shown = local.date(), local.time()
    yesterday = day - timedelta(days=1)
    for window in policy.windows:
        crosses = window.from_ >= window.to
        is_today = DAYS[day.weekday()] in window.days and day not in policy.holidays
        if is_today and ((crosses and shown >= window.from_) or window.from_ <= shown < window.to):
            return True
        was_yesterday = DAYS[yesterday.weekday()] in window.days and not {yesterday, day} & set(policy.holidays)
        if crosses and was_yesterday and shown < window.to:
            return True
    return False


FOLDS = {
    "Europe/Berlin": datetime(2027, 10, 31, 1, tzinfo=UTC),
    "America/New_York": datetime(2027, 11, 7, 6, tzinfo=UTC),
    "America/Havana": datetime(2027, 11, 7, 5, tzinfo=UTC),  # to midnight
    "America/Scoresbysund": datetime(2027, 10, 31, 1, tzinfo=UTC),  # to the day before
    "Australia/Lord_Howe": datetime(2027, 4, 3, 15, tzinfo=UTC),
}
"""When the clocks go back."""
quarters = st.sampled_from([time(hour, minute) for hour in (*range(5), 22, 23) for minute in (0, 15, 30, 45)])


@settings(max_examples=300, deadline=None)
@given(quarters, quarters, st.sampled_from(sorted(FOLDS)), st.integers(-240, 240))
@example(time(1), time(2), "Europe/Berlin", -30)
@example(time(2, 30), time(5), "Europe/Berlin", 15)
def test_in_a_night_that_has_an_hour_twice_nobody_is_called_while_the_clock_shows_another(
    begin: time, end: time, zone: str, minutes: int
) -> None:
    policy = Policy.model_validate({"windows": [{"from": begin, "to": end}]})
    at = FOLDS[zone] + timedelta(minutes=minutes)
    is_open = CallingWindows(policy).is_open(zone, at)
    assert not is_open or shows_open(policy, zone, at)
    assert (CallingWindows(policy).next_open(zone, at) == at) == is_open


@settings(max_examples=300, deadline=None)
@given(windows, holidays, st.sampled_from(ZONES), moments)
def test_it_is_open_only_when_every_clock_shows_an_hour_of_a_window(
    windows: list[dict[str, object]], holidays: list[date], zone: str, at: datetime
) -> None:
    policy = Policy.model_validate({"windows": windows, "holidays": holidays})
    if CallingWindows(policy).is_open(zone, at):
        assert all(shows_open(policy, one, at) for one in zone.split())


@settings(max_examples=300, deadline=None)
@given(windows, holidays, st.sampled_from(ZONES[:-1]), moments)
def test_it_is_closed_only_when_the_clock_shows_none_but_for_an_hour_that_comes_twice(
    windows: list[dict[str, object]], holidays: list[date], zone: str, at: datetime
) -> None:
    policy = Policy.model_validate({"windows": windows, "holidays": holidays})
    if shows_open(policy, zone, at) and not CallingWindows(policy).is_open(zone, at):
        clock = ZoneInfo(zone)
        offsets = {(at + timedelta(hours=hours)).astimezone(clock).utcoffset() for hours in range(-26, 27)}
        assert len(offsets) > 1, "the clocks did not change on these days"


@settings(max_examples=300, deadline=None)
@given(windows, holidays, st.sampled_from(ZONES), moments)
@example([{"from": time(2, 30), "to": time(3, 0)}], [], "Europe/Berlin", datetime(2027, 3, 28, 0, 0, tzinfo=UTC))
def test_the_next_opening_is_open_and_nothing_before_it_was(
    windows: list[dict[str, object]], holidays: list[date], zone: str, after: datetime
) -> None:
    engine = CallingWindows(Policy.model_validate({"windows": windows, "holidays": holidays}))
    opens = engine.next_open(zone, after)
    if engine.is_open(zone, after):
        assert opens == after
    until = after + timedelta(days=9) if opens is None else opens
    if opens is not None:
        assert opens >= after
        assert engine.is_open(zone, opens)
    at = after
    while at < min(until, after + timedelta(days=9)):
        assert not engine.is_open(zone, at)
        at += timedelta(minutes=17)


@pytest.mark.parametrize(
    ("zone", "at", "is_open"),
    [
        ("Europe/Berlin", "2027-03-28T00:59:00+00:00", True),  # 01:59
        ("Europe/Berlin", "2027-03-28T01:01:00+00:00", False),  # 03:01: two o'clock was left out
        ("Europe/Berlin", "2027-10-31T00:30:00+00:00", True),  # 02:30, for the first time
        ("Europe/Berlin", "2027-10-31T01:30:00+00:00", True),  # 02:30 again
        ("Europe/Berlin", "2027-10-31T02:00:00+00:00", False),  # 03:00
        ("Asia/Kathmandu", "2027-05-05T19:15:00+00:00", True),  # 01:00 of the next day
    ],
)
def test_hours_that_clocks_leave_out_or_show_twice(zone: str, at: str, is_open: bool) -> None:
    policy = Policy.model_validate({"windows": [{"from": "01:00", "to": "03:00"}]})
    assert CallingWindows(policy).is_open(zone, datetime.fromisoformat(at)) is is_open


def test_who_may_be_in_two_time_zones_is_called_when_both_allow_it() -> None:
    policy = Policy.model_validate({"windows": [{"from": "09:00", "to": "20:00"}]})
    engine = CallingWindows(policy)
    eight = datetime(2027, 6, 1, 12, 0, tzinfo=UTC)  # 8:00 in New York, 14:00 in Berlin
    assert not engine.is_open("America/New_York Europe/Berlin", eight)
    assert engine.next_open("America/New_York Europe/Berlin", eight) == eight + timedelta(hours=1)
    evening = datetime(2027, 6, 1, 18, 30, tzinfo=UTC)
    assert engine.next_open("America/New_York Europe/Berlin", evening) == datetime(2027, 6, 2, 13, 0, tzinfo=UTC)


def test_nobody_is_called_after_the_campaigns_end_nor_when_no_hour_is_common() -> None:
    until = datetime(2027, 6, 1, 12, 0, tzinfo=UTC)
    ended = CallingWindows(Policy.model_validate({"until": until}))
    assert ended.next_open("Europe/Berlin", until) is None
    assert not ended.is_open("Europe/Berlin", until)
    never = CallingWindows(Policy.model_validate({"windows": [{"from": "10:00", "to": "11:00"}]}))
    assert never.next_open("Europe/Berlin America/New_York", until) is None
