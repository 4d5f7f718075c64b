# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a cluster take over each other's calls: when one dies, when one drains, when one only stood still."""

import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from media.tones import tone
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller
from tests.e2e.spoken_line import Line
from tests.mulaw import from_mu_law, mu_law
from tests.redis_server import RedisServer

_TONE = mu_law(tone([800.0], 20, 8000))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


class Cluster:
    """Gateways that share Redis and a data folder."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        self._folder = folder
        self._redis = redis
        self._stack = ExitStack()
        (folder / "shared").mkdir()

    def nodes(self, *names: str) -> list[GatewayProcess]:
        """Started all at the same time: it takes a while."""
        made = []
        for name in names:
            folder = self._folder / name
            folder.mkdir()
            (folder / "data").symlink_to(self._folder / "shared")
            cluster = f'[cluster]\nredis_url = "{self._redis.url}"\nnode_id = "{name}"\ndrain_s = 0\n'
            made.append(GatewayProcess(folder, cluster, record=False))
        for node in made:
            self._stack.callback(node.__exit__)
        with ThreadPoolExecutor() as threads:
            list(threads.map(GatewayProcess.__enter__, made))
        return made

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer) -> Iterator[Cluster]:
    with Cluster(tmp_path, redis) as made:
        yield made


def take_reinvite(caller: RawCaller, before: str) -> str:
    """Accept the INVITE that comes inside the call, and talk to who sent it from now on."""
    invite = caller.request("INVITE", 10)
    assert "tag=raw" in re.findall(r"(?im)^To:.*$", invite)[0]
    assert re.findall(r"(?im)^Call-ID:\s*(\S+)", invite) == [caller.call_id]
    assert re.findall(r"(?im)^From:.*tag=(\S+)", invite) == re.findall(r"tag=(\S+)", before)
    sender = int(re.findall(r"(?im)^Contact:.*?:(\d+)[;>]", invite)[0])
    caller.aim(sender)
    copied = "".join(re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", invite))
    body = caller.offer()
    caller.send_bytes(
        (
            f"SIP/2.0 200 OK\r\n{copied}Contact: {caller.contact}\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
    )
    found = re.search(r"m=audio (\d+)", invite)
    assert found is not None
    caller.remote_rtp = ("127.0.0.1", int(found[1]))
    caller.request("ACK")
    return invite


def echoes(caller: RawCaller, seconds: float) -> int:
    """Packets with our tone in them that come back."""
    caller.hear()
    deadline = time.monotonic() + seconds
    heard = 0
    while time.monotonic() < deadline:
        caller.speak(_TONE)
        time.sleep(0.02)
        for _, payload in caller.hear():
            heard += bool(np.abs(from_mu_law(payload)).mean() > 1000)
    return heard


def test_the_calls_of_a_node_that_is_killed_go_on_at_another(cluster: Cluster) -> None:
    first, second = cluster.nodes("first", "second")
    with RawCaller(first.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert echoes(caller, 1.0) > 20
        call_id = first.get("/calls")["calls"][0]["call_id"]
        first.process.kill()
        killed_at = time.monotonic()
        take_reinvite(caller, caller.peer)
        took_s = time.monotonic() - killed_at
        assert took_s < 3.0
        assert echoes(caller, 1.0) > 20
        calls = second.get("/calls")["calls"]
        assert [(call["call_id"], call["state"]) for call in calls] == [(call_id, "active")]
        with first:  # it is back, and leaves alone what is another's now
            assert second.get(f"/sessions/{call_id}")["ended_at"] is None
            assert first.get(f"/sessions/{call_id}")["ended_at"] is None
        assert caller.bye("echo").code == 200
        session = second.newest_session()
        assert (session["call_id"], session["end_reason"]) == (call_id, "caller_hung_up")
    assert 'parley_calls_adopted_total{result="taken"} 1.0' in second.page("/metrics")


def test_a_far_end_that_is_busy_with_a_change_of_its_own_is_asked_again(cluster: Cluster) -> None:
    first, second = cluster.nodes("first", "second")
    with RawCaller(first.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert echoes(caller, 0.5) > 5
        first.process.kill()
        refused = caller.request("INVITE", 10)
        caller.aim(second.sip_port)
        caller.respond(refused, 491, "Request Pending")
        caller.request("ACK")
        again = take_reinvite(caller, caller.peer)
        numbers = [int(re.findall(r"(?im)^CSeq:\s*(\d+)", one)[0]) for one in (refused, again)]
        assert numbers[1] > numbers[0]
        assert echoes(caller, 1.0) > 20
        assert [call["state"] for call in second.get("/calls")["calls"]] == ["active"]
        assert caller.bye("echo").code == 200


def test_an_agent_goes_on_with_what_was_said(cluster: Cluster, voice: object) -> None:
    first, second = cluster.nodes("first", "second")
    with RawCaller(first.sip_port) as caller:
        assert caller.invite("agent").code == 200
        line = Line(caller)
        line.listen(2.5)
        line.speak(voice.say("What are your opening hours?", 8000), 5.0)  # type: ignore[attr-defined]
        first.process.kill()
        take_reinvite(caller, caller.peer)
        line.listen(4.0)
        line.speak(voice.say("Thank you. And where are you?", 8000), 5.0)  # type: ignore[attr-defined]
        assert caller.bye("agent").code == 200
    said = [(entry["role"], entry["text"]) for entry in second.newest_session()["transcript"]]
    texts = [text for role, text in said if role == "assistant"]
    assert texts[0] == "Hello, how can I help you?"
    assert any("Sorry, I lost you" in text for text in texts), said
    assert texts.count("Hello, how can I help you?") == 1
    assert sum(role == "user" for role, _ in said) >= 2, said


def test_a_node_that_drains_hands_its_calls_over_without_a_gap(cluster: Cluster) -> None:
    first, second = cluster.nodes("first", "second")
    with RawCaller(first.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert echoes(caller, 1.0) > 20
        first.process.send_signal(signal.SIGTERM)
        take_reinvite(caller, caller.peer)
        assert echoes(caller, 1.0) > 40
        assert first.process.wait(10) == 0
        assert caller.bye("echo").code == 200
    session = second.newest_session()
    assert session["end_reason"] == "caller_hung_up"


def test_a_node_that_stood_still_gives_up_the_calls_that_others_took(cluster: Cluster) -> None:
    first, second = cluster.nodes("first", "second")
    with RawCaller(first.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert echoes(caller, 0.5) > 5
        os.kill(first.process.pid, signal.SIGSTOP)
        take_reinvite(caller, caller.peer)
        os.kill(first.process.pid, signal.SIGCONT)
        wait_for(lambda: not first.get("/calls?node=first")["calls"], "the end of the call at the first node")
        assert echoes(caller, 1.0) > 20
        assert len(second.get("/calls?node=second")["calls"]) == 1
        assert caller.bye("echo").code == 200


def test_a_node_alone_goes_on_with_its_own_calls_after_a_crash(cluster: Cluster, tmp_path: Path) -> None:
    (only,) = cluster.nodes("only")
    with RawCaller(only.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert echoes(caller, 0.5) > 5
        only.process.kill()
        only.process.wait()
        with only:
            take_reinvite(caller, caller.peer)
            assert echoes(caller, 1.0) > 20
            assert caller.bye("echo").code == 200


def test_nobody_dies_of_a_redis_that_is_gone(cluster: Cluster, redis: RedisServer) -> None:
    first, second = cluster.nodes("first", "second")
    with RawCaller(first.sip_port) as caller:
        assert caller.invite("echo").code == 200
        redis.kill()
        wait_for(lambda: "parley_cluster_redis_up 0.0" in second.page("/metrics"), "the loss of Redis")
        assert echoes(caller, 3.0) > 100
        redis.start()
        wait_for(lambda: "parley_cluster_redis_up 1.0" in second.page("/metrics"), "Redis")
        assert echoes(caller, 3.0) > 100
        assert len(first.get("/calls?node=first")["calls"]) == 1
        assert second.get("/calls?node=second")["calls"] == []
        first.process.kill()  # what was told before Redis was gone has been told again
        take_reinvite(caller, caller.peer)
        assert echoes(caller, 1.0) > 20
        assert caller.bye("echo").code == 200
