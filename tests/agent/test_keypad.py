# SPDX-License-Identifier: GPL-3.0-or-later
from agent.keypad import Keypad


def test_keys_are_waited_for_and_then_due() -> None:
    keypad = Keypad(2.0)
    keypad.receive_digit("1", 10.0)
    keypad.receive_digit("2", 11.0)
    assert (keypad.is_due(12.9), keypad.next_timeout(), keypad.is_due(13.0)) == (False, 13.0, True)
    assert (keypad.take(), keypad.is_waiting, keypad.next_timeout()) == ("12", False, None)


def test_as_many_keys_as_were_expected_are_due_at_once() -> None:
    keypad = Keypad(2.0)
    keypad.length = 2
    keypad.receive_digit("1", 10.0)
    assert not keypad.is_due(10.0)
    keypad.receive_digit("2", 10.5)
    assert keypad.is_due(10.5)


def test_a_hash_ends_the_keys_and_is_not_one_of_them() -> None:
    keypad = Keypad(2.0)
    keypad.receive_digit("1", 10.0)
    keypad.receive_digit("#", 10.2)
    assert (keypad.is_due(10.2), keypad.take()) == (True, "1")


def test_only_the_newest_64_keys_are_kept() -> None:
    keypad = Keypad(2.0)
    for number in range(70):
        keypad.receive_digit(str(number % 10), 10.0)
    assert keypad.take() == "6789" + "0123456789" * 6
