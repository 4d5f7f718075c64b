# SPDX-License-Identifier: GPL-3.0-or-later
"""The RTP of one call of the trunk: PCMU, a packet every 20 ms, and when the caller was heard to speak.

Light enough for fifty at once: what is sent was encoded before, what comes is measured in mu-law, by table.
"""

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.mulaw import from_mu_law

PACKET_S = 0.02
PACKET_BYTES = 160
_LOUD = 200
"""Mean magnitude above this is speech: -44 dBov."""
_STEP = 8
_TABLE = bytes(min(255, abs(int(sample)) // _STEP) for sample in from_mu_law(bytes(range(256))))
"""Each code's magnitude in steps, up to where it is loud for certain."""
_LOUD_SUM = _LOUD // _STEP * PACKET_BYTES
_FEWEST_LOUD = 3
"""Packets that make an utterance: fewer are a click."""
_GAP_S = 0.6
"""An utterance goes on after a shorter pause."""
_MOST_UTTERANCES = 200
"""Later ones are not kept."""


@dataclass(slots=True)
class Utterance:
    """When the caller spoke, monotonic seconds."""

    begun_at: float
    ended_at: float


class Hearing:
    """Speech in packets of mu-law. Clockless."""

    def __init__(self) -> None:
        self.utterances: list[Utterance] = []
        self._loud: list[float] = []
        """When the last packets in a row were loud, while they are not yet an utterance."""

    def receive(self, payload: bytes, now: float) -> None:
        """One packet."""
        if sum(payload.translate(_TABLE)) * PACKET_BYTES <= _LOUD_SUM * len(payload):
            self._loud.clear()
            return
        last = self.utterances[-1] if self.utterances else None
        if last is not None and (now - last.ended_at < _GAP_S or len(self.utterances) == _MOST_UTTERANCES):
            last.ended_at = now
            return
        self._loud.append(now)
        if len(self._loud) >= _FEWEST_LOUD:
            self.utterances.append(Utterance(self._loud[0], now))
            self._loud.clear()

    def is_speaking(self, now: float) -> bool:
        """Or was, a moment ago."""
        return self.quiet_s(now) < _GAP_S / 2

    def quiet_s(self, now: float) -> float:
        """Since they last spoke."""
        return now - self.utterances[-1].ended_at if self.utterances else float("inf")


class MediaLine:
    """A socket for RTP and its neighbour for RTCP, which is not read."""

    def __init__(self, host: str, ssrc: int) -> None:
        """Raises `OSError`."""
        self._rtp, self._rtcp = _pair(host)
        self.port: int = self._rtp.getsockname()[1]
        self.hearing = Hearing()
        self.sent = self.received = 0
        self.heard_at: float | None = None
        """When the last packet came."""
        self._remote: tuple[str, int] | None = None
        self._ssrc = ssrc

    def send_to(self, address: tuple[str, int] | None) -> None:
        """Where their description says; None: nowhere."""
        self._remote = address if address is not None and address[1] else None

    def receive(self, now: float) -> None:
        """All that has come."""
        while True:
            try:
                packet = self._rtp.recv(2048)
            except BlockingIOError:
                return
            except OSError:  # what was said of packets that we sent: their port is closed
                continue
            if len(packet) <= 12 or packet[0] & 0xC0 != 0x80:
                continue
            self.received += 1
            self.heard_at = now
            if packet[1] & 0x7F == 0 and packet[0] & 0x1F == 0:  # no digits, no extension, no sources
                self.hearing.receive(packet[12:], now)

    def send(self, payload: bytes) -> None:
        """The next packet."""
        if self._remote is None:
            return
        header = struct.pack(
            "!BBHII",
            0x80,
            0x80 if self.sent == 0 else 0,
            self.sent & 0xFFFF,
            self.sent * PACKET_BYTES & 0xFFFFFFFF,
            self._ssrc,
        )
        self.sent += 1
        with suppress(OSError):  # they are gone, or the buffer is full: as on any network
            self._rtp.sendto(header + payload, self._remote)

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()


def _pair(host: str) -> Sequence[socket.socket]:
    """An even port and the next one."""
    for _ in range(100):
        rtp, rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        try:
            rtp.bind((host, 0))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind((host, port + 1))
                rtp.setblocking(False)
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()
    raise OSError("no two RTP ports side by side are free")
