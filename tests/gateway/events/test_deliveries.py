# SPDX-License-Identifier: GPL-3.0-or-later
"""Deliveries are in order for each call, and their repeats in time."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import Event
from gateway.events.deliveries import DeliveryQueue, Outcome

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class NoChance(random.Random):
    """Never shortens a wait."""

    def random(self) -> float:
        return 0.0


def event(cursor: int, call_id: str = "a") -> Event:
    return Event(cursor, "dtmf.received", call_id, NOON, {})


def queue_of(*events: Event, max_in_flight: int = 8) -> DeliveryQueue:
    queue = DeliveryQueue(NoChance(), max_in_flight=max_in_flight)
    for one in events:
        queue.add(one)
    return queue


def taken(queue: DeliveryQueue, now: float) -> list[int]:
    """Cursors of all that may be sent now."""
    found = []
    while (one := queue.take(now)) is not None:
        found.append(one.cursor)
    return found


def test_an_event_waits_for_the_one_before_it_of_its_call_only() -> None:
    queue = queue_of(event(1, "a"), event(2, "a"), event(3, "b"))
    first = queue.take(0.0)
    assert first is not None
    assert first.cursor == 1
    assert taken(queue, 0.0) == [3]
    queue.receive_outcome(first, Outcome.DELIVERED, 0.0)
    assert taken(queue, 0.0) == [2]
    assert len(queue) == 2


def test_a_refused_event_comes_again_later_and_later_and_holds_up_its_call_alone() -> None:
    queue = queue_of(event(1, "a"), event(2, "a"), event(3, "b"))
    now, waits = 100.0, list[float]()
    for _ in range(9):
        one = queue.take(now)
        assert one is not None
        assert one.cursor == 1
        queue.receive_outcome(one, Outcome.REFUSED, now)
        if len(waits) == 0:
            other = queue.take(now)
            assert other is not None
            assert other.cursor == 3
            queue.receive_outcome(other, Outcome.DELIVERED, now)
        assert queue.take(now) is None
        again_at = queue.next_timeout()
        assert again_at is not None
        assert queue.take(again_at - 0.001) is None
        waits.append(again_at - now)
        now = again_at
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])


def test_an_arrival_sets_the_waits_of_its_call_back() -> None:
    queue = queue_of(event(1), event(2))
    for now in (0.0, 1.0, 3.0):
        one = queue.take(now)
        assert one is not None
        queue.receive_outcome(one, Outcome.REFUSED if now < 3.0 else Outcome.DELIVERED, now)
    second = queue.take(3.0)
    assert second is not None
    queue.receive_outcome(second, Outcome.REFUSED, 3.0)
    assert queue.next_timeout() == pytest.approx(4.0)


def test_an_unreachable_receiver_is_tried_with_one_event_and_an_arrival_opens_the_way_for_all() -> None:
    queue = queue_of(*(event(cursor, f"call{cursor}") for cursor in range(1, 6)))
    for one in [queue.take(0.0) for _ in range(3)]:
        assert one is not None
        queue.receive_outcome(one, Outcome.UNREACHABLE, 0.0)
    assert queue.is_failing
    assert queue.take(0.5) is None
    assert queue.next_timeout() == pytest.approx(1.0)  # three at the same time count once
    probe = queue.take(1.0)
    assert probe is not None
    assert queue.take(1.0) is None
    assert queue.next_timeout() is None
    queue.receive_outcome(probe, Outcome.UNREACHABLE, 1.0)
    assert queue.next_timeout() == pytest.approx(3.0)
    probe = queue.take(3.0)
    assert probe is not None
    queue.receive_outcome(probe, Outcome.DELIVERED, 3.0)
    assert not queue.is_failing
    assert len(taken(queue, 3.0)) == 4


def test_a_receiver_that_answers_is_reachable_even_when_it_refuses() -> None:
    queue = queue_of(event(1, "a"), event(2, "b"))
    one = queue.take(0.0)
    assert one is not None
    queue.receive_outcome(one, Outcome.UNREACHABLE, 0.0)
    probe = queue.take(1.0)
    assert probe is not None
    queue.receive_outcome(probe, Outcome.REFUSED, 1.0)
    assert len(taken(queue, 1.0)) == 1


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.UNREACHABLE])
def test_a_receiver_may_ask_for_more_time(outcome: Outcome) -> None:
    queue = queue_of(event(1))
    one = queue.take(0.0)
    assert one is not None
    queue.receive_outcome(one, outcome, 0.0, not_before_s=30.0)
    assert queue.next_timeout() == pytest.approx(30.0)


def test_no_more_than_the_limit_are_under_way() -> None:
    queue = queue_of(*(event(cursor, f"call{cursor}") for cursor in range(5)), max_in_flight=2)
    under_way = [queue.take(0.0), queue.take(0.0)]
    assert queue.take(0.0) is None
    assert queue.next_timeout() is None
    assert under_way[0] is not None
    queue.receive_outcome(under_way[0], Outcome.DELIVERED, 0.0)
    assert len(taken(queue, 0.0)) == 1


def test_waits_are_shortened_at_random_but_not_below_half() -> None:
    waits = []
    for seed in range(50):
        queue = DeliveryQueue(random.Random(seed))
        queue.add(event(1))
        one = queue.take(0.0)
        assert one is not None
        queue.receive_outcome(one, Outcome.REFUSED, 0.0)
        waits.append(queue.next_timeout() or 0.0)
    assert len(set(waits)) > 40
    assert min(waits) >= 0.5
    assert max(waits) <= 1.0


def test_a_forgotten_call_is_not_sent_again_though_its_event_is_under_way() -> None:
    queue = queue_of(event(1, "a"), event(2, "a"), event(3, "b"), event(4, "c"))
    first, refused = queue.take(0.0), queue.take(0.0)
    assert first is not None
    assert refused is not None
    queue.receive_outcome(refused, Outcome.REFUSED, 0.0)
    for call_id in ("a", "b", "c", "unknown"):
        queue.forget(call_id)
    queue.receive_outcome(first, Outcome.UNREACHABLE, 0.0)
    assert len(queue) == 0
    assert queue.next_timeout() is None
    assert taken(queue, 100.0) == []


@given(data=st.data(), calls=st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
def test_whatever_the_receiver_does_every_event_arrives_once_and_in_order(
    data: st.DataObject, calls: list[str]
) -> None:
    queue = queue_of(*(event(cursor, call_id) for cursor, call_id in enumerate(calls)), max_in_flight=2)
    now, arrived, under_way, troubles = 0.0, list[Event](), list[Event](), 0
    while len(queue):
        while (one := queue.take(now)) is not None:
            assert one.call_id not in {other.call_id for other in under_way}
            under_way.append(one)
        if under_way:
            one = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            trouble = troubles < 40 and data.draw(st.booleans())
            troubles += trouble
            bad = data.draw(st.sampled_from([Outcome.REFUSED, Outcome.UNREACHABLE]))
            queue.receive_outcome(one, bad if trouble else Outcome.DELIVERED, now)
            if not trouble:
                arrived.append(one)
        else:
            again_at = queue.next_timeout()
            assert again_at is not None, "nothing would ever be sent again"
            assert again_at > now
            now = again_at
    for call_id in "abc":
        cursors = [one.cursor for one in arrived if one.call_id == call_id]
        assert cursors == [cursor for cursor, of_call in enumerate(calls) if of_call == call_id]
