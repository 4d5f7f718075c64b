# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits between two tries."""

import random

from agent.clients.backoff import Backoff


def test_waits_double_up_to_a_bound_and_half_of_each_is_chance() -> None:
    backoff = Backoff(1.0, 6.0, chance=random.Random(1))
    waits = [backoff.next_s() for _ in range(6)]
    for wait, longest in zip(waits, (1.0, 2.0, 4.0, 6.0, 6.0, 6.0), strict=True):
        assert longest / 2 <= wait <= longest
    assert len(set(waits)) == 6


def test_after_a_success_they_begin_anew() -> None:
    backoff = Backoff(1.0, chance=random.Random(1))
    for _ in range(5):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_two_of_us_do_not_come_back_at_the_same_moment() -> None:
    first, second = (Backoff(1.0, chance=random.Random(seed)) for seed in (1, 2))
    assert first.next_s() != second.next_s()


def test_the_same_seed_waits_the_same() -> None:
    first, second = (Backoff(1.0, chance=random.Random(7)) for _ in range(2))
    assert [first.next_s() for _ in range(4)] == [second.next_s() for _ in range(4)]
