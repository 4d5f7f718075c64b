# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trunks are there."""

from gateway.trunks.config import TrunkConfig
from gateway.trunks.health import TrunkChanged, TrunkHealth

A, B = "udp:192.0.2.1:5060", "udp:192.0.2.2:5060"


def health(options_s: int = 30) -> TrunkHealth:
    trunk = TrunkConfig.model_validate({"name": "one", "host": "192.0.2.1", "options_s": options_s})
    known = TrunkHealth({"one": trunk}, 0.0)
    known.receive_servers("one", (A, B))
    return known


def test_two_options_unanswered_are_a_server_down_and_all_of_them_the_trunk() -> None:
    one = health()
    one.receive_probe("one", A, 408, 1.0)
    assert one.is_well("one", A, 1.0)
    one.receive_probe("one", A, 408, 2.0)
    assert not one.is_well("one", A, 2.0)
    assert one.changes() == ()
    for _ in range(2):
        one.receive_probe("one", B, 503, 3.0)
    assert not one.is_up("one", 3.0)
    assert one.changes() == (TrunkChanged("one", False, "options"),)
    assert one.changes() == ()


def test_any_answer_but_absence_says_that_it_lives() -> None:
    for code in (200, 404, 401, 405, 483, 500, 600):
        one = health()
        for answer in (408, 408, code):
            one.receive_probe("one", A, answer, 1.0)
        assert one.is_well("one", A, 1.0), code


def test_a_server_that_fails_calls_rests_longer_each_time() -> None:
    one = health(options_s=0)
    one.receive_servers("one", (A,))
    one.receive_failure("one", A, 0.0)
    assert not one.is_well("one", A, 29.9)
    assert one.is_well("one", A, 30.0)
    one.receive_failure("one", A, 30.0)
    assert not one.is_well("one", A, 89.9)
    for _ in range(20):
        one.receive_failure("one", A, 100.0)
    assert not one.is_well("one", A, 399.9)
    assert one.is_well("one", A, 400.0)


def test_the_end_of_a_rest_is_told() -> None:
    one = health(options_s=0)
    one.receive_servers("one", (A,))
    one.receive_failure("one", A, 0.0)
    assert one.changes() == (TrunkChanged("one", False, "calls"),)
    one.handle_timeout(29.0)
    assert one.changes() == ()
    one.handle_timeout(30.0)
    assert one.changes() == (TrunkChanged("one", True, "rest"),)


def test_an_answered_call_ends_the_rest() -> None:
    one = health()
    one.receive_failure("one", A, 0.0)
    one.receive_success("one", A, 1.0)
    assert one.is_well("one", A, 1.0)


def test_a_trunk_whose_registration_is_lost_is_down_until_it_is_regained() -> None:
    one = health()
    assert one.is_up("one", 0.0)
    one.receive_registration("one", True, 1.0)
    one.receive_registration("one", False, 2.0)
    assert not one.is_up("one", 2.0)
    one.receive_registration("one", True, 3.0)
    assert one.changes() == (TrunkChanged("one", False, "registration"), TrunkChanged("one", True, "registration"))


def test_servers_are_asked_at_their_interval_and_hastily_while_something_is_amiss() -> None:
    one = health(options_s=60)
    assert one.due(0.0) == ("one",)
    assert one.due(59.0) == ()
    assert one.due(60.0) == ("one",)
    one.receive_probe("one", A, 408, 65.0)
    one.hurry("one", 65.0)
    assert one.due(65.0) == ("one",)
    assert one.due(74.9) == ()
    assert one.due(75.0) == ("one",)


def test_a_trunk_that_is_not_to_be_asked_never_is() -> None:
    assert health(options_s=0).due(1e9) == ()


def test_what_a_name_no_longer_stands_for_is_forgotten() -> None:
    one = health()
    for _ in range(2):
        one.receive_probe("one", A, 408, 1.0)
    one.receive_servers("one", (A, B))
    assert not one.is_well("one", A, 1.0)
    one.receive_servers("one", (B,))
    assert one.is_up("one", 1.0)
    assert one.is_well("one", A, 1.0)
