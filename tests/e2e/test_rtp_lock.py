# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody takes over a call's audio by spraying its RTP port ("RTP Bleed"): media/native/rtp_lock.patch.

Stock PJSIP 2.17 hands the stream to any address that sends ten packets between two of the caller's.
"""

import socket
import time
from dataclasses import dataclass, field

import pytest

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import SILENCE, RawCaller, RtpClock

_NOISE = b"\x2a" * 160
"""What strangers send; mu-law of a level no echo of silence has."""
_STEP_S = 0.001


@dataclass(slots=True)
class Sender:
    """A socket that sends RTP of its own and counts what it gets."""

    payload: bytes
    interval_s: float
    got: list[tuple[float, bytes]] = field(default_factory=list)
    port: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    clock: RtpClock = field(default_factory=RtpClock)
    due: float = 0.0

    def __post_init__(self) -> None:
        self.port.setblocking(False)

    def work(self, target: tuple[str, int], now: float) -> None:
        """Send what is due, fetch what has come."""
        while self.due <= now:
            self.port.sendto(self.clock.packet(self.payload), target)
            self.due += self.interval_s
        try:
            while True:
                self.got.append((now, self.port.recv(2048)[12:]))
        except BlockingIOError:
            pass


def _run(target: tuple[str, int], seconds: float, *senders: Sender) -> None:
    start = time.monotonic()
    for sender in senders:
        sender.due = start
    for step in range(1, round(seconds / _STEP_S)):
        for sender in senders:
            sender.work(target, time.monotonic())
        time.sleep(max(0.0, start + step * _STEP_S - time.monotonic()))
    time.sleep(0.05)
    for sender in senders:
        sender.due = float("inf")
        sender.work(target, time.monotonic())


def _signalled(caller: RawCaller) -> Sender:
    """A sender on the address in the caller's SDP."""
    return Sender(SILENCE, 0.02, port=caller.rtp)


def _call(caller: RawCaller) -> tuple[str, int]:
    assert caller.invite("echo").code == 200
    assert caller.remote_rtp is not None
    return caller.remote_rtp


@pytest.mark.parametrize("packets_per_second", [400, 1000, 2000])
def test_a_stranger_gets_nothing_of_a_running_call(gateway: GatewayProcess, packets_per_second: int) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw)
        caller, stranger = _signalled(raw), Sender(_NOISE, 1 / packets_per_second)
        _run(target, 0.5, caller)
        caller.got.clear()
        _run(target, 2.0, caller, stranger)
        assert len(stranger.got) == 0
        assert len(caller.got) >= 95
        assert all(payload != _NOISE for _, payload in caller.got)  # nor is the stranger heard
        assert raw.bye("echo").code == 200


def test_a_stranger_who_was_first_loses_the_call_to_the_signalled_address(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw)
        caller, stranger = _signalled(raw), Sender(_NOISE, 0.001)
        _run(target, 0.3, stranger)
        stranger.got.clear()
        caller.got.clear()
        _run(target, 1.0, caller, stranger)
        assert len(stranger.got) <= 5
        assert len(caller.got) >= 45
        assert raw.bye("echo").code == 200


def test_a_caller_behind_a_nat_is_found_and_kept_while_it_speaks(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw)
        mapped, stranger = Sender(SILENCE, 0.02), Sender(_NOISE, 0.001)  # not the address in the SDP
        _run(target, 0.5, mapped)
        assert len(mapped.got) >= 20
        mapped.got.clear()
        _run(target, 1.5, mapped, stranger)
        assert len(stranger.got) == 0
        assert len(mapped.got) >= 70
        assert raw.bye("echo").code == 200


def test_a_nat_that_changes_its_mapping_is_followed(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as raw:
        target = _call(raw)
        before, after = Sender(SILENCE, 0.02), Sender(SILENCE, 0.02)
        after.clock = before.clock
        _run(target, 0.5, before)
        _run(target, 2.0, after)  # a second of silence, ten packets of probation
        assert len(after.got) >= 20
        assert raw.bye("echo").code == 200
