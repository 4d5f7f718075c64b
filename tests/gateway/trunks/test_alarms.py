# SPDX-License-Identifier: GPL-3.0-or-later
"""Alarms of trunks: when they are raised, and when they are silent again."""

import pytest

from gateway.trunks.alarms import WINDOW_S, AlarmLimits, EndedCall, Symptom, TrunkAlarms

GOOD = EndedCall(mos=4.4, loss_percent=0.0, is_failed=False)
CHOPPY = EndedCall(mos=2.5, loss_percent=8.0, is_failed=False)
FAILED = EndedCall(mos=None, loss_percent=None, is_failed=True)


def changes(alarms: TrunkAlarms, *calls: EndedCall, trunk: str = "one", at: float = 0.0) -> list[tuple[Symptom, bool]]:
    return [(one.symptom, one.raised) for call in calls for one in alarms.receive(trunk, call, at)]


def test_bad_sound_is_told_once_after_enough_calls_and_its_end_once() -> None:
    alarms = TrunkAlarms(AlarmLimits(min_calls=5))
    assert changes(alarms, *[CHOPPY] * 4) == []
    assert changes(alarms, CHOPPY) == [(Symptom.MOS, True), (Symptom.LOSS, True)]
    assert changes(alarms, CHOPPY) == []
    assert alarms.is_raised("one", Symptom.MOS)
    told = changes(alarms, *[GOOD] * 40)
    assert sorted(told, key=str) == sorted([(Symptom.LOSS, False), (Symptom.MOS, False)], key=str)


def test_calls_that_fail_are_told_and_calls_that_nobody_takes_are_not() -> None:
    alarms = TrunkAlarms(AlarmLimits())
    unanswered = EndedCall(mos=None, loss_percent=None, is_failed=False)
    assert changes(alarms, *[unanswered] * 20) == []
    assert changes(alarms, *[FAILED] * 6) == [(Symptom.FAILURES, True)]


def test_an_alarm_does_not_ring_and_fall_silent_with_each_call_at_its_limit() -> None:
    alarms = TrunkAlarms(AlarmLimits(failed_percent=20, min_calls=5))
    assert changes(alarms, FAILED, FAILED, GOOD, GOOD, GOOD) == [(Symptom.FAILURES, True)]
    assert changes(alarms, *[GOOD] * 5) == []  # 2 of 10: at the limit, and not well back
    assert changes(alarms, *[GOOD] * 2) == [(Symptom.FAILURES, False)]  # 2 of 12


def test_what_was_long_ago_does_not_count() -> None:
    alarms = TrunkAlarms(AlarmLimits(min_calls=5))
    changes(alarms, *[CHOPPY] * 4)
    assert changes(alarms, CHOPPY, at=WINDOW_S + 1) == []


def test_trunks_are_judged_each_by_itself() -> None:
    alarms = TrunkAlarms(AlarmLimits(min_calls=5))
    changes(alarms, *[GOOD] * 50)
    assert changes(alarms, *[CHOPPY] * 5, trunk="two") != []
    assert not alarms.is_raised("one", Symptom.MOS)


@pytest.mark.parametrize("call", [CHOPPY, FAILED])
def test_a_limit_of_zero_switches_an_alarm_off(call: EndedCall) -> None:
    alarms = TrunkAlarms(AlarmLimits(mos=0, loss_percent=0, failed_percent=0, min_calls=1))
    assert changes(alarms, *[call] * 20) == []


def test_the_figure_and_the_limit_are_told() -> None:
    alarms = TrunkAlarms(AlarmLimits(min_calls=2))
    alarms.receive("one", GOOD, 0.0)
    (mos, loss) = alarms.receive("one", CHOPPY, 0.0)
    assert (mos.value, mos.limit, mos.calls) == (3.45, 3.5, 2)
    assert (loss.value, loss.limit) == (4.0, 3.0)
