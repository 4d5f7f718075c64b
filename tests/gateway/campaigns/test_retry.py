# SPDX-License-Identifier: GPL-3.0-or-later
"""When somebody is called again: never too often, never too soon, never out of hours, and after UNKNOWN never."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.campaigns.outcome import Outcome
from gateway.campaigns.policy import RETRIED, Policy
from gateway.campaigns.retry import PastAttempt, next_attempt
from gateway.campaigns.windows import CallingWindows

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
MONDAY = datetime(2027, 3, 22, 9, 0, tzinfo=UTC)
backoffs = st.builds(
    lambda waits, most: {"after_s": waits, "max": most},
    st.lists(st.integers(0, 200_000), min_size=1, max_size=3),
    st.integers(1, 5),
)
eight = st.lists(st.sampled_from(RETRIED), min_size=8, max_size=8)
attempts = st.fixed_dictionaries(
    {"max": st.integers(1, 6), "max_per_day": st.integers(1, 3)},
    optional={outcome.value: backoffs for outcome in RETRIED},
)


@settings(max_examples=200, deadline=None)
@given(
    attempts, st.sampled_from(ZONES), st.lists(st.sampled_from(RETRIED), min_size=8, max_size=8), st.integers(0, 8000)
)
def test_a_year_of_attempts_keeps_every_rule(
    rules: dict[str, object], zone: str, outcomes: list[Outcome], hour: int
) -> None:
    policy = Policy.model_validate({"attempts": rules, "machine": {"action": "retry"}})
    windows = CallingWindows(policy)
    past: list[PastAttempt] = []
    due = windows.next_open(zone, datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=hour))
    for outcome in outcomes:
        assert due is not None
        assert windows.is_open(zone, due)
        past.append(PastAttempt(outcome, due))
        if (due := next_attempt(policy, past, zone)) is None:
            break
        backoff = policy.attempts.backoff(outcome)
        assert backoff is not None
        alike = sum(one.outcome is outcome for one in past)
        assert alike < backoff.max
        assert due >= past[-1].ended_at + timedelta(seconds=backoff.after_s[min(alike, len(backoff.after_s)) - 1])
    assert len(past) <= policy.attempts.max
    days = Counter(one.ended_at.astimezone(ZoneInfo(zone)).date() for one in past)
    assert max(days.values()) <= policy.attempts.max_per_day


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - set(RETRIED), key=lambda outcome: str(outcome)))
def test_some_outcomes_are_the_last_whatever_the_policy_says(outcome: Outcome) -> None:
    assert next_attempt(Policy(), [PastAttempt(outcome, MONDAY)], "Europe/Berlin") is None


def test_a_machine_is_called_again_only_when_the_policy_wants_people() -> None:
    past = [PastAttempt(Outcome.MACHINE, MONDAY)]
    assert next_attempt(Policy(), past, "Europe/Berlin") is None
    retrying = Policy.model_validate({"machine": {"action": "retry"}})
    assert next_attempt(retrying, past, "Europe/Berlin") == MONDAY + timedelta(hours=4)


def test_who_has_been_called_often_enough_today_is_called_tomorrow() -> None:
    policy = Policy.model_validate({"attempts": {"max_per_day": 1, "busy": {"after_s": [60]}}})
    due = next_attempt(policy, [PastAttempt(Outcome.BUSY, MONDAY)], "Europe/Berlin")
    assert due == datetime(2027, 3, 23, 8, 0, tzinfo=UTC), "nine o'clock there"
