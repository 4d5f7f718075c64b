# SPDX-License-Identifier: GPL-3.0-or-later
"""Kamailio before nodes: who gets a call, and what becomes of it when a node fails, drains, is full or is gone."""

import contextlib
import itertools
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.edge import Edge, Heart
from tests.e2e.gateway_process import wait_for
from tests.e2e.raw_caller import Answer, RawCaller
from tests.e2e.sip_node import SipNode, header

_OUTSIDE = "127.0.1.7"
"""As nodes are all in `127.0.0.0/24`."""
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    settings = 'nodes = ["127.0.0.0/24"]\nrequests_per_s = 100\n'
    trunk = '[[trunk]]\nname = "acme"\nhost = "127.0.0.9"\nallow = ["127.0.2.0/24"]\nsrtp = "required"\n'
    with Edge(tmp_path_factory.mktemp("edge"), settings=settings, more=trunk) as edge:
        yield edge


@dataclass
class Member:
    """A node and its heart."""

    sip: SipNode
    heart: Heart

    @property
    def name(self) -> str:
        return self.heart.node.node_id

    def die(self) -> None:
        self.sip.kill()
        self.heart.stop()


@contextmanager
def nodes(edge: Edge, count: int, capacity: int = 100) -> Iterator[list[Member]]:
    """Living ones, of which Kamailio knows; at the end they have left."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            sip = stack.enter_context(SipNode())
            heart = Heart(edge, f"n{next(_NUMBERS)}", sip.port, capacity=capacity)
            stack.callback(heart.leave)
            heart.beat()
            made.append(Member(sip, heart))
        wait_for(lambda: set(edge.listed()) == {one.name for one in made}, "the nodes")
        yield made


def wait_until_only(edge: Edge, *members: Member) -> None:
    wait_for(lambda: set(edge.listed()) == {one.name for one in members}, "the death")


class Callers:
    """Calls through the edge."""

    def __init__(self, edge: Edge, address: str = "127.0.0.1") -> None:
        self._edge = edge
        self._address = address
        self.up: list[RawCaller] = []

    def __enter__(self) -> "Callers":
        return self

    def __exit__(self, *_: object) -> None:
        for caller in self.up:
            caller.sip.close()
            caller.rtp.close()

    def call(self, media: str | None = None) -> Answer:
        caller = RawCaller(self._edge.port, self._address)
        self.up.append(caller)
        return caller.invite("agent", media)

    def hang_up(self) -> list[int]:
        return [caller.bye("agent").code for caller in self.up]

    def of(self, node: SipNode) -> list[RawCaller]:
        """Those that talk to it."""
        return [caller for caller in self.up if caller.call_id in {header(one, "Call-ID") for one in node.invites}]


def test_calls_are_spread_by_how_many_each_node_has_and_ends_count(edge: Edge) -> None:
    with nodes(edge, 3) as members, Callers(edge) as callers:
        assert {callers.call().code for _ in range(30)} == {200}
        assert [len(one.sip.invites) for one in members] == [10, 10, 10]
        for caller in callers.of(members[0].sip)[:6]:
            assert caller.bye("agent").code == 200
            callers.up.remove(caller)
        for _ in range(6):
            assert callers.call().code == 200
        assert [len(one.sip.calls) for one in members] == [10, 10, 10]
        assert set(callers.hang_up()) == {200}
        wait_for(lambda: set(edge.listed().values()) == {0}, "nothing counted")


def test_a_full_node_gets_none_and_when_all_are_full_callers_are_told_to_come_again(edge: Edge) -> None:
    with nodes(edge, 2, capacity=3) as members, Callers(edge) as callers:
        assert {callers.call().code for _ in range(6)} == {200}
        refused = callers.call()
        assert (refused.code, refused.header("Retry-After")) == (503, "10")
        assert [len(one.sip.invites) for one in members] == [3, 3]
        callers.up.pop()
        callers.hang_up()
        callers.up.clear()
        # One that is full with calls that it has placed itself says so by its heart.
        members[0].heart.beat(calls=3)
        edge.wait_for_nodes(open=1, closed=1)
        assert callers.call().code == 200
        assert [len(one.sip.invites) for one in members] == [3, 4]


def test_a_node_that_hangs_or_is_killed_costs_new_calls_no_more_than_a_moment(edge: Edge) -> None:
    with nodes(edge, 2) as (a, b), Callers(edge) as callers:
        a.sip.is_silent = True
        for _ in range(2):
            began = time.monotonic()
            assert callers.call().code == 200
            assert time.monotonic() - began < 1.6
        a.die()
        killed_at = time.monotonic()
        slow = 0
        while time.monotonic() - killed_at < 2.0:
            began = time.monotonic()
            assert callers.call().code == 200
            slow += time.monotonic() - began > 0.3
            time.sleep(0.05)
        assert slow <= 3
        wait_until_only(edge, b)
        began = time.monotonic()
        assert callers.call().code == 200
        assert time.monotonic() - began < 0.3


def test_calls_of_the_dead_are_not_counted_for_who_comes_after_them(edge: Edge) -> None:
    with nodes(edge, 2, capacity=4) as (a, b), Callers(edge) as callers:
        for _ in range(6):
            callers.call()
        a.die()
        wait_until_only(edge, b)
        with SipNode() as again:
            anew = Heart(edge, a.name, again.port, capacity=4)
            anew.beat()
            wait_for(lambda: edge.listed() == {a.name: 0, b.name: 3}, "the node that came back")
            assert [callers.call().code for _ in range(5)] == [200] * 5
            assert callers.call().code == 503
            assert len(again.invites) == 4


def test_who_drains_gets_no_new_call_and_keeps_those_it_has(edge: Edge) -> None:
    with nodes(edge, 2) as (a, _), Callers(edge) as callers:
        for _ in range(4):
            callers.call()
        a.heart.beat(state="draining")
        edge.wait_for_nodes(open=1, closed=1)
        time.sleep(1.2)  # Kamailio's pings do not bring it back
        assert {callers.call().code for _ in range(6)} == {200}
        assert (len(a.sip.invites), len(a.sip.calls)) == (2, 2)
        assert set(callers.hang_up()) == {200}
        assert len(a.sip.byes) == 2


def test_the_bye_of_a_call_whose_node_is_gone_is_answered(edge: Edge) -> None:
    with nodes(edge, 2) as (a, b), Callers(edge) as callers:
        for _ in range(6):
            callers.call()
        gone = callers.of(a.sip)
        assert len(gone) == 3
        a.sip.kill()
        assert gone[0].bye("agent").code == 200
        assert [header(bye, "Call-ID") for bye in b.sip.byes] == [gone[0].call_id]
        a.heart.stop()
        wait_until_only(edge, b)
        # The others would say 481 for a call that they have not taken over.
        b.sip.respond = lambda request: 481 if not request.startswith("OPTIONS") else 200
        assert gone[1].bye("agent").code == 200
        gone[2].sequence += 1
        gone[2].send("INVITE", "agent", gone[2].offer())
        kept = gone[2].final("INVITE")
        assert (kept.code, kept.header("Retry-After")) == (500, "2")  # 481 would end the call before it is taken over


def test_another_node_takes_a_call_over_and_its_audio_stays_where_it_was(edge: Edge) -> None:
    with nodes(edge, 2) as members, Callers(edge) as callers:
        callers.call()
        owner, other = sorted((one.sip for one in members), key=lambda sip: not sip.invites)
        caller = callers.up[0]
        port = caller.remote_rtp
        answered = owner.responses[caller.call_id]
        owner.kill()
        other.reinvite(answered, edge.inside_port)
        invite = caller.request("INVITE")
        assert header(invite, "From") == header(answered, "To")
        caller.respond_with_media(invite)
        caller.request("ACK")
        assert caller.remote_rtp == port
        assert caller.bye("agent").code == 200
        assert other.byes


def test_callers_see_no_address_of_a_node(edge: Edge) -> None:
    with nodes(edge, 1) as (a,), Callers(edge, _OUTSIDE) as callers:
        answer = callers.call()
        assert answer.code == 200
        assert str(a.sip.port) not in re.sub(r"(?m)^(To|m=).*$", "", answer.text)
        assert header(a.sip.invites[0], "X-Parley-Source") == _OUTSIDE
        assert callers.hang_up() == [200]
        assert len(a.sip.byes) == 1


def test_nobody_outside_says_who_they_are_or_where_it_goes(edge: Edge) -> None:
    with nodes(edge, 1) as (a,), RawCaller(edge.port, _OUTSIDE) as caller, SipNode() as elsewhere:
        headers = f"X-Parley-Source: 127.0.2.1\r\nRoute: <sip:127.0.3.1:{elsewhere.port};lr>\r\n"
        caller.send("INVITE", "agent", caller.offer(), headers)
        answer = caller.final("INVITE")
        caller.confirm("agent", answer)
        assert answer.code == 200
        assert re.findall(r"(?im)^X-Parley-Source:\s*(\S+)", a.sip.invites[0]) == [_OUTSIDE]
        # Nor inside a call: where nothing of ours is, nothing is sent.
        caller.sequence += 1
        caller.aim_in_call(f"sip:x@127.0.3.1:{elsewhere.port}", f"sip:127.0.0.1:{edge.port};lr")
        caller.send("INFO", "agent")
        assert caller.final("INFO").code == 403


def test_a_trunk_has_to_encrypt_when_it_is_said_so(edge: Edge) -> None:
    with nodes(edge, 1) as (a,), Callers(edge, "127.0.2.1") as trunk:
        assert trunk.call().code == 488
        assert a.sip.invites == []


def test_who_was_asked_for_a_password_gets_it(edge: Edge) -> None:
    with nodes(edge, 3) as members, RawCaller(edge.port) as caller, RawCaller(edge.port) as again:
        for one in members:
            one.sip.respond = lambda request: 401 if "Authorization:" not in request and "INVITE" in request else 200
        assert caller.invite("agent").code == 401
        again.call_id, again.sequence = caller.call_id, 2
        again.send("INVITE", "agent", again.offer(), 'Authorization: Digest username="u"\r\n')
        assert again.final("INVITE").code == 200
        assert sorted(len(one.sip.invites) for one in members) == [0, 0, 2]
        assert sum(edge.listed().values()) <= 1


def test_a_flood_is_dropped_and_others_are_served(edge: Edge) -> None:
    with nodes(edge, 1), RawCaller(edge.port, "127.0.0.66") as flood, Callers(edge, _OUTSIDE) as callers:
        for _ in range(600):
            flood.send("OPTIONS", "agent")
        assert callers.call().code == 200
        flood.sip.settimeout(0.3)
        answers = 0
        with contextlib.suppress(TimeoutError):
            while flood.sip.recv(4096):
                answers += 1
        assert 100 <= answers <= 300


def test_while_redis_is_gone_calls_go_on(edge: Edge) -> None:
    with nodes(edge, 2) as members, Callers(edge) as callers:
        edge.redis.kill()
        wait_for(lambda: edge.metrics()["parley_edge_redis_up"] == 0, "the alarm")
        assert {callers.call().code for _ in range(4)} == {200}
        assert [len(one.sip.invites) for one in members] == [2, 2]
        assert "edge_redis_lost" in edge.log()
        edge.redis.start()
        for one in members:
            one.heart.beat()
        wait_for(lambda: edge.metrics()["parley_edge_redis_up"] == 1, "Redis")
        assert set(edge.listed()) == {one.name for one in members}


def test_who_is_refused_or_thinks_better_of_it_counts_for_nobody(edge: Edge) -> None:
    with nodes(edge, 1) as (a,), RawCaller(edge.port) as caller, RawCaller(edge.port) as other:
        a.sip.respond = lambda request: 180 if request.startswith("INVITE") else 200
        caller.send("INVITE", "agent", caller.offer())
        assert caller.provisional().code == 180
        wait_for(lambda: edge.listed() == {a.name: 1}, "the call counted")
        caller.send("CANCEL", "agent")
        assert caller.final("INVITE").code >= 400
        a.sip.respond = lambda request: 486 if request.startswith("INVITE") else 200
        assert other.invite("agent").code == 486
        a.sip.is_silent = True
        with RawCaller(edge.port) as third:
            refused = third.invite("agent")
            assert (refused.code, refused.header("Retry-After")) == (503, "10")
        wait_for(lambda: edge.listed() == {a.name: 0}, "no call counted")


def test_without_a_relay_callers_are_told_to_come_again_and_count_for_nobody(edge: Edge) -> None:
    with nodes(edge, 1) as (a,), Callers(edge) as callers:
        edge.kill_relay("one")
        assert {(answer.code, answer.header("Retry-After")) for answer in (callers.call(), callers.call())} == {
            (503, "10")
        }
        edge.start_relay("one")
        wait_for(lambda: callers.call().code == 200, "the relay")
        wait_for(lambda: edge.listed() == {a.name: 1}, "one call counted")


def test_a_kamailio_that_was_started_anew_knows_its_nodes(edge: Edge) -> None:
    with nodes(edge, 2), Callers(edge) as callers:
        edge.kill_kamailio()
        edge.start_kamailio()
        assert {callers.call().code for _ in range(4)} == {200}
