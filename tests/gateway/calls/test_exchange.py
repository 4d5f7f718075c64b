# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exchange tells of its trunks, and what it knows of their day. Real calls are in tests/e2e."""

from typing import cast

import pytest

from gateway.calls.exchange import Exchange
from gateway.calls.toll_audit import TollAudit
from gateway.errors import DestinationBarred
from gateway.events import Event, EventBus
from gateway.telemetry import Metrics
from gateway.trunks.config import TrunkConfig
from gateway.trunks.dns import Target
from gateway.trunks.names import Names

SERVER = Target("udp", "192.0.2.1", 5060)


def exchange(**settings: object) -> tuple[Exchange, list[Event]]:
    told, bus = list[Event](), EventBus()
    bus.follow(told.append)
    trunk = TrunkConfig.model_validate({"name": "one", "host": "192.0.2.1", **settings})
    return Exchange((trunk,), cast(Names, None), Metrics(), bus), told


def test_a_trunk_that_goes_and_comes_back_is_two_events() -> None:
    one, told = exchange()
    for registered in (True, False, False, True):
        one.registered("one", registered)
    assert [(event.kind, event.call_id, dict(event.data)) for event in told] == [
        ("trunk.state", "", {"trunk": "one", "is_up": False, "cause": "registration"}),
        ("trunk.state", "", {"trunk": "one", "is_up": True, "cause": "registration"}),
    ]


def test_a_trunk_that_a_call_cannot_reach_is_an_event() -> None:
    one, told = exchange()
    one.missed("one", SERVER, 408)
    one.reached("one", SERVER)
    assert [(event.data["is_up"], event.data["cause"]) for event in told] == [(False, "calls"), (True, "calls")]


def test_what_was_talked_before_a_restart_counts() -> None:
    one, _ = exchange(max_minutes_per_day=10)
    one.restore({"one": 9.0, "no longer configured": 99.0})
    assert one.admit("call_1", "one") is None
    one.restore({"one": 1.0})
    assert one.admit("call_2", "one") == "minutes"


def test_what_was_barred_is_noted_once_a_minute() -> None:
    rows: list[tuple[str, str]] = []
    one, _ = exchange(max_calls=1)
    one.on_barred = TollAudit(lambda action, subject: rows.append((action, subject))).receive
    for number in range(3):
        one.admit(f"call_{number}", "one")
    with pytest.raises(DestinationBarred):
        one.permit("+4490012345", "one", "transfer")
    assert rows == [
        ("call_barred", "trunk=one bar=calls way=order"),
        ("call_barred", "trunk=one bar=destination way=transfer"),
    ]
