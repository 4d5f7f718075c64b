# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay between two sockets that speak just enough SIP: media goes through it and suffers as planned."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.raw_caller import RtpClock
from tests.network.impairment import Line, Network
from tests.network.relay import Plan, Relay

LOSSY = Network(loss=0.2)
CALL = (
    "INVITE sip:{user}@127.0.0.1 SIP/2.0\r\nCall-ID: {user}-1\r\nContent-Type: application/sdp\r\n"
    "Content-Length: {length}\r\n\r\n{body}"
)
ANSWER = (
    "SIP/2.0 200 OK\r\nCall-ID: {user}-1\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
)


class End:
    """One end of a call: sockets for SIP, RTP and RTCP, and where the other end's media seems to be."""

    def __init__(self) -> None:
        self.sip, self.rtp, self.rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
        for one in (self.sip, self.rtp, self.rtcp):
            one.bind(("127.0.0.1", 0))
            one.settimeout(5)
        self.remote = (0, 0)

    def close(self) -> None:
        for one in (self.sip, self.rtp, self.rtcp):
            one.close()

    @property
    def sip_port(self) -> int:
        return int(self.sip.getsockname()[1])

    def describe(self, template: str, user: str) -> bytes:
        body = (
            f"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {self.rtp.getsockname()[1]} RTP/AVP 0\r\n"
            f"a=rtcp:{self.rtcp.getsockname()[1]} IN IP4 127.0.0.1\r\n"
        )
        return template.format(user=user, length=len(body), body=body).encode()

    def learn(self, message: bytes) -> None:
        rtp, rtcp = re.search(rb"m=audio (\d+)", message), re.search(rb"a=rtcp:(\d+)", message)
        assert rtp is not None
        assert rtcp is not None
        self.remote = (int(rtp[1]), int(rtcp[1]))

    def send(self, packet: bytes) -> None:
        self.rtp.sendto(packet, ("127.0.0.1", self.remote[0]))


def arrived(one: socket.socket) -> list[bytes]:
    """What has come by now."""
    one.setblocking(False)
    packets = []
    with contextlib.suppress(BlockingIOError):
        while True:
            packets.append(one.recv(2048))
    return packets


@pytest.fixture
def caller() -> Iterator[End]:
    end = End()
    yield end
    end.close()


@pytest.fixture
def gateway() -> Iterator[End]:
    end = End()
    yield end
    end.close()


def connect(caller: End, gateway: End, relay: Relay, user: str) -> None:
    caller.sip.sendto(caller.describe(CALL, user), ("127.0.0.1", relay.sip_port))
    offer, source = gateway.sip.recvfrom(4096)
    gateway.learn(offer)
    gateway.sip.sendto(gateway.describe(ANSWER, user), source)
    caller.learn(caller.sip.recv(4096))


def packets(count: int) -> list[bytes]:
    clock = RtpClock(ssrc=1, sequence=65_530, timestamp=0)
    return [clock.packet(bytes([index % 256] * 160)) for index in range(count)]


def send_both_ways(caller: End, gateway: End, sent: list[bytes]) -> None:
    for packet in sent:
        caller.send(packet)
        gateway.send(packet)


# A relay that has ended has delivered everything: on loopback, what was sent is at its socket at once.


def test_media_goes_both_ways_through_a_relay_that_does_no_harm(caller: End, gateway: End) -> None:
    with Relay(gateway.sip_port, {"*": Plan()}) as relay:
        connect(caller, gateway, relay, "echo")
        assert caller.remote[0] != gateway.rtp.getsockname()[1]
        send_both_ways(caller, gateway, packets(50))
        caller.rtcp.sendto(b"report", ("127.0.0.1", caller.remote[1]))
    assert arrived(gateway.rtp) == arrived(caller.rtp) == packets(50)
    assert arrived(gateway.rtcp) == [b"report"]
    assert [tally.packets for tally in relay.tallies["echo"]] == [50, 50]


def test_each_direction_loses_what_its_seed_says_and_the_other_nothing(caller: End, gateway: End) -> None:
    sent = packets(200)
    with Relay(gateway.sip_port, {"up": Plan(uplink=LOSSY, seed="3"), "*": Plan(downlink=LOSSY)}) as relay:
        connect(caller, gateway, relay, "up")
        send_both_ways(caller, gateway, sent)
    line = Line(LOSSY, "3/0/up")
    up = arrived(gateway.rtp)
    assert up == [packet for packet in sent if line.fate(0.0)]
    assert arrived(caller.rtp) == sent
    assert relay.tallies["up"][0].lost == len(sent) - len(up) > 20


@pytest.mark.parametrize("suffers", [False, True])
def test_reports_pass_a_line_that_loses_everything_unless_they_are_to_suffer(
    caller: End, gateway: End, suffers: bool
) -> None:
    with Relay(gateway.sip_port, {"*": Plan(uplink=Network(loss=1.0), rtcp=suffers)}) as relay:
        connect(caller, gateway, relay, "a")
        caller.rtcp.sendto(b"report", ("127.0.0.1", caller.remote[1]))
    assert arrived(gateway.rtcp) == ([] if suffers else [b"report"])
    assert relay.tallies["a"][0].packets == 0


def test_a_packet_is_held_back_no_shorter_than_planned(caller: End, gateway: End) -> None:
    with Relay(gateway.sip_port, {"*": Plan(uplink=Network(delay_ms=80))}) as relay:
        connect(caller, gateway, relay, "late")
        sent_at = time.monotonic()
        caller.send(packets(1)[0])
        gateway.rtp.recv(2048)
        assert time.monotonic() - sent_at >= 0.079


def test_what_is_under_way_when_the_relay_ends_is_still_delivered(caller: End, gateway: End) -> None:
    with Relay(gateway.sip_port, {"*": Plan(uplink=Network(delay_ms=200))}) as relay:
        connect(caller, gateway, relay, "late")
        caller.send(packets(1)[0])
    assert arrived(gateway.rtp) == packets(1)


def test_delivered_packets_are_written_down_with_both_their_times(caller: End, gateway: End, tmp_path: Path) -> None:
    plan = Plan(uplink=Network(duplicate=1.0, delay_ms=50), log=True)
    with Relay(gateway.sip_port, {"*": plan}, tmp_path) as relay:
        connect(caller, gateway, relay, "x")
        send_both_ways(caller, gateway, packets(3))
    log = sorted(relay.packets("x"), key=lambda packet: packet[2])
    assert [sequence for _, _, sequence in log] == [65_530, 65_530, 65_531, 65_531, 65_532, 65_532]
    assert all(delivered_at - came_at >= 0.049 for came_at, delivered_at, _ in log)
