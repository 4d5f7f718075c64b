# SPDX-License-Identifier: GPL-3.0-or-later
from agent.secret_keys import SecretKeys


def test_keys_are_shown_unless_they_are_secret() -> None:
    keys = SecretKeys(always=False)
    assert [keys.press("1", secret=False), keys.press("2", secret=True), keys.press("#", secret=True)] == [
        "1",
        "*",
        "#",
    ]
    assert keys.take() == "2"
    assert keys.take() == ""


def test_an_entry_of_a_known_length_is_over_with_its_last_key() -> None:
    keys = SecretKeys(always=False)
    keys.keep_next(True, 2)
    keys.press("1", secret=False)
    keys.receive_entry()
    assert keys.are_kept
    keys.press("2", secret=False)
    keys.receive_entry()
    assert not keys.are_kept
    assert keys.take() == "12"


def test_an_entry_of_unknown_length_is_over_with_a_pause() -> None:
    keys = SecretKeys(always=False)
    keys.keep_next(True, None)
    keys.press("1", secret=False)
    keys.receive_entry()
    assert not keys.are_kept


def test_where_all_keys_are_secret_no_entry_ends_that() -> None:
    keys = SecretKeys(always=True)
    keys.keep_next(False, 1)
    assert keys.press("1", secret=False) == "*"
    keys.receive_entry()
    assert keys.are_kept


def test_no_more_than_64_keys_are_kept() -> None:
    keys = SecretKeys(always=True)
    for number in range(70):
        keys.press(str(number % 10), secret=False)
    assert keys.take() == "".join(str(number % 10) for number in range(6, 70))
