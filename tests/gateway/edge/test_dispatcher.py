# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes stand in Kamailio's list, and what is changed in it."""

from datetime import UTC, datetime
from typing import Any

from gateway.cluster.node import Node
from gateway.edge.dispatcher import Change, Destination, changes, destinations, list_file


def node(name: str, **facts: Any) -> Node:
    usual: dict[str, Any] = {
        "run": "0123456789abcdef",
        "region": "",
        "sip": f"{name}:5060",
        "http": "",
        "capacity": 100,
    }
    usual |= {"calls": 0, "weight": 50, "state": "up", "started_at": datetime(2026, 1, 1, tzinfo=UTC), "version": "1"}
    return Node(node_id=name, **(usual | facts))


def there(*wanted: Destination) -> dict[str, Destination]:
    return {one.uri: one for one in wanted}


def test_nodes_stand_in_the_list_as_often_as_they_weigh_and_take_turns() -> None:
    listed = destinations([node("a", weight=25), node("b", weight=50, capacity=101), node("c", weight=100)])
    assert [one.uri for one in listed] == [
        "sip:a:5060",
        "sip:b:5060",
        "sip:c:5060",
        "sip:b:5060;share=2",
        "sip:c:5060;share=2",
        "sip:c:5060;share=3",
        "sip:c:5060;share=4",
    ]
    assert [one.maxload for one in listed if one.uri.startswith("sip:b")] == [51, 50]
    assert len({one.duid for one in listed}) == len(listed)


def test_no_share_is_without_limit_since_0_means_that_to_kamailio() -> None:
    assert [one.maxload for one in destinations([node("a", weight=100, capacity=2)])] == [1, 1]


def test_who_drains_or_is_full_takes_no_calls() -> None:
    nodes = [node("a", state="draining"), node("b", calls=100), node("c", calls=99)]
    assert {one.uri: one.is_open for one in destinations(nodes) if "share" not in one.uri} == {
        "sip:a:5060": False,
        "sip:b:5060": False,
        "sip:c:5060": True,
    }


def test_what_has_not_changed_is_left_alone_so_that_its_calls_stay_counted() -> None:
    listed = destinations([node("a"), node("b")])
    assert list(changes(listed, there(*listed))) == []


def test_new_nodes_come_before_old_ones_go() -> None:
    old, new = destinations([node("a", weight=25)]), destinations([node("b", weight=25)])
    assert list(changes(new, there(*old))) == [Change("add", new[0]), Change("remove", old[0])]


def test_a_node_that_was_started_anew_is_another_one_at_the_same_address() -> None:
    old = destinations([node("a", weight=25)])
    new = destinations([node("a", weight=25, run="fedcba9876543210")])
    assert list(changes(new, there(*old))) == [Change("remove", old[0]), Change("add", new[0])]


def test_draining_changes_the_state_alone() -> None:
    old, new = destinations([node("a", weight=25)]), destinations([node("a", weight=25, state="draining")])
    assert list(changes(new, there(*old))) == [Change("close", new[0])]
    assert list(changes(old, there(*new))) == [Change("open", old[0])]


def test_the_file_says_the_same_to_a_kamailio_that_starts() -> None:
    listed = destinations([node("a", weight=25), node("b", weight=25, state="draining")])
    assert list_file(listed).splitlines()[1:] == [
        "1 sip:a:5060 0 9 duid=a-01234567-1;maxload=100",
        "1 sip:b:5060 4 9 duid=b-01234567-1;maxload=100",
    ]
