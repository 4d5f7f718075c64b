# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a service is asked."""

import pytest

from agent.clients.limits import Limits


def test_without_limits_everybody_enters() -> None:
    limits = Limits()
    assert all(limits.enter(1.0) for _ in range(1_000))


def test_who_finds_no_place_is_told_at_once_and_a_place_given_back_is_free() -> None:
    limits = Limits(max_concurrent=2)
    assert [limits.enter(1.0) for _ in range(3)] == [True, True, False]
    limits.leave()
    assert [limits.enter(1.0) for _ in range(2)] == [True, False]


def test_a_rate_allows_a_burst_and_then_so_many_a_second() -> None:
    limits = Limits(per_second=2.0, burst=3)
    assert [limits.enter(5.0) for _ in range(4)] == [True, True, True, False]
    assert [limits.enter(5.5) for _ in range(2)] == [True, False]
    assert [limits.enter(60.0) for _ in range(4)] == [True, True, True, False]


def test_less_than_one_a_second_is_a_rate_too() -> None:
    limits = Limits(per_second=0.5)
    assert [limits.enter(now) for now in (1.0, 2.0, 3.0, 3.1)] == [True, False, True, False]


def test_who_was_not_let_in_takes_no_place() -> None:
    limits = Limits(max_concurrent=1)
    limits.enter(1.0)
    limits.enter(1.0)
    limits.leave()
    with pytest.raises(AssertionError):
        limits.leave()
