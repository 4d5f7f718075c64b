# SPDX-License-Identifier: GPL-3.0-or-later
"""A press is counted once, however often and however it is told; what is dialled is checked; no digit shows."""

import pytest

from media.errors import MediaMisuse
from media.keys import (
    KeyMethod,
    KeyPressed,
    KeyPresses,
    KeyReleased,
    check_dialled,
    check_key_ms,
    dialled_ms,
)

EVENT, INFO, TONE = KeyMethod.RFC4733, KeyMethod.INFO, KeyMethod.INBAND


def test_one_press_told_in_three_ways_is_one() -> None:
    presses = KeyPresses()
    assert presses.receive("5", EVENT, 10.0)
    assert not presses.receive("5", TONE, 10.05)
    assert not presses.receive("5", INFO, 10.3, held_ms=100)


def test_the_same_key_twice_by_the_same_method_is_two_however_quick() -> None:
    presses = KeyPresses()
    assert presses.receive("5", EVENT, 10.0)
    assert presses.receive("5", EVENT, 10.08)


def test_quick_presses_of_one_key_that_are_each_told_twice_are_as_many() -> None:
    presses = KeyPresses()
    told = [(0.00, EVENT), (0.12, INFO), (0.20, EVENT), (0.32, INFO), (0.40, EVENT), (0.52, INFO)]
    assert [presses.receive("1", method, at) for at, method in told] == [True, False, True, False, True, False]


def test_infos_that_all_come_late_still_find_their_presses() -> None:
    presses = KeyPresses()
    told = [(0.0, EVENT), (0.2, EVENT), (0.3, INFO), (0.5, INFO)]
    assert [presses.receive("1", method, at) for at, method in told] == [True, True, False, False]


def test_another_key_or_a_later_time_is_another_press() -> None:
    presses = KeyPresses()
    assert presses.receive("1", EVENT, 10.0)
    assert presses.receive("2", INFO, 10.1)
    assert presses.receive("1", INFO, 10.0 + KeyPresses.WINDOW_S + 0.01)


def test_an_info_after_a_long_press_tells_how_long_it_was_or_follows_its_release() -> None:
    presses = KeyPresses()
    assert presses.receive("1", EVENT, 10.0)
    assert not presses.receive("1", INFO, 13.1, held_ms=3000)
    assert presses.receive("2", EVENT, 20.0)
    presses.receive_release("2", EVENT, 23.0)
    assert not presses.receive("2", INFO, 23.1, held_ms=250)


def test_releases_of_nothing_are_ignored() -> None:
    KeyPresses().receive_release("1", EVENT, 1.0)


def test_what_can_be_dialled() -> None:
    assert check_dialled("0123456789*#ABCD,w") == "0123456789*#ABCD,w"
    assert dialled_ms("1,w2", duration_ms=100) == 2 * 180 + 2500
    assert check_key_ms(40) == 40
    for wrong in ("", "1 2", "a", "12x", "1" * 65, "\u0661"):
        with pytest.raises(MediaMisuse, match="1 to 64"):
            check_dialled(wrong)
    with pytest.raises(MediaMisuse) as refused:
        check_dialled("4711x")
    assert "4711" not in str(refused.value)
    for wrong_ms in (0, 39, 2001):
        with pytest.raises(MediaMisuse, match=str(wrong_ms)):
            check_key_ms(wrong_ms)


def test_no_digit_shows_in_what_is_printed_of_a_key() -> None:
    presses = KeyPresses()
    presses.receive("7", EVENT, 1.0)
    for one in (KeyPressed("7", EVENT, 1.0), KeyReleased("7", EVENT, 100, 1.0), *presses._recent):
        assert "'7'" not in repr(one)
