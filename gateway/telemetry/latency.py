# SPDX-License-Identifier: GPL-3.0-or-later
"""How late the event loop is: whatever holds it up holds up every call.

One task sleeps to absolute deadlines; the lag is how long after a deadline it was woken. A loop that was away for
several periods yields one observation, the real one, and goes on from there.
"""

import asyncio
import time

import structlog

from gateway.telemetry.metrics import Metrics

_PERIOD_S = 0.1
_WARN_S = 0.25

log = structlog.get_logger(__name__)


class LagMeter:
    """Deadlines and what became of them. Knows no clock."""

    def __init__(self, period_s: float, now: float) -> None:
        self._period_s = period_s
        self._deadline = now + period_s

    def next_timeout(self) -> float:
        """When to call `handle_timeout` next, monotonic seconds."""
        return self._deadline

    def handle_timeout(self, now: float) -> float:
        """Woken: the lag in seconds."""
        lag_s = max(0.0, now - self._deadline)
        self._deadline = max(self._deadline + self._period_s, now)
        return lag_s


async def watch_event_loop(metrics: Metrics) -> None:
    """Measure until cancelled; run it as one task of the gateway."""
    meter = LagMeter(_PERIOD_S, time.monotonic())
    while True:
        await asyncio.sleep(max(0.0, meter.next_timeout() - time.monotonic()))
        lag_s = meter.handle_timeout(time.monotonic())
        metrics.event_loop_lag.observe(lag_s)
        if lag_s >= _WARN_S:
            log.warning("event_loop_late", lag_ms=round(lag_s * 1e3))
