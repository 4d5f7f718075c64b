# SPDX-License-Identifier: GPL-3.0-or-later
"""When a backend is tried again, and when it is given up."""

from gateway.streams.backoff import Backoff


def _attempts(backoff: Backoff, now: float) -> list[float]:
    found = []
    while (at := backoff.next_attempt(now)) is not None:
        found.append(round(at, 3))
        now = at
    return found


def test_the_waits_double_up_to_four_seconds_and_end_with_the_window() -> None:
    assert _attempts(Backoff(20.0, 0.0), 0.0) == [0.0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 10.3, 14.3, 18.3]


def test_a_connection_that_lasted_begins_a_new_window() -> None:
    backoff = Backoff(10.0, 0.0)
    backoff.next_attempt(0.0)
    backoff.connected(1.0)
    backoff.lost(30.0, 100.0)
    assert backoff.next_attempt(100.0) == 100.0
    assert backoff.deadline == 130.0


def test_a_backend_that_drops_every_connection_at_once_is_given_up_in_the_end() -> None:
    backoff, now, attempts = Backoff(10.0, 0.0), 0.0, 0
    while (at := backoff.next_attempt(now)) is not None:
        now = at + 0.01
        attempts += 1
        backoff.connected(at)
        backoff.lost(30.0, now)
    assert attempts < 20
    assert now < 40.0
