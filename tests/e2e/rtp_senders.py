# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that send RTP at a pace of their own and count what they get: callers, and those who are not."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.e2e.raw_caller import SILENCE, RawCaller, RtpClock
from tests.srtp import BadSrtp, SrtpKey

NOISE = b"\x2a" * 160
"""What strangers send; mu-law of a level no echo of silence has."""
_STEP_S = 0.001


def udp_socket(host: str = "127.0.0.1") -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((host, 0))
    return one


@dataclass(slots=True)
class Sender:
    """A socket that sends RTP of its own and counts what it gets."""

    payload: bytes
    interval_s: float
    got: list[tuple[float, bytes]] = field(default_factory=list)
    port: socket.socket = field(default_factory=udp_socket)
    clock: RtpClock = field(default_factory=RtpClock)
    sent: int = 0
    due: float = 0.0

    def __post_init__(self) -> None:
        self.port.setblocking(False)

    def work(self, target: tuple[str, int], now: float) -> None:
        """Send what is due, fetch what has come."""
        while self.due <= now:
            self.port.sendto(self.packet(), target)
            self.sent += 1
            self.due += self.interval_s
        try:
            while True:
                self.got.append((now, self.open(self.port.recv(2048))))
        except BlockingIOError:
            pass

    def packet(self) -> bytes:
        return self.clock.packet(self.payload)

    def open(self, packet: bytes) -> bytes:
        """The payload of what has come."""
        return packet[12:]


@dataclass(slots=True)
class SecureSender(Sender):
    """The same with SRTP; what does not authenticate counts as nothing."""

    ours: SrtpKey = field(default_factory=SrtpKey.random)
    theirs: SrtpKey | None = None

    def packet(self) -> bytes:
        if self.clock.sequence == 0 and self.sent:
            self.ours.rollover += 1
        return self.ours.protect(self.clock.packet(self.payload))

    def open(self, packet: bytes) -> bytes:
        assert self.theirs is not None
        try:
            return self.theirs.unprotect(packet)[12:]
        except BadSrtp:
            return b""


def stranger(packets_per_second: float, host: str = "127.0.0.1", ssrc_of: Sender | None = None) -> Sender:
    """Somebody who has found the port; with `ssrc_of` he has guessed the SSRC, too."""
    one = Sender(NOISE, 1 / packets_per_second, port=udp_socket(host))
    if ssrc_of is not None:
        one.clock = RtpClock(ssrc_of.clock.ssrc, ssrc_of.clock.sequence, ssrc_of.clock.timestamp)
    return one


def signalled(caller: RawCaller) -> Sender:
    """A sender on the address in the caller's SDP."""
    return Sender(SILENCE, 0.02, port=caller.rtp)


def run(target: tuple[str, int], seconds: float, *senders: Sender) -> None:
    """Let them all send for so long."""
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


@contextlib.contextmanager
def hello_flood(ports: range) -> Iterator[None]:
    """A stranger's DTLS ClientHellos, fifty a second for each of these ports."""
    body = bytes.fromhex("fefd") + bytes(32) + bytes.fromhex("00000002c02b0100")
    handshake = b"\x01" + len(body).to_bytes(3, "big") + bytes(5) + len(body).to_bytes(3, "big") + body
    hello = bytes.fromhex("16feff") + bytes(8) + len(handshake).to_bytes(2, "big") + handshake
    stop = threading.Event()

    def spray() -> None:
        with udp_socket("127.0.0.1") as stranger:
            while not stop.wait(0.02):
                for port in ports:
                    stranger.sendto(hello, ("127.0.0.1", port))

    thread = threading.Thread(target=spray, name="hellos")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
