# SPDX-License-Identifier: GPL-3.0-or-later
"""Which event a webhook's receiver gets next: in order for each call, each at its time. Knows no clock.

    add > take > (it is being sent) > receive_outcome > the call's next event, or the same one again, later

A call's event waits for the one before it; other calls go on. A receiver that *refuses* an event (most answers that are
not 2xx) gets that call's again after 1 s, 2 s, 4 s... at most 60 s. When it is *unreachable* (no answer, or 429, 502,
503, 504) everything waits likewise, then one event goes ahead to see; its arrival opens the way for all.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from gateway.events.event import Event

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
_MOST_JITTER = 0.5
"""A wait is shortened by a random part of up to so much: receivers must not be hit by all at the same moment."""


class Outcome(Enum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver does not want this event, or not now."""
    UNREACHABLE = "unreachable"
    """Nobody is there."""
    GIVEN_UP = "given_up"
    """It was not tried again, for its age."""


@dataclass(slots=True)
class _Call:
    events: deque[Event] = field(default_factory=deque)
    """The first is next, or being sent."""
    refusals: int = 0
    """Of the first, in a row."""


class DeliveryQueue:
    """What one webhook still has to send. The caller bounds how much it adds."""

    def __init__(self, chance: random.Random, *, max_in_flight: int = 8, first_retry_s: float = FIRST_RETRY_S) -> None:
        self._chance = chance
        self._first_retry_s = first_retry_s
        self._max_in_flight = max_in_flight
        self._calls: dict[str, _Call] = {}
        self._ready: deque[str] = deque()
        """Calls whose next event may be sent."""
        self._waiting: list[tuple[float, str]] = []
        """A heap: when which call's event is to be sent again."""
        self._in_flight: set[str] = set()
        self._absences: int = 0
        """How often in a row the receiver was unreachable."""
        self._try_at = 0.0
        self._size = 0

    def __len__(self) -> int:
        """Events that have not arrived."""
        return self._size

    def __iter__(self) -> Iterator[Event]:
        return (event for call in self._calls.values() for event in call.events)

    @property
    def is_failing(self) -> bool:
        """Something has to be tried again."""
        return self._absences > 0 or bool(self._waiting)

    def add(self, event: Event) -> None:
        """Behind all of its call."""
        self._size += 1
        call = self._calls.get(event.call_id)
        if call is None:
            call = self._calls[event.call_id] = _Call()
            self._ready.append(event.call_id)
        call.events.append(event)

    def take(self, now: float) -> Event | None:
        """The next event to send; None: nothing is to be done before `next_timeout`, an outcome, or something new."""
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.append(heapq.heappop(self._waiting)[1])
        if self._absences and (self._in_flight or now < self._try_at):
            return None
        if not self._ready or len(self._in_flight) >= self._max_in_flight:
            return None
        call_id = self._ready.popleft()
        self._in_flight.add(call_id)
        return self._calls[call_id].events[0]

    def next_timeout(self) -> float | None:
        """When time alone makes `take` give something."""
        if len(self._in_flight) >= self._max_in_flight or (self._absences and self._in_flight):
            return None
        if self._absences:
            return self._try_at if self._calls else None
        return self._waiting[0][0] if self._waiting else None

    def receive_outcome(self, event: Event, outcome: Outcome, now: float, *, not_before_s: float = 0.0) -> None:
        """What became of an event taken. `not_before_s`: how long the receiver asks us to wait."""
        self._in_flight.discard(event.call_id)
        call = self._calls.get(event.call_id)
        if outcome is Outcome.UNREACHABLE:
            if now >= self._try_at:  # others that were under way at the same time count once
                self._absences += 1
                self._try_at = now + max(self._delay(self._absences), not_before_s)
        elif outcome is not Outcome.GIVEN_UP:
            self._absences = 0
        if call is None or not call.events or call.events[0] is not event:
            return  # forgotten meanwhile
        if outcome is Outcome.UNREACHABLE:
            self._ready.append(event.call_id)
        elif outcome is Outcome.REFUSED:
            call.refusals += 1
            again_at = now + max(self._delay(call.refusals), not_before_s)
            heapq.heappush(self._waiting, (again_at, event.call_id))
        else:
            call.events.popleft()
            call.refusals = 0
            self._size -= 1
            if call.events:
                self._ready.append(event.call_id)
            else:
                del self._calls[event.call_id]

    def forget(self, call_id: str) -> None:
        """Send nothing more of this call."""
        call = self._calls.pop(call_id, None)
        if call is None:
            return
        self._size -= len(call.events)
        if call_id in self._ready:
            self._ready.remove(call_id)
        self._waiting = [entry for entry in self._waiting if entry[1] != call_id]
        heapq.heapify(self._waiting)

    def _delay(self, failures: int) -> float:
        whole = min(LONGEST_RETRY_S, self._first_retry_s * 2.0 ** min(failures - 1, 16))
        return whole * (1 - _MOST_JITTER * self._chance.random())
