# SPDX-License-Identifier: GPL-3.0-or-later
"""The waits adapt to this caller."""

import pytest

from agent.pauses import CallerPauses


def habit() -> CallerPauses:
    return CallerPauses(least_s=0.2, fluent_s=0.7, sure_s=1.5, longest_s=1.6)


def test_who_never_pauses_is_waited_for_less_and_less_down_to_the_fluent_wait() -> None:
    pauses = habit()
    waits = []
    for _ in range(12):
        pauses.receive_turn()
        waits.append(pauses.sure_s)
    assert waits[0] == pytest.approx(1.5 - 0.8 / 3)
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] == pytest.approx(0.7, abs=0.02)


def test_a_long_pause_raises_the_wait_at_once_and_keeps_it_up_for_a_while() -> None:
    pauses = habit()
    for _ in range(12):
        pauses.receive_turn()
    pauses.receive_pause(0.9)
    assert pauses.sure_s == pytest.approx(0.9 * 1.25 + 0.1)
    pauses.receive_turn()
    assert pauses.sure_s > 1.1


def test_no_pause_raises_the_wait_beyond_the_longest() -> None:
    pauses = habit()
    pauses.receive_pause(5.0)
    assert pauses.sure_s == 1.6


def test_a_gap_within_a_word_is_no_pause() -> None:
    pauses = habit()
    pauses.receive_pause(0.19)
    pauses.receive_turn()
    assert pauses.sure_s < 1.5


def test_a_false_cut_off_raises_the_least_wait_which_then_decays() -> None:
    pauses = habit()
    pauses.receive_cut_off(0.4)
    assert pauses.least_s == pytest.approx(0.5)
    pauses.receive_turn()
    assert pauses.least_s == pytest.approx(0.4)
    for _ in range(12):
        pauses.receive_turn()
    assert pauses.least_s == pytest.approx(0.2, abs=0.01)


def test_the_least_wait_never_exceeds_that_for_a_statement_as_configured() -> None:
    pauses = habit()
    pauses.receive_cut_off(4.0)
    assert pauses.least_s == 1.5
