# SPDX-License-Identifier: GPL-3.0-or-later
"""A circuit breaker: a service that fails again and again is left alone for a while, then tried with one request.

          failures in a row, or "429"       its wait is over, somebody asks
    CLOSED ─────────────────────> OPEN ───────────────────────────────────────> PROBING
      ^                            ^                                              │  │
      │                            └──── the probe failed, or nobody knows ───────┘  │
      └─────────────────────────────────────────── the probe went well ──────────────┘

A clockless engine. News of a request that was let through before the last change is late, and dropped.
"""

from collections.abc import Callable
from enum import Enum

import structlog

from agent.clients.backoff import Backoff

log = structlog.get_logger(__name__)

_LONGEST_REST_S = 60.0
"""A service may have asked for more; nobody knows whether it needs it."""


class BreakerState(Enum):
    """The value is the name in metrics and logs."""

    CLOSED = "closed"
    """All may ask."""
    OPEN = "open"
    """Nobody may."""
    PROBING = "probing"
    """One has asked, and all wait for what becomes of it."""


class _Event(Enum):
    TOO_MANY_FAILURES = "too many failures"
    ASKED_FOR_REST = "asked for rest"
    ASKED = "asked"
    ANSWERED = "answered"
    FAILED = "failed"
    ABANDONED = "abandoned"


_TRANSITIONS = {
    (BreakerState.CLOSED, _Event.TOO_MANY_FAILURES): BreakerState.OPEN,
    (BreakerState.CLOSED, _Event.ASKED_FOR_REST): BreakerState.OPEN,
    (BreakerState.OPEN, _Event.ASKED): BreakerState.PROBING,
    (BreakerState.PROBING, _Event.ANSWERED): BreakerState.CLOSED,
    (BreakerState.PROBING, _Event.FAILED): BreakerState.OPEN,
    (BreakerState.PROBING, _Event.ABANDONED): BreakerState.OPEN,
}


class Breaker:
    """One service's in one role, for all calls."""

    def __init__(
        self,
        service: str,
        *,
        max_failures: int = 3,
        backoff: Backoff | None = None,
        on_change: Callable[[BreakerState], None] = lambda state: None,
    ) -> None:
        """Opens with the `max_failures`th failure in a row, for as long as `backoff` says: by default 1 to 2 s the
        first time, at most 60 s."""
        self.state = BreakerState.CLOSED
        self._service = service
        self._max_failures = max_failures
        self._backoff = backoff or Backoff(2.0, 60.0)
        self._on_change = on_change
        self._failures = 0
        """In a row."""
        self._until = 0.0
        """While open: when a probe may be sent."""
        self._changes = 0

    def may_ask(self, now: float) -> bool:
        """Whether `ask` would let somebody through."""
        return self.state is BreakerState.CLOSED or (self.state is BreakerState.OPEN and now >= self._until)

    def ask(self, now: float) -> int | None:
        """Let a request through, or None. The number goes with what becomes of it."""
        if not self.may_ask(now):
            return None
        if self.state is BreakerState.OPEN:
            self._change(_Event.ASKED)
        return self._changes

    def answered(self, number: int) -> None:
        """The request went well."""
        if number != self._changes:
            return
        self._failures = 0
        self._backoff.reset()
        if self.state is BreakerState.PROBING:
            self._change(_Event.ANSWERED)

    def failed(self, number: int, now: float, retry_after_s: float | None = None) -> None:
        """The service did not answer the request, or not in time. `retry_after_s`: it has asked to be left alone for
        so long, and is, for a minute at most."""
        if number != self._changes:
            return
        self._failures += 1
        if self.state is BreakerState.PROBING:
            self._open(_Event.FAILED, now, retry_after_s)
        elif retry_after_s:
            self._open(_Event.ASKED_FOR_REST, now, retry_after_s)
        elif self._failures >= self._max_failures:
            self._open(_Event.TOO_MANY_FAILURES, now)

    def abandoned(self, number: int, now: float) -> None:
        """The request was given up before there was any news: the next one will tell."""
        if number == self._changes and self.state is BreakerState.PROBING:
            self._change(_Event.ABANDONED)
            self._until = now

    def _open(self, event: _Event, now: float, at_least_s: float | None = None) -> None:
        self._until = now + max(self._backoff.next_s(), min(at_least_s or 0.0, _LONGEST_REST_S))
        self._change(event)

    def _change(self, event: _Event) -> None:
        old, self.state = self.state, _TRANSITIONS[self.state, event]
        self._changes += 1
        log.info("breaker", service=self._service, old=old.value, new=self.state.value, cause=event.value)
        self._on_change(self.state)
