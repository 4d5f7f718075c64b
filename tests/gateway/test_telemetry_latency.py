# SPDX-License-Identifier: GPL-3.0-or-later
"""The lag of the event loop, measured against absolute deadlines."""

import asyncio
import contextlib
import time

import pytest

from gateway.telemetry import LagMeter, Metrics, watch_event_loop


def test_waking_in_time_is_no_lag_and_the_next_deadline_is_one_period_on() -> None:
    meter = LagMeter(0.1, 100.0)
    assert meter.next_timeout() == pytest.approx(100.1)
    assert meter.handle_timeout(100.1) == pytest.approx(0.0)
    assert meter.next_timeout() == pytest.approx(100.2)


def test_waking_late_is_the_lag_and_lateness_does_not_add_up() -> None:
    meter = LagMeter(0.1, 100.0)
    assert meter.handle_timeout(100.13) == pytest.approx(0.03)
    assert meter.next_timeout() == pytest.approx(100.2)
    assert meter.handle_timeout(100.2) == pytest.approx(0.0)


def test_a_long_absence_is_one_observation_and_not_many() -> None:
    meter = LagMeter(0.1, 100.0)
    assert meter.handle_timeout(105.1) == pytest.approx(5.0)
    assert meter.next_timeout() == pytest.approx(105.1)
    assert meter.handle_timeout(105.1) == pytest.approx(0.0)


async def test_a_blocked_event_loop_shows_in_the_metric() -> None:
    metrics = Metrics()
    watch = asyncio.create_task(watch_event_loop(metrics))
    await asyncio.sleep(0)
    began = time.monotonic()
    while time.monotonic() < began + 0.35:  # what nobody may do on an event loop
        pass
    await asyncio.sleep(0.01)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    lag_s = metrics.registry.get_sample_value("parley_event_loop_lag_seconds_sum")
    assert lag_s is not None
    assert lag_s > 0.2
