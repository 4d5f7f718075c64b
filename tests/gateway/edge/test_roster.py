# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is believed to be there, while Redis comes and goes."""

from gateway.cluster.node import Node
from gateway.edge.roster import Roster
from tests.gateway.edge.test_dispatcher import node

A, B = node("a"), node("b")


def names(roster: Roster) -> list[str]:
    return [one.node_id for one in roster.nodes]


def told(roster: Roster, now: float, **roll: Node | None) -> list[str]:
    roster.receive(roll, now)
    return names(roster)


def test_a_node_whose_heart_has_stopped_is_gone_at_once() -> None:
    roster = Roster(3)
    assert told(roster, 0, a=A, b=B) == ["a", "b"]
    assert told(roster, 0.25, a=A, b=None) == ["a"]
    assert roster.dead == 1


def test_a_node_that_took_its_leave_is_gone_too() -> None:
    roster = Roster(3)
    told(roster, 0, a=A, b=B)
    assert told(roster, 0.25, a=A) == ["a"]
    assert roster.dead == 0


def test_while_redis_is_silent_everybody_stays() -> None:
    roster = Roster(3)
    told(roster, 0, a=A, b=B)
    roster.lose()
    assert names(roster) == ["a", "b"]


def test_redis_that_is_back_is_believed_when_all_have_had_time_to_speak() -> None:
    roster = Roster(3)
    told(roster, 0, a=A, b=B)
    roster.lose()
    assert told(roster, 10, a=A) == ["a", "b"]
    assert told(roster, 12.9, a=A) == ["a", "b"]
    assert told(roster, 13, a=A) == ["a"]


def test_nobody_is_taken_out_when_nobody_would_be_left() -> None:
    roster = Roster(3)
    told(roster, 0, a=A, b=B)
    assert told(roster, 1, a=None, b=None) == ["a", "b"]
    assert roster.is_deserted
    assert told(roster, 2) == ["a", "b"]
    assert told(roster, 3, b=B) == ["b"]
    assert not roster.is_deserted
