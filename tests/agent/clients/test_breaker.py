# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that fails again and again is left alone, and tried again with one request."""

import random

import pytest

from agent.clients.backoff import Backoff
from agent.clients.breaker import Breaker, BreakerState


def breaker(states: list[BreakerState] | None = None) -> Breaker:
    """Opens with the third failure, for 1 to 2 s, then 2 to 4."""
    states = [] if states is None else states
    return Breaker("spare", max_failures=3, backoff=Backoff(2.0, chance=random.Random(1)), on_change=states.append)


def fail(tested: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        number = tested.ask(now)
        assert number is not None
        tested.failed(number, now)


def opened(states: list[BreakerState] | None = None) -> Breaker:
    tested = breaker(states)
    fail(tested, 10.0, 3)
    return tested


def test_it_opens_with_the_third_failure_in_a_row() -> None:
    tested = breaker()
    fail(tested, 10.0, 2)
    assert tested.may_ask(10.0)
    fail(tested, 10.0)
    assert tested.state is BreakerState.OPEN
    assert tested.ask(10.9) is None


def test_an_answer_between_failures_begins_the_count_anew() -> None:
    tested = breaker()
    fail(tested, 10.0, 2)
    number = tested.ask(11.0)
    assert number is not None
    tested.answered(number)
    fail(tested, 12.0, 2)
    assert tested.state is BreakerState.CLOSED


def test_after_its_wait_one_request_is_let_through() -> None:
    tested = opened()
    assert tested.ask(12.0) is not None
    assert tested.state is BreakerState.PROBING
    assert tested.ask(12.0) is None


def test_a_probe_that_went_well_closes_it() -> None:
    states: list[BreakerState] = []
    tested = opened(states)
    number = tested.ask(12.0)
    assert number is not None
    tested.answered(number)
    assert states == [BreakerState.OPEN, BreakerState.PROBING, BreakerState.CLOSED]
    fail(tested, 12.0, 2)
    assert tested.state is BreakerState.CLOSED


def test_a_probe_that_failed_opens_it_for_longer() -> None:
    tested = opened()
    fail(tested, 12.0)
    assert tested.state is BreakerState.OPEN
    assert not tested.may_ask(13.9)
    assert tested.may_ask(16.0)


def test_a_probe_that_nobody_waited_for_leaves_the_next_one_to_be_sent_at_once() -> None:
    tested = opened()
    number = tested.ask(12.0)
    assert number is not None
    tested.abandoned(number, 12.5)
    assert tested.state is BreakerState.OPEN
    assert tested.may_ask(12.5)


@pytest.mark.parametrize("went_well", [True, False])
def test_news_of_requests_from_before_it_opened_is_dropped(went_well: bool) -> None:
    tested = breaker()
    late = tested.ask(9.0)
    assert late is not None
    fail(tested, 10.0, 3)
    probe = tested.ask(12.0)
    assert probe is not None
    if went_well:
        tested.answered(late)
    else:
        tested.failed(late, 12.1)
    assert tested.state is BreakerState.PROBING


def test_a_service_that_asks_for_rest_gets_it_at_once() -> None:
    tested = breaker()
    number = tested.ask(10.0)
    assert number is not None
    tested.failed(number, 10.0, 20.0)
    assert not tested.may_ask(29.9)
    assert tested.may_ask(30.0)


def test_nobody_gets_more_than_a_minute() -> None:
    tested = breaker()
    number = tested.ask(10.0)
    assert number is not None
    tested.failed(number, 10.0, 3_600.0)
    assert tested.may_ask(70.0)
