# SPDX-License-Identifier: GPL-3.0-or-later
"""rtpengine before nodes: encrypted outside and plain inside, soon, and again after it was killed; and real gateways
behind it."""

import re
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest

from tests.e2e.edge import Edge, Heart, free_port
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import SILENCE, RawCaller, RtpClock
from tests.e2e.rtp_senders import SecureSender, run
from tests.e2e.sip_node import SipNode
from tests.e2e.trunk_phone import TrunkPhone
from tests.fakes.certificate import make_certificate
from tests.srtp import SUITE, SrtpKey

_MU_LAW = "\r\na=rtpmap:0 PCMU/8000"
_CALLS = 20


@pytest.fixture(scope="module")
def callee() -> Iterator[RawCaller]:
    """The trunk's telephone."""
    with RawCaller(0) as callee:
        yield callee


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, callee: RawCaller) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("edge")
    both = make_certificate(folder, "localhost")
    tls = f'transports = ["udp", "tcp", "tls"]\ntls_port = {free_port()}\ntls_cert = "{both}"\ntls_key = "{both}"\n'
    far = 'region = "far"\ncallers = ["127.0.3.0/24"]\ncore_codec = "pcma"\n'
    with Edge(folder, settings=tls, relays={"one": "", "far": far}, more=_trunk(callee)) as edge:
        yield edge


@pytest.fixture
def node(edge: Edge) -> Iterator[SipNode]:
    """The only one, and no gateway."""
    with SipNode() as node:
        heart = Heart(edge, f"raw{node.port}", node.port)
        heart.beat()
        wait_for(lambda: set(edge.listed()) == {heart.node.node_id}, "the node")
        yield node
        heart.leave()


def _trunk(callee: RawCaller, more: str = "") -> str:
    port = callee.sip.getsockname()[1]
    login = 'username = "parley"\npassword = "secret"\nallow = ["127.0.2.0/24"]\n'
    return f'[[trunk]]\nname = "carrier"\nhost = "127.0.0.1:{port}"\nsrtp = "required"\n{login}{more}\n'


def _secured(tag: int = 1) -> tuple[SrtpKey, str]:
    """A key, and a media line with it."""
    key = SrtpKey.random()
    return key, f"RTP/SAVP 0{_MU_LAW}\r\n{key.line(tag)}"


def _their_key(text: str) -> SrtpKey:
    return SrtpKey.parse(_crypto(text)[1])


def _crypto(text: str) -> tuple[int, str]:
    """Tag and line of the suite that we know."""
    found = re.search(rf"a=crypto:(\d+) {SUITE} (.*)", text)
    assert found is not None, text
    return int(found[1]), found[2]


def _media_of(invite: str) -> tuple[str, int]:
    found = re.search(r"m=audio (\d+) (\S+)", invite)
    assert found is not None
    assert found[2] == "RTP/AVP"
    return "127.0.0.1", int(found[1])


def _received(node: SipNode, count: int) -> list[tuple[float, bytes]]:
    """Packets, each with its time."""
    got: list[tuple[float, bytes]] = []
    deadline = time.monotonic() + 2
    while len(got) < count and time.monotonic() < deadline:
        try:
            got.append((time.monotonic(), node.rtp.recv(2048)))
        except BlockingIOError:
            time.sleep(0.0002)
    return got


def test_what_is_said_in_srtp_is_heard_in_rtp_and_the_other_way_round(edge: Edge, node: SipNode) -> None:
    with RawCaller(edge.port) as caller:
        key, offer = _secured()
        answer = caller.invite("agent", offer)
        assert re.search(r"m=audio \d+ RTP/SAVP 0", answer.text)
        assert "a=crypto" not in node.invites[0]
        relay, theirs = _media_of(node.invites[0]), _their_key(answer.text)
        assert caller.remote_rtp is not None
        said = [bytes([number]) * 160 for number in range(50)]
        answered = [bytes([200 - number]) * 160 for number in range(50)]
        caller.clock.sequence, clock = 7, RtpClock(sequence=9)
        for ours, others in zip(said, answered, strict=True):
            caller.rtp.sendto(key.protect(caller.clock.packet(ours)), caller.remote_rtp)
            node.rtp.sendto(clock.packet(others), relay)
            time.sleep(0.005)
        assert [packet[12:] for _, packet in _received(node, 50)] == said
        heard = [theirs.unprotect(packet)[12:] for _, packet in caller.packets()]
        assert heard == answered
        assert caller.bye("agent").code == 200


def test_the_way_through_the_relay_takes_no_three_milliseconds(edge: Edge, node: SipNode) -> None:
    with RawCaller(edge.port) as caller:
        key, offer = _secured()
        caller.invite("agent", offer)
        assert caller.remote_rtp is not None
        caller.clock.sequence = 7
        took_ms = []
        for _ in range(200):
            sent_at = time.monotonic()
            caller.rtp.sendto(key.protect(caller.clock.packet(SILENCE)), caller.remote_rtp)
            took_ms += [(arrived - sent_at) * 1000 for arrived, _ in _received(node, 1)]
            time.sleep(0.004)
        caller.bye("agent")
    took_ms.sort()
    print(f"added: p50 {statistics.median(took_ms):.2f} ms, p95 {took_ms[len(took_ms) * 95 // 100]:.2f} ms")
    assert len(took_ms) == 200
    assert statistics.median(took_ms) < 3


def test_calls_have_their_audio_back_when_a_killed_relay_is_started_again(edge: Edge, node: SipNode) -> None:
    with ExitStack() as stack:
        callers = [stack.enter_context(RawCaller(edge.port)) for _ in range(_CALLS)]
        for caller in callers:
            assert caller.invite("agent").code == 200
        targets = [_media_of(invite) for invite in node.invites]
        clocks = [RtpClock() for _ in callers]
        last = [time.monotonic()] * _CALLS
        gaps = [0.0] * _CALLS
        restart = threading.Timer(0.5, edge.restart_relay, ["one"])
        begun = time.monotonic()
        restart.start()
        for step in range(125):
            for number, caller in enumerate(callers):
                caller.speak(SILENCE)
                node.rtp.sendto(clocks[number].packet(SILENCE), targets[number])
            while time.monotonic() < begun + (step + 1) * 0.02:
                for number, caller in enumerate(callers):
                    for arrived, _ in caller.packets():
                        gaps[number] = max(gaps[number], arrived - last[number])
                        last[number] = arrived
                time.sleep(0.001)
        restart.join()
        ended = time.monotonic()
        print(f"gap: {min(gaps):.2f} to {max(gaps):.2f} s")
        assert all(ended - heard < 0.2 for heard in last)
        assert max(gaps) <= 0.5
        assert {caller.bye("agent").code for caller in callers} == {200}


def test_a_callers_address_says_which_relay_has_the_call_and_what_the_node_hears(edge: Edge, node: SipNode) -> None:
    sessions = 'parley_edge_relay_sessions{region="far",relay="far"}'
    with RawCaller(edge.port, "127.0.3.7") as far, RawCaller(edge.port) as near:
        assert far.invite("agent").code == near.invite("agent").code == 200
        assert [re.findall(r"m=audio \d+ RTP/AVP (.*)", invite)[0].split()[0] for invite in node.invites] == ["8", "0"]
        wait_for(lambda: edge.metrics()[sessions] == 1, "the call at its relay")
        assert edge.metrics()['parley_edge_relay_sessions{region="default",relay="one"}'] == 1
        assert far.bye("agent").code == near.bye("agent").code == 200


# Gateways


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory, edge: Edge, callee: RawCaller) -> Iterator[list[GatewayProcess]]:
    """Two nodes of one cluster; the first is killed by the last test."""
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "shared").mkdir()
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        made = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            (folder / name / "data").symlink_to(folder / "shared")
            settings = f'[cluster]\nredis_url = "{edge.redis.url}"\nnode_id = "{name}"\ndrain_s = 0\n'
            settings += '[[route]]\naction = "echo"\n'
            settings += _trunk(callee, f'outbound_proxy = "127.0.0.1:{edge.inside_port}"')
            gateway = GatewayProcess(folder / name, settings, record=False, sip='edges = ["127.0.0.1/32"]')
            made.append(gateway)
        list(threads.map(stack.enter_context, made))
        wait_for(lambda: set(edge.listed()) == {"first", "second"}, "the gateways")
        yield made


async def test_a_phone_calls_by_tls_with_keys_by_dtls(edge: Edge, gateways: list[GatewayProcess]) -> None:
    port = re.search(r"tls_port = (\d+)", edge.config.read_text())
    assert port is not None
    async with TrunkPhone(int(port[1]), "tls", srtp="required", srtp_keying="dtls") as phone:
        handle = await phone.call("echo")
        await phone.until(partial(phone.media.__contains__, handle), "media")
        assert phone.media[handle].srtp
        await phone.hears(handle, 10)
        await phone.endpoint.hang_up(handle)
        await phone.until(partial(phone.ended.__contains__, handle), "the end")


def test_a_call_of_a_node_goes_out_through_the_edge_encrypted(
    edge: Edge, gateways: list[GatewayProcess], callee: RawCaller
) -> None:
    gateway = gateways[0]
    callee.aim(edge.port)
    call_id = gateway.post("/calls", {"to": "+441632960123", "agent": "receptionist"}).json()["call_id"]
    invite = callee.request("INVITE")
    assert invite.startswith(f"INVITE sip:+441632960123@127.0.0.1:{callee.sip.getsockname()[1]}")
    assert re.search(r"m=audio \d+ RTP/SAVP ", invite)
    key, offer = _secured(_crypto(invite)[0])
    callee.accept(invite, offer)
    sender = SecureSender(SILENCE, 0.02, port=callee.rtp, ours=key, theirs=_their_key(invite))
    sender.clock.sequence = 7
    assert callee.remote_rtp is not None
    run(callee.remote_rtp, 1.0, sender)
    assert sum(len(payload) == 160 for _, payload in sender.got) > 10
    assert gateway.get(f"/calls/{call_id}")["quality"]["rx_packets"] > 20
    gateway.post(f"/calls/{call_id}/hangup")
    callee.respond(callee.request("BYE"), 200)


def test_a_trunk_is_told_our_password_through_the_edge(
    edge: Edge, gateways: list[GatewayProcess], callee: RawCaller
) -> None:
    callee.aim(edge.port)
    gateways[0].post("/calls", {"to": "+441632960125", "agent": "receptionist"})
    callee.challenge("INVITE")
    again = callee.request("INVITE")
    while "Authorization:" not in again:
        again = callee.request("INVITE")
    callee.answer(again, 486, "Busy Here")
    callee.request("ACK")


def test_a_trunk_is_known_by_its_address_behind_the_edge(edge: Edge, gateways: list[GatewayProcess]) -> None:
    with RawCaller(edge.port, "127.0.2.1") as trunk:
        assert trunk.invite("echo", _secured()[1]).code == 200
        assert trunk.bye("echo").code == 200
    metadata = next(one["metadata"] for one in gateways[0].sessions() if one["direction"] == "inbound")
    assert metadata["trunk"] == "carrier"
    assert "sip.x-parley-source" not in metadata


def test_a_trunk_that_answers_in_the_clear_gets_no_audio(
    edge: Edge, gateways: list[GatewayProcess], callee: RawCaller
) -> None:
    gateway = gateways[0]
    callee.packets()
    gateway.post("/calls", {"to": "+441632960124", "agent": "receptionist"})
    invite = callee.request("INVITE")
    callee.accept(invite, f"RTP/AVP 0{_MU_LAW}")
    callee.respond(callee.request("BYE"), 200)
    assert callee.packets() == []


def test_a_call_whose_node_is_killed_goes_on_where_it_was(edge: Edge, gateways: list[GatewayProcess]) -> None:
    with RawCaller(edge.port) as caller:
        key, offer = _secured()
        answer = caller.invite("echo", offer)
        sender = SecureSender(SILENCE, 0.02, port=caller.rtp, ours=key, theirs=_their_key(answer.text))
        sender.clock.sequence = 7
        assert caller.remote_rtp is not None
        run(caller.remote_rtp, 0.4, sender)
        assert sender.got
        line = 'parley_calls_active{direction="inbound"} 1.0'
        owner = next(gateway for gateway in gateways if line in gateway.page("/metrics"))
        owner.process.kill()
        invite = caller.request("INVITE", 10)
        relay = caller.remote_rtp
        caller.respond_with_media(invite, f"RTP/SAVP 0{_MU_LAW}\r\n{key.line(_crypto(invite)[0])}")
        caller.request("ACK")
        assert caller.remote_rtp == relay
        sender.got.clear()
        sender.theirs = _their_key(invite)
        run(relay, 0.6, sender)
        assert sum(payload == SILENCE for _, payload in sender.got) > 10
        assert caller.bye("echo").code == 200
    other = next(gateway for gateway in gateways if gateway is not owner)
    assert other.newest_session()["end_reason"] == "caller_hung_up"


def test_the_relays_tell_of_themselves(edge: Edge) -> None:
    series = '{region="default",relay="one"}'
    told = wait_for(lambda: edge.metrics().get(f"parley_edge_relay_packets_total{series}"), "packets relayed")
    assert told > 0
    assert edge.metrics()[f"parley_edge_relay_up{series}"] == 1
