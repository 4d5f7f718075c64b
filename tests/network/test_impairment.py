# SPDX-License-Identifier: GPL-3.0-or-later
"""A network does what it was asked to do, and does it again."""

import itertools
import statistics
from dataclasses import replace

import pytest

from tests.network.impairment import Line, Network

PACKET_S = 0.02


def send(network: Network, packets: int = 20_000, seed: str = "7") -> list[tuple[float, ...]]:
    """The fates of packets sent every 20 ms."""
    line = Line(network, seed)
    return [line.fate(index * PACKET_S) for index in range(packets)]


def lost(fates: list[tuple[float, ...]]) -> list[bool]:
    return [not fate for fate in fates]


def delays_ms(fates: list[tuple[float, ...]]) -> list[float]:
    return [(fate[0] - index * PACKET_S) * 1000 for index, fate in enumerate(fates) if fate]


def test_no_harm_is_done_by_default() -> None:
    assert send(Network(), 100) == [(index * PACKET_S,) for index in range(100)]


def test_the_same_seed_brings_the_same_fate_and_another_seed_another() -> None:
    network = Network(loss=0.1, jitter_ms=15, delay_ms=15, reorder=0.01, duplicate=0.01)
    assert send(network) == send(network)
    assert send(network) != send(network, seed="8")


def test_losses_stay_where_they_are_when_other_harm_is_added() -> None:
    alone = Network(loss=0.1)
    beside = Network(loss=0.1, jitter_ms=40, jitter_shape="normal", delay_ms=200, reorder=0.1, duplicate=0.1)
    assert lost(send(alone)) == lost(send(beside))


@pytest.mark.parametrize("burst_packets", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_as_much_is_lost_as_was_asked_in_runs_as_long(loss: float, burst_packets: float) -> None:
    gone = lost(send(Network(loss=loss, burst_packets=burst_packets), 200_000))
    assert statistics.mean(gone) == pytest.approx(loss, rel=0.15)
    runs = [len(list(run)) for is_lost, run in itertools.groupby(gone) if is_lost]
    expected = burst_packets if burst_packets > 1 else 1 / (1 - loss)
    assert statistics.mean(runs) == pytest.approx(expected, rel=0.06)


def test_random_losses_do_not_know_of_one_another() -> None:
    gone = lost(send(Network(loss=0.2), 100_000))
    after_a_loss = [second for first, second in itertools.pairwise(gone) if first]
    assert statistics.mean(after_a_loss) == pytest.approx(0.2, abs=0.01)


def test_uniform_jitter_fills_its_range() -> None:
    delays = delays_ms(send(Network(delay_ms=20, jitter_ms=15)))
    assert min(delays) == pytest.approx(5, abs=0.1)
    assert max(delays) == pytest.approx(35, abs=0.1)
    assert statistics.mean(delays) == pytest.approx(20, abs=0.3)
    assert statistics.stdev(delays) == pytest.approx(15 / 3**0.5, rel=0.02)


def test_normal_jitter_has_its_deviation() -> None:
    delays = delays_ms(send(Network(delay_ms=200, jitter_ms=20, jitter_shape="normal")))
    assert statistics.mean(delays) == pytest.approx(200, abs=0.5)
    assert statistics.stdev(delays) == pytest.approx(20, rel=0.02)


def test_packets_overtake_one_another_unless_they_queue() -> None:
    network = Network(delay_ms=60, jitter_ms=60)
    free = [fate[0] for fate in send(network)]
    queued = [fate[0] for fate in send(replace(network, in_order=True))]
    assert any(later < sooner for sooner, later in itertools.pairwise(free))
    assert all(later >= sooner for sooner, later in itertools.pairwise(queued))


def test_a_packet_that_steps_aside_lets_the_next_one_pass() -> None:
    fates = [fate[0] for fate in send(Network(reorder=0.01, in_order=True))]
    overtaken = sum(later < sooner for sooner, later in itertools.pairwise(fates))
    assert overtaken / len(fates) == pytest.approx(0.01, rel=0.15)


def test_duplicates_come_right_after_the_first() -> None:
    fates = send(Network(duplicate=0.05))
    twice = [fate for fate in fates if len(fate) == 2]
    assert len(twice) / len(fates) == pytest.approx(0.05, rel=0.1)
    assert all(0 < second - first < PACKET_S for first, second in twice)


def test_skew_makes_packets_later_and_later() -> None:
    slow = delays_ms(send(Network(delay_ms=10, skew_ppm=200), packets=30_000))
    assert slow[0] == pytest.approx(10)
    assert slow[-1] == pytest.approx(10 + 200e-6 * 600_000, abs=0.1)
    fast = delays_ms(send(Network(delay_ms=130, skew_ppm=-200), packets=30_000))
    assert fast[-1] == pytest.approx(10, abs=0.1)


def test_a_blackout_lets_nothing_pass_while_it_lasts() -> None:
    gone = lost(send(Network(blackouts=((1.0, 0.5), (3.0, 0.1))), 200))
    assert [index for index, is_lost in enumerate(gone) if is_lost] == [*range(50, 75), *range(150, 155)]


def test_the_tally_counts_what_became_of_the_packets() -> None:
    line = Line(Network(loss=0.1, reorder=0.1, duplicate=0.1), "7")
    fates = [line.fate(index * PACKET_S) for index in range(1000)]
    assert line.tally.packets == 1000
    assert line.tally.lost == sum(not fate for fate in fates) > 50
    assert line.tally.duplicated == sum(len(fate) == 2 for fate in fates) > 50
    assert line.tally.reordered > 50
