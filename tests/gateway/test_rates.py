# SPDX-License-Identifier: GPL-3.0-or-later
"""A token bucket, given time."""

import pytest

from gateway.rates import Buckets, Rate, TokenBucket


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    bucket = TokenBucket(Rate(per_s=10, burst=5), now=100.0)
    assert [bucket.take(100.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.11) == 0.0
    assert bucket.take(100.11) > 0


def test_a_rest_fills_it_up_to_the_burst_and_no_further() -> None:
    bucket = TokenBucket(Rate(per_s=10, burst=3), now=0.0)
    for _ in range(3):
        bucket.take(0.0)
    passed = [bucket.take(1000.0) == 0.0 for _ in range(5)]
    assert passed == [True, True, True, False, False]


def test_in_the_long_run_the_rate_is_kept_to_the_request() -> None:
    bucket = TokenBucket(Rate(per_s=7, burst=2), now=0.0)
    passed = sum(bucket.take(step / 100) == 0.0 for step in range(10_000))
    assert passed == pytest.approx(7 * 100 + 2, abs=1)


def test_clients_do_not_wait_for_each_other_and_the_oldest_is_forgotten() -> None:
    buckets = Buckets(Rate(per_s=1, burst=1), most=2)
    assert [buckets.take("ann", 0.0), buckets.take("bob", 0.0)] == [0.0, 0.0]
    assert [buckets.wait_s("ann", 0.5), buckets.take("ann", 0.5), buckets.wait_s("cyd", 0.5)] == [0.5, 0.5, 0.0]
    assert buckets.take("cyd", 0.5) == 0.0
    assert (buckets.wait_s("ann", 0.5), buckets.wait_s("bob", 0.5)) == (0.5, 0.0)
