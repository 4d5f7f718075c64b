# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of callers in one process, on one event loop: they talk, note when they hear something, and let the gateway
move their calls (re-INVITE) or end them."""

import asyncio
import itertools
import random
import re
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from media.tones import tone
from tests.mulaw import from_mu_law, mu_law

_FRAME_S = 0.02
_TONE = mu_law(tone([800.0], 20, 8000))
_SILENCE = b"\xff" * 160
_LOUD = 300.0
_T1_S = 0.5
_TRIES = 6
_MAGNITUDE = np.abs(from_mu_law(bytes(range(256)))).astype(np.float64)


def _header(message: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}\s*:\s*(.*?)\r$", message)
    return "" if found is None else found[1]


@dataclass(eq=False)
class SwarmCall(asyncio.DatagramProtocol):
    """One of them. Times are monotonic seconds."""

    number: int
    user: str
    target: tuple[str, int]
    talks: bool
    call_id: str = ""
    code: int = 0
    """Of the final response to the INVITE; 0: none has come."""
    answered_at: float = 0.0
    moved_at: list[float] = field(default_factory=list)
    """When each re-INVITE was accepted."""
    ended_at: float = 0.0
    """When the gateway hung up."""
    heard_at: list[float] = field(default_factory=list)
    """Of packets with something audible in them."""
    packets: int = 0
    contact: str = ""
    _to: str = ""
    _routes: list[str] = field(default_factory=list)
    _remote: tuple[str, int] | None = None
    _sequence: int = 1
    _rtp_sequence: int = field(default_factory=lambda: random.getrandbits(15))
    _timestamp: int = 0
    _ssrc: int = field(default_factory=lambda: random.getrandbits(32))
    _sip: Any = None
    _rtp: Any = None
    _answered: "asyncio.Event" = field(default_factory=asyncio.Event)
    _said_bye: "asyncio.Event" = field(default_factory=asyncio.Event)

    async def begin(self) -> None:
        """Call, and return with the final response, or without one after a few seconds."""
        loop = asyncio.get_running_loop()
        self.call_id = f"swarm-{self.number}-{random.getrandbits(48):x}"
        self._sip, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self._rtp, _ = await loop.create_datagram_endpoint(lambda: _Ear(self), local_addr=("127.0.0.1", 0))
        invite = self._request("INVITE", f"sip:{self.user}@{self.target[0]}:{self.target[1]}", self._description())
        for attempt in range(_TRIES):
            self._send(invite)
            try:
                await asyncio.wait_for(self._answered.wait(), _T1_S * 2**attempt)
                return
            except TimeoutError:
                continue

    async def end(self) -> bool:
        """Hang up; whether somebody answered."""
        if self.code == 200 and not self.ended_at:
            self._sequence += 1
            bye = self._request("BYE", self.contact)
            for _ in range(4):
                self._send(bye)
                try:
                    await asyncio.wait_for(self._said_bye.wait(), 1.0)
                    break
                except TimeoutError:
                    continue
        for transport in (self._sip, self._rtp):
            if transport is not None:
                transport.close()
        return self._said_bye.is_set()

    @property
    def stands(self) -> bool:
        return self.code == 200 and not self.ended_at

    def tick(self) -> None:
        """Send one packet."""
        if self._remote is None or self.ended_at:
            return
        self._rtp_sequence = (self._rtp_sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + 160) & 0xFFFFFFFF
        head = struct.pack("!BBHII", 0x80, 0, self._rtp_sequence, self._timestamp, self._ssrc)
        self._rtp.sendto(head + (_TONE if self.talks else _SILENCE), self._remote)

    def silence_over(self, begin: float, end: float) -> float:
        """The longest time in this span in which nothing audible came."""
        moments = [begin, *(at for at in self.heard_at if begin < at < end), end]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = data.decode(errors="replace")
        if message.startswith("SIP/2.0"):
            self._receive_response(message)
        else:
            self._receive_request(message)

    def _receive_response(self, message: str) -> None:
        code, method = int(message[8:11]), _header(message, "CSeq").split()[-1]
        if code < 200:
            return
        if method == "BYE":
            self._said_bye.set()
            return
        if method != "INVITE":
            return
        self._to = _header(message, "To")
        if code == 200:
            self._take(message)
            self._routes = list(reversed(re.findall(r"(?im)^Record-Route\s*:\s*(.*?)\r$", message)))
            self._send(self._request("ACK", self.contact))
        else:
            self._send(self._request("ACK", f"sip:{self.user}@{self.target[0]}:{self.target[1]}"))
        if not self.code:
            self.code, self.answered_at = code, time.monotonic()
            self._answered.set()

    def _receive_request(self, message: str) -> None:
        method = message.partition(" ")[0]
        if method == "ACK":
            return
        body = ""
        if method == "INVITE":
            self._take(message)
            self.moved_at.append(time.monotonic())
            body = self._description()
        elif method == "BYE":
            self.ended_at = self.ended_at or time.monotonic()
        copied = "".join(re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", message))
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self._send(
            f"SIP/2.0 200 OK\r\n{copied}Contact: {self._contact()}\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _take(self, message: str) -> None:
        found = re.search(r"<([^>]+)>", _header(message, "Contact"))
        if found is not None:
            self.contact = found[1]
        media = re.search(r"m=audio (\d+)", message)
        host = re.search(r"c=IN IP4 (\S+)", message)
        if media is not None and host is not None:
            self._remote = (host[1], int(media[1]))

    def _description(self) -> str:
        port = self._rtp.get_extra_info("sockname")[1]
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )

    def _contact(self) -> str:
        return f"<sip:swarm@127.0.0.1:{self._sip.get_extra_info('sockname')[1]}>"

    def _request(self, method: str, uri: str, body: str = "") -> str:
        here = self._sip.get_extra_info("sockname")[1]
        routes = "".join(f"Route: {route}\r\n" for route in self._routes)
        kind = "Content-Type: application/sdp\r\n" if body else ""
        to = self._to or f"<sip:{self.user}@{self.target[0]}:{self.target[1]}>"
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{here};rport;branch=z9hG4bK{random.getrandbits(48):x}\r\n"
            f"{routes}From: <sip:caller{self.number}@127.0.0.1>;tag=swarm{self.number}\r\nTo: {to}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {self._sequence} {method}\r\nContact: {self._contact()}\r\n"
            f"Max-Forwards: 70\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _send(self, message: str) -> None:
        """To the proxy that it began with, or, where none records its route, to whom it talks."""
        target = self.target
        found = re.search(r"@?([\d.]+):(\d+)", self.contact)
        if not self._routes and self.contact and not message.startswith("SIP") and found is not None:
            target = (found[1], int(found[2]))
        if message.startswith("SIP"):
            via = re.search(r"(?im)^Via:\s*SIP/2.0/UDP\s+([\d.]+):(\d+)", message)
            target = target if via is None else (via[1], int(via[2]))
        self._sip.sendto(message.encode(), target)


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, call: SwarmCall) -> None:
        self._call = call

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._call.packets += 1
        if len(data) >= 172 and _MAGNITUDE[np.frombuffer(data, np.uint8, 160, 12)].mean() > _LOUD:
            self._call.heard_at.append(time.monotonic())


class CallerSwarm:
    """An async context manager: inside it all calls send their packets."""

    def __init__(self) -> None:
        self.calls: list[SwarmCall] = []
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(call.end() for call in self.calls))
        if self._ticking is not None:
            self._ticking.cancel()

    async def call(
        self, count: int, user: str, target: tuple[str, int], *, per_s: float = 20.0, talks: bool = True
    ) -> list[SwarmCall]:
        """So many more calls, so many a second; all of them, once each has its final response or none."""
        begun = []
        made = []
        for _ in range(count):
            one = SwarmCall(len(self.calls), user, target, talks)
            self.calls.append(one)
            made.append(one)
            begun.append(asyncio.create_task(one.begin()))
            await asyncio.sleep(1 / per_s)
        await asyncio.gather(*begun)
        return made

    async def _tick(self) -> None:
        due = time.monotonic()
        while True:
            for call in self.calls:
                call.tick()
            due += _FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
