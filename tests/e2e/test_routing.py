# SPDX-License-Identifier: GPL-3.0-or-later
"""Any node of a cluster reaches any call, and tells the events of all."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.cluster import Cluster
from tests.e2e.event_log import open_feed
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with RedisServer(folder) as server, Cluster(folder, server) as made:
        yield made


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> tuple[GatewayProcess, GatewayProcess]:
    """`west`, in a region of its own, takes two calls; `east` many. They see each other."""
    allow = '[outbound]\nallow = ["127.0.0.0/8"]\n'
    west = cluster.node("west", allow, max_calls=2, region="w")
    east = cluster.node("east", allow, region="e")
    wait_for(lambda: len(west.get("/nodes")["nodes"]) == 2, "the other node")
    return west, east


@pytest.fixture
def west(nodes: tuple[GatewayProcess, GatewayProcess]) -> GatewayProcess:
    """Its calls of the test before are over."""
    wait_for(lambda: not calls_of(nodes[0]), "the end of all calls")
    return nodes[0]


@pytest.fixture
def east(nodes: tuple[GatewayProcess, GatewayProcess]) -> GatewayProcess:
    return nodes[1]


@pytest.fixture
def silent_phone() -> Iterator[str]:
    """A SIP address where nobody answers: a call to it rings as long as it may."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        yield f"sip:ann@127.0.0.1:{phone.getsockname()[1]}"


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    problem: dict[str, Any] = answer.json()
    return problem


def calls_of(gateway: GatewayProcess, query: str = "") -> dict[str, str]:
    """Call ids and their nodes."""
    return {call["call_id"]: call["node"] for call in gateway.get(f"/calls{query}")["calls"]}


def read(feed: ClientConnection, kind: str, call_id: str) -> dict[str, Any]:
    """The next event of this kind and call."""
    while True:
        event: dict[str, Any] = json.loads(feed.recv(10))
        if (event["kind"], event.get("call_id")) == (kind, call_id):
            return event


def test_a_call_is_seen_and_acted_on_through_the_other_node(west: GatewayProcess, east: GatewayProcess) -> None:
    with RawCaller(west.sip_port) as caller:
        assert caller.invite("echo").code == 200
        (call_id,) = wait_for(lambda: calls_of(east), "the call at the other node")
        assert calls_of(east) == calls_of(west) == {call_id: "west"}
        assert calls_of(east, "?node=west") == {call_id: "west"}
        assert calls_of(east, "?node=east") == {}
        assert east.get(f"/calls/{call_id}")["node"] == "west"
        assert east.post(f"/calls/{call_id}/mute").json()["muted"] is True
        said = east.post(f"/calls/{call_id}/say", {"text": "Good morning."})
        assert said.status_code == 202
        assert said.headers["parley-node"] == "west"
        assert problem_of(east.post(f"/calls/{call_id}/say", {"text": 7}), 422)["errors"][0]["field"] == "body.text"
        token = east.post("/tokens", {"scope": "listen", "call_id": call_id})
        assert token.status_code == 201
        stream = east.post("/stream/start", {"call_id": call_id, "stream_url": "ws://127.0.0.1:9/", "codec": "l16"})
        assert stream.status_code == 201, stream.text
        stopped = east.post("/stream/stop", {"stream_id": stream.json()["stream_id"]})
        assert stopped.status_code == 200, stopped.text
        assert caller.request("BYE", 5)  # nothing is left of what it was for
    wait_for(lambda: not calls_of(west), "the end of the call")
    assert problem_of(east._http.get(f"/api/v1/calls/{call_id}"), 404)["type"].endswith("no-such-call")


def test_keys_are_known_and_scopes_hold_at_the_other_node(west: GatewayProcess, east: GatewayProcess) -> None:
    made = east.post("/keys", {"name": "reader", "scopes": ["calls:read"]}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    with RawCaller(west.sip_port) as caller:
        assert caller.invite("echo").code == 200
        (call_id,) = wait_for(lambda: calls_of(east), "the call at the other node")
        assert east.post(f"/calls/{call_id}/hangup", headers=headers).status_code == 403
        url = f"http://{west.http_address}/api/v1/calls/{call_id}"
        wait_for(lambda: httpx.get(url, headers=headers).status_code == 200, "the new key at the other node")
        east.delete(f"/keys/{made['key_id']}")
        wait_for(lambda: httpx.get(url, headers=headers).status_code == 401, "the end of the key at the other node")
        assert east.post(f"/calls/{call_id}/hangup").status_code == 204
        assert caller.request("BYE", 5)
    wait_for(lambda: not calls_of(east), "the end of the call")


def test_what_a_key_is_limited_to_holds_at_the_other_node(west: GatewayProcess, east: GatewayProcess) -> None:
    order = {"name": "tenant", "scopes": ["calls:read", "calls:write"], "only_agents": ["nobody"]}
    made = east.post("/keys", order).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    url = f"http://{west.http_address}/api/v1/calls"
    wait_for(lambda: httpx.get(url, headers=headers).status_code == 200, "the new key at the other node")
    with RawCaller(east.sip_port) as caller:
        assert caller.invite("echo").code == 200
        (call_id,) = wait_for(lambda: calls_of(west), "the call, seen from the other node")
        assert httpx.get(url, headers=headers).json()["calls"] == []
        assert httpx.get(f"{url}/{call_id}", headers=headers).status_code == 404
        assert httpx.post(f"{url}/{call_id}/hangup", headers=headers).status_code == 404
        assert call_id in calls_of(west)
        assert caller.bye("echo").code == 200
    east.delete(f"/keys/{made['key_id']}")


def test_a_websocket_to_a_call_elsewhere_is_told_where_to_go(west: GatewayProcess, east: GatewayProcess) -> None:
    with RawCaller(west.sip_port) as caller:
        assert caller.invite("echo").code == 200
        (call_id,) = wait_for(lambda: calls_of(east), "the call at the other node")
        for what in ("meter", "stream"):
            with pytest.raises(InvalidStatus) as refused:
                connect(
                    f"ws://{east.http_address}/api/v1/calls/{call_id}/{what}",
                    additional_headers={"Authorization": f"Bearer {API_KEY}"},
                )
            assert refused.value.response.status_code == 421
            assert f"http://{west.http_address}".encode() in refused.value.response.body
        assert caller.bye("echo").code == 200


def test_two_calls_of_different_nodes_cannot_meet_and_that_is_said(west: GatewayProcess, east: GatewayProcess) -> None:
    with RawCaller(west.sip_port) as one, RawCaller(east.sip_port) as two:
        assert one.invite("echo").code == 200
        assert two.invite("echo").code == 200
        where = wait_for(lambda: found if len(found := calls_of(east)) == 2 else None, "both calls")
        here, there = sorted(where, key=lambda call_id: str(where[call_id]))
        for gateway in (west, east):
            detail = problem_of(gateway.post(f"/calls/{there}/bridge", {"call_id": here}), 421)["detail"]
            assert "east" in detail
            assert "west" in detail
        assert one.bye("echo").code == 200
        assert two.bye("echo").code == 200


def test_what_was_passed_on_is_not_passed_on_again(
    west: GatewayProcess, east: GatewayProcess, cluster: Cluster
) -> None:
    """Each is told that the other one has a call that neither has."""
    with redis.Redis.from_url(cluster.redis.url) as client:
        client.set("parley:owner:nowhere", "west")
        begun = time.monotonic()
        assert east._http.get("/api/v1/calls/nowhere").status_code == 404
        assert time.monotonic() - begun < 3
        client.set("parley:owner:nowhere", "long-dead")
        assert problem_of(east._http.get("/api/v1/calls/nowhere"), 410)["type"].endswith("node-gone")
        client.delete("parley:owner:nowhere")


def test_nodes_are_listed_with_their_load(west: GatewayProcess, east: GatewayProcess) -> None:
    listed = {node["node_id"]: node for node in east.get("/nodes")["nodes"]}
    assert sorted(listed) == ["east", "west"]
    assert (listed["west"]["capacity"], listed["west"]["region"], listed["west"]["is_here"]) == (2, "w", False)
    assert listed["west"]["http"] == f"http://{west.http_address}"
    assert 0 <= listed["west"]["heartbeat_age_ms"] < 1500
    assert problem_of(east.post("/nodes/nobody/drain"), 404)["type"].endswith("no-such-node")


def test_a_feed_tells_the_events_of_both_nodes_and_goes_on_at_the_other(
    west: GatewayProcess, east: GatewayProcess
) -> None:
    def call(gateway: GatewayProcess) -> None:
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("echo").code == 200
            assert caller.bye("echo").code == 200

    seen: list[dict[str, Any]] = []

    def follow(gateway: GatewayProcess, query: str, ends: int) -> None:
        with open_feed(gateway, f"?kinds=call.*{query}") as feed:
            assert json.loads(feed.recv(5))["complete"]
            for _ in range(ends):
                call(west)
                call(east)
            while sum(event["kind"] == "call.ended" for event in seen) < len(begun) + 2 * ends:
                seen.append(json.loads(feed.recv(10)))
            begun.extend([0] * 2 * ends)

    begun: list[int] = []
    follow(west, "", 1)
    call(east)
    call(west)
    begun.extend([0, 0])
    for gateway in (east, west, east):
        follow(gateway, f"&position={seen[-1]['position']}", 1)
    cursors = [event["cursor"] for event in seen]
    assert len(cursors) == len(set(cursors))
    kinds = [event["kind"] for event in seen]
    assert kinds.count("call.offered") == kinds.count("call.ended") == 10
    assert {event["node"] for event in seen} == {"west", "east"}
    for node in ("west", "east"):
        own = [event["cursor"] for event in seen if event["node"] == node]
        assert own == sorted(own)
    # By cursor alone some may come twice, but none is missing.
    with open_feed(east, f"?kinds=call.*&after={cursors[10]}") as feed:
        assert json.loads(feed.recv(5))["complete"]
        repeated = set[int]()
        while not set(cursors[11:]) <= repeated:
            repeated.add(json.loads(feed.recv(5))["cursor"])
    page = east.get(f"/events?position={seen[-1]['position']}&kinds=call.*")
    assert (page["events"], page["complete"]) == ([], True)
    assert east._http.get("/api/v1/events?position=1-x").status_code == 422


def test_redis_gone_and_back_loses_no_event_and_no_call(
    west: GatewayProcess, east: GatewayProcess, cluster: Cluster
) -> None:
    with RawCaller(west.sip_port) as caller, open_feed(east) as far, open_feed(west) as near:
        assert caller.invite("echo").code == 200
        (call_id,) = wait_for(lambda: calls_of(east), "the call at the other node")
        read(far, "call.activity", call_id)
        cluster.redis.kill()
        wait_for(lambda: "parley_cluster_redis_up 0.0" in east.page("/metrics"), "the loss of Redis")
        assert problem_of(east._http.get(f"/api/v1/calls/{call_id}"), 503)["type"].endswith("cluster-unreachable")
        read(near, "cluster.redis_lost", "")
        assert west.post(f"/calls/{call_id}/record", {"state": "start"}).status_code == 200
        recorded = read(near, "recording.changed", call_id)
        with RawCaller(west.sip_port) as other:
            assert other.invite("echo").code == 200
            listed = west.get("/calls")
            assert len(listed["calls"]) == 2
            assert listed["unreachable"] == ["east"]
            cluster.redis.start()
            assert read(far, "recording.changed", call_id)["cursor"] == recorded["cursor"]
            wait_for(lambda: len(calls_of(east)) == 2, "both calls at the other node", 10)
            assert other.bye("echo").code == 200
        assert east.post(f"/calls/{call_id}/hangup").status_code == 204
        assert read(far, "call.ended", call_id)["node"] == "west"


def test_a_node_is_drained_through_another_one(cluster: Cluster, east: GatewayProcess) -> None:
    third = cluster.node("third")
    wait_for(lambda: "third" in str(east.get("/nodes")), "the third node")
    answer = east.post("/nodes/third/drain")
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "draining"
    assert third.process.wait(20) == 0
    wait_for(lambda: "third" not in str(east.get("/nodes")), "its leave")


def test_a_full_node_places_calls_elsewhere_and_a_region_is_heeded(
    cluster: Cluster, east: GatewayProcess, silent_phone: str
) -> None:
    def place(gateway: GatewayProcess, **more: object) -> dict[str, Any]:
        answer = gateway.post("/calls", {"to": silent_phone, **more}, headers=key)
        assert answer.status_code == 201, answer.text
        call: dict[str, Any] = answer.json()
        assert east.get(f"/calls/{call['call_id']}")["node"] == call["node"]
        return call

    west = cluster.node("small", max_calls=2, region="s")
    wait_for(lambda: "small" in str(east.get("/nodes")), "the small node")
    key: dict[str, str] = {}
    placed = [place(west)["node"], place(east, region="s")["node"]]
    assert placed == ["small", "small"]
    wait_for(lambda: {node["node_id"]: node["calls"] for node in east.get("/nodes")["nodes"]}["small"] == 2, "the load")
    key = {"Idempotency-Key": "one-call"}
    third, again = place(west), place(west)
    assert third["node"] in ("east", "west")
    assert again["call_id"] == third["call_id"] == place(east)["call_id"]
    key = {}
    assert place(west, region="s")["node"] in ("east", "west")
    for call_id in calls_of(west):
        assert west.post(f"/calls/{call_id}/hangup").status_code == 204
    wait_for(lambda: not calls_of(west), "the end of all calls")
