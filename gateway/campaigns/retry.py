# SPDX-License-Identifier: GPL-3.0-or-later
"""When somebody is called again, if ever."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.campaigns.outcome import Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.windows import CallingWindows


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that is over."""

    outcome: Outcome
    ended_at: datetime


def next_attempt(
    policy: Policy, attempts: Sequence[PastAttempt], zone: str, windows: CallingWindows | None = None
) -> datetime | None:
    """When the next attempt is due, in UTC, in a window of the policy; None: the contact is done.

    `attempts`: all there were, oldest first, at least one. `windows`: the policy's, if they are at hand.
    """
    last = attempts[-1]
    backoff = policy.attempts.backoff(last.outcome)
    if last.outcome is Outcome.MACHINE and policy.machine.action != "retry":
        return None
    if backoff is None or len(attempts) >= policy.attempts.max:
        return None
    alike = sum(one.outcome is last.outcome for one in attempts)
    if alike >= backoff.max:
        return None
    wait_s = backoff.after_s[min(alike, len(backoff.after_s)) - 1]
    windows = CallingWindows(policy) if windows is None else windows
    due = windows.next_open(zone, last.ended_at + timedelta(seconds=wait_s))
    while due is not None and (full_day := _full_day(policy, attempts, zone, due)) is not None:
        first = zone.split()[0]
        tomorrow = datetime.combine(full_day + timedelta(days=1), time.min, ZoneInfo(first)).astimezone(UTC)
        due = windows.next_open(zone, max(tomorrow, due + timedelta(minutes=1)))
    return due


def _full_day(policy: Policy, attempts: Sequence[PastAttempt], zone: str, due: datetime) -> date | None:
    """The day of `due` there, when they have been called often enough on it; None: they have not."""
    clock = ZoneInfo(zone.split()[0])
    day = due.astimezone(clock).date()
    called = sum(one.ended_at.astimezone(clock).date() == day for one in attempts)
    return day if called >= policy.attempts.max_per_day else None
