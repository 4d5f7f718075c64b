# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers a host stands for, by what DNS says."""

from collections import Counter
from random import Random

import pytest

from gateway.errors import GatewayMisuse
from gateway.trunks.dns import Naptr, Question, Record, ServerLookup, Service, Srv, Target, in_order


def look_up(lookup: ServerLookup, zone: dict[tuple[str, str], list[Record]]) -> tuple[Target, ...]:
    """All servers, best first, those of equal priority by weight as one seed has it."""
    while lookup.services is None:
        for question in sorted(lookup.questions, key=str):
            lookup.receive(question, zone.get((question.kind, question.name), []))
    return in_order(lookup.services, Random(1))


def test_an_address_needs_no_question() -> None:
    assert look_up(ServerLookup("203.0.113.5", 0, "tls"), {}) == (Target("tls", "203.0.113.5", 5061),)
    assert look_up(ServerLookup("203.0.113.5", 5070), {}) == (Target("udp", "203.0.113.5", 5070),)
    assert look_up(ServerLookup("[2001:db8::5]"), {}) == (Target("udp", "2001:db8::5", 5060),)


def test_a_port_in_the_uri_leaves_only_the_addresses_to_ask_for() -> None:
    lookup = ServerLookup("sip.example.com", 5080, "tcp")
    assert lookup.questions == {Question("sip.example.com", "A")}
    assert look_up(lookup, {("A", "sip.example.com"): ["192.0.2.1", "192.0.2.2"]}) == (
        Target("tcp", "192.0.2.1", 5080),
        Target("tcp", "192.0.2.2", 5080),
    )


def test_services_come_in_the_order_of_their_priority_each_at_its_own_port() -> None:
    zone: dict[tuple[str, str], list[Record]] = {
        ("SRV", "_sip._udp.example.com"): [Srv(20, 1, 5062, "b.example.com"), Srv(10, 1, 5061, "a.example.com")],
        ("A", "a.example.com"): ["192.0.2.1"],
        ("A", "b.example.com"): ["192.0.2.2"],
    }
    assert look_up(ServerLookup("example.com", 0, "udp"), zone) == (
        Target("udp", "192.0.2.1", 5061),
        Target("udp", "192.0.2.2", 5062),
    )


def test_tls_asks_for_sips() -> None:
    assert ServerLookup("example.com", 0, "tls").questions == {Question("_sips._tcp.example.com", "SRV")}


def test_without_services_the_host_itself_is_the_server() -> None:
    zone: dict[tuple[str, str], list[Record]] = {("A", "example.com"): ["192.0.2.9"]}
    assert look_up(ServerLookup("example.com", 0, "tcp"), zone) == (Target("tcp", "192.0.2.9", 5060),)
    assert look_up(ServerLookup("example.com", 0, None), zone) == (Target("udp", "192.0.2.9", 5060),)


def test_naptr_says_which_transport_comes_first_of_those_we_have() -> None:
    zone: dict[tuple[str, str], list[Record]] = {
        ("NAPTR", "example.com"): [
            Naptr(50, 50, "s", "SIP+D2U", "_sip._udp.example.com"),
            Naptr(20, 50, "s", "SIPS+D2T", "_sips._tcp.example.com"),
            Naptr(30, 50, "S", "sip+d2t", "_other._tcp.example.net."),
            Naptr(1, 1, "a", "SIP+D2U", "ignored.example.com"),
        ],
        ("SRV", "_other._tcp.example.net"): [Srv(0, 0, 5070, "t.example.net")],
        ("SRV", "_sip._udp.example.com"): [Srv(0, 0, 5060, "u.example.com")],
        ("SRV", "_sips._tcp.example.com"): [Srv(0, 0, 5061, "s.example.com")],
        ("A", "t.example.net"): ["192.0.2.1"],
        ("A", "u.example.com"): ["192.0.2.2"],
        ("A", "s.example.com"): ["192.0.2.3"],
    }
    assert look_up(ServerLookup("example.com", transports=("udp", "tcp")), zone) == (
        Target("tcp", "192.0.2.1", 5070),
        Target("udp", "192.0.2.2", 5060),
    )
    assert look_up(ServerLookup("example.com"), zone)[0] == Target("tls", "192.0.2.3", 5061)


def test_without_naptr_the_services_of_each_transport_are_asked_for_in_our_order() -> None:
    zone: dict[tuple[str, str], list[Record]] = {
        ("SRV", "_sip._udp.example.com"): [Srv(0, 0, 5060, "u.example.com")],
        ("SRV", "_sip._tcp.example.com"): [Srv(0, 0, 5060, "u.example.com")],
        ("A", "u.example.com"): ["192.0.2.2"],
    }
    assert [one.transport for one in look_up(ServerLookup("example.com", transports=("tcp", "udp")), zone)] == [
        "tcp",
        "udp",
    ]


def test_a_service_that_is_decidedly_not_offered_is_none() -> None:
    zone: dict[tuple[str, str], list[Record]] = {("SRV", "_sip._udp.example.com"): [Srv(0, 0, 0, ".")]}
    assert look_up(ServerLookup("example.com", 0, "udp"), zone) == ()


def test_both_families_are_asked_for_and_ours_comes_first() -> None:
    zone: dict[tuple[str, str], list[Record]] = {
        ("A", "example.com"): ["192.0.2.9"],
        ("AAAA", "example.com"): ["2001:db8::9"],
    }
    found = look_up(ServerLookup("example.com", 5060, "udp", families=(6, 4)), zone)
    assert [one.address for one in found] == ["2001:db8::9", "192.0.2.9"]


def test_what_a_zone_holds_in_excess_is_left_out() -> None:
    zone: dict[tuple[str, str], list[Record]] = {
        ("SRV", "_sip._udp.example.com"): [Srv(0, 0, 5060, f"h{n}.example.com") for n in range(100)],
        **{("A", f"h{n}.example.com"): [f"192.0.{n}.{m}" for m in range(100)] for n in range(100)},
    }
    assert len(look_up(ServerLookup("example.com", 0, "udp"), zone)) == 16 * 8


def test_an_answer_to_what_was_not_asked_is_a_bug() -> None:
    with pytest.raises(GatewayMisuse):
        ServerLookup("example.com", 0, "udp").receive(Question("example.com", "A"), [])


def test_weights_share_the_calls_among_equals() -> None:
    services = [
        Service(0, 0, 30, (Target("udp", "192.0.2.1", 5060),)),
        Service(0, 0, 10, (Target("udp", "192.0.2.2", 5060),)),
        Service(0, 0, 0, (Target("udp", "192.0.2.3", 5060),)),
        Service(0, 1, 99, (Target("udp", "192.0.2.4", 5060),)),
    ]
    random = Random(7)
    orders = [in_order(services, random) for _ in range(2000)]
    assert {len(one) for one in orders} == {4}
    assert {one[3].address for one in orders} == {"192.0.2.4"}
    first = Counter(one[0].address[-1] for one in orders)
    assert 1300 < first["1"] < 1600
    assert 400 < first["2"] < 600
    assert 0 < first["3"] < 150
