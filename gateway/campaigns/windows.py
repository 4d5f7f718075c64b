# SPDX-License-Identifier: GPL-3.0-or-later
"""When somebody may be called, by their own clock: days, hours, holidays, and what the clock does in spring and autumn.

A window's `from` and `to` are times on the wall (RFC 5545, section 3.3.5, is the model). An hour that the clocks leave
out is nobody's; one that comes twice is the window's both times, since people's clocks say so. Only a window that
begins within it begins the second time, and one that ends within it ends the first: so no clock ever shows an hour
outside. A contact whose number
fits several time zones (`"America/New_York America/Chicago"`) may be called when all of them allow it.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.campaigns.policy import DAYS, Policy

_FARTHEST_DAYS = 400
"""Who may not be called within so long is never called: every day is a holiday, or the zones have no hour in common."""
_MINUTE = timedelta(minutes=1)
_DAY_ENDS = time(23, 59, 59, 999999)
Span = tuple[datetime, datetime]
"""From, to (not any more): in UTC."""


class CallingWindows:
    """One policy's."""

    def __init__(self, policy: Policy) -> None:
        self._windows = policy.windows
        self._holidays = frozenset(policy.holidays)
        self._until = policy.until
        self._spans: dict[tuple[str, date], tuple[Span, ...]] = {}

    def is_open(self, zone: str, at: datetime) -> bool:
        """Whether contacts of this time zone, or of these, may be called at this moment (aware)."""
        if self._until is not None and at >= self._until:
            return False
        return all(self._is_open_in(one, at) for one in zone.split())

    def next_open(self, zone: str, after: datetime) -> datetime | None:
        """The first moment from then on, in UTC, at which they may be called; None: there is none."""
        at = after.astimezone(UTC)
        last = at + timedelta(days=_FARTHEST_DAYS)
        if self._until is not None:
            last = min(last, self._until.astimezone(UTC))
        while at < last:
            openings = [self._next_open_in(one, at) for one in zone.split()]
            if None in openings:
                return None
            latest = max(one for one in openings if one is not None)
            if latest == at:
                return at
            at = latest
        return None

    def _is_open_in(self, zone: str, at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(zone)).date()
        return any(
            begin <= at < end
            for day in (local - timedelta(days=1), local, local + timedelta(days=1))
            for begin, end in self._of_day(zone, day)
        )

    def _next_open_in(self, zone: str, at: datetime) -> datetime | None:
        day = at.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
        for _ in range(_FARTHEST_DAYS):
            found = [max(begin, at) for begin, end in self._of_day(zone, day) if end > at]
            # Windows of the next day may begin before one that crosses midnight, as clocks go: look at that, too.
            found += [max(begin, at) for begin, end in self._of_day(zone, day + timedelta(days=1)) if end > at]
            if found:
                return min(found)
            day += timedelta(days=1)
        return None

    def _of_day(self, zone: str, day: date) -> tuple[Span, ...]:
        """The windows that begin on this day there."""
        key = (zone, day)
        if key not in self._spans:
            if len(self._spans) > 10_000:
                self._spans.clear()
            self._spans[key] = tuple(self._find(ZoneInfo(zone), day))
        return self._spans[key]

    def _find(self, zone: ZoneInfo, day: date) -> list[Span]:
        spans = []
        for window in self._windows:
            if DAYS[day.weekday()] not in window.days or day in self._holidays:
                continue
            if window.from_ < window.to:
                spans.append((_begin(zone, day, window.from_), _end(zone, day, window.to)))
                continue
            spans.append((_begin(zone, day, window.from_), _end(zone, day, _DAY_ENDS)))
            after = day + timedelta(days=1)
            if after not in self._holidays and window.to > time.min:
                spans.append((_begin(zone, after, time.min), _end(zone, after, window.to)))
        return [span for span in spans if span[0] < span[1]]


def _begin(zone: ZoneInfo, day: date, at: time) -> datetime:
    """The first moment from which on the clocks show this time or a later one."""
    local = datetime.combine(day, at, zone)
    moment = local.astimezone(UTC)
    again = local.replace(fold=1).astimezone(UTC)
    if again > moment and _jump(zone, moment).astimezone(zone).time() < at:
        return again  # between the two they go back to before it
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    # The clocks leave it out: from when they have jumped on.
    return _jump(zone, moment)


def _end(zone: ZoneInfo, day: date, at: time) -> datetime:
    """The first moment when the clocks show this time or a later one."""
    if at == _DAY_ENDS:
        return _begin(zone, day + timedelta(days=1), time.min)
    local = datetime.combine(day, at, zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    return _jump(zone, moment)


def _jump(zone: ZoneInfo, near: datetime) -> datetime:
    """When the clocks jumped on, within a day of that moment; to the minute."""
    low, high = near - timedelta(days=1), near + timedelta(days=1)
    before = low.astimezone(zone).utcoffset()
    while high - low > _MINUTE:
        middle = low + (high - low) / 2
        middle = middle.replace(second=0, microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(second=0, microsecond=0)
