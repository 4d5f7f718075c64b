# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay on loopback between callers and a gateway: SIP passes untouched but for the media's addresses, RTP suffers.

Callers dial the relay's port in place of the gateway's. In the session descriptions that pass, it puts ports of its
own (RFC 4566: m=, c= and a=rtcp lines), so both ends send their media to it. Requests inside the dialog go to the
Contact, and so past the relay: what they carry (a re-INVITE) is not rewritten.

    caller ── near ─ line ─ far ── gateway      RTP each way on a line of its own; RTCP passes unless asked

The relay is a process of its own, so that no other work makes packets late: it waits until absolute deadlines and does
nothing else. When its standard input ends, it delivers what is under way and ends, too.
"""

import contextlib
import heapq
import itertools
import json
import math
import re
import select
import socket
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.network.impairment import Line, Network, Tally

_ANYBODY = "*"
_MOST_BYTES = 4096
_LAST_WAIT_S = 5.0
"""At most, for packets that are still under way when the relay is to end."""
PACKET_RECORD = struct.Struct("<ddH")
"""A caller's RTP packet: when it came, when it was delivered (monotonic seconds), its sequence number."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What calls to one user part go through."""

    uplink: Network = field(default_factory=Network)
    """From the caller to the gateway."""
    downlink: Network = field(default_factory=Network)
    seed: str = "1"
    rtcp: bool = False
    """RTCP suffers, too."""
    log: bool = False
    """Write the uplink's packets down (`Relay.packets`)."""

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Self:
        """From JSON."""
        networks = {name: Network(**_tuples(values[name])) for name in ("uplink", "downlink")}
        return cls(**{**values, **networks})


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "blackouts": tuple(tuple(one) for one in values["blackouts"])}


class Relay:
    """The relay process; inside `with` it runs, afterwards `tallies` and `packets` tell what happened.

    `plans` are by user part of the request URI, "*" for every other one.
    """

    def __init__(self, gateway_port: int, plans: dict[str, Plan], folder: Path | None = None) -> None:
        self._spec = {
            "gateway_port": gateway_port,
            "plans": {user: asdict(plan) for user, plan in plans.items()},
            "folder": str(folder or ""),
        }
        self._folder = folder
        self.sip_port = 0
        self.tallies: dict[str, tuple[Tally, Tally]] = {}
        """Uplink and downlink by user part, all its calls together."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.network.relay"]
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._spec) + "\n")
        self._process.stdin.flush()
        self.sip_port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        out, _err = self._process.communicate()
        if out:
            self.tallies = {user: (Tally(**up), Tally(**down)) for user, (up, down) in json.loads(out).items()}

    def packets(self, user: str) -> list[tuple[float, float, int]]:
        """The RTP packets of the user's caller that were delivered (`PACKET_RECORD`), in that order."""
        assert self._folder is not None
        return list(PACKET_RECORD.iter_unpack((self._folder / f"{user}.packets").read_bytes()))


@dataclass(slots=True)
class _Socket:
    """One of the relay's sockets: what it receives goes out of `partner`, to the partner's peer, over `line`."""

    socket: socket.socket
    line: Line | None
    peer: tuple[str, int] | None = None
    partner: "_Socket | None" = None
    log: bytearray | None = None

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port


@dataclass(slots=True)
class _Call:
    """A call's sockets, (RTP, RTCP) each: `near` the caller has, `far` the gateway."""

    caller: tuple[str, int]
    near: tuple[_Socket, _Socket]
    far: tuple[_Socket, _Socket]


class _RelayProcess:
    def __init__(self, gateway_port: int, plans: dict[str, Plan], folder: str) -> None:
        self._gateway = ("127.0.0.1", gateway_port)
        self._plans = plans
        self._folder = folder
        self._sip = _bound()
        self._epoll = select.epoll()
        self._sockets: dict[int, _Socket] = {}
        self._calls: dict[str, _Call] = {}
        self._lines: dict[str, list[tuple[Line, Line]]] = {}
        self._logs: dict[str, bytearray] = {}
        self._due: list[tuple[float, int, _Socket, bytes, float]] = []
        self._ties = itertools.count()
        self._ends_at = math.inf

    def run(self) -> None:
        self._epoll.register(self._sip.fileno(), select.EPOLLIN)
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        print(self._sip.getsockname()[1], flush=True)
        while True:
            came = self._wait()
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, sender, packet, came_at = heapq.heappop(self._due)
                self._deliver(sender, packet, came_at)
            if now > self._ends_at or (self._closing and not came and not self._due):
                break
        self._report()

    @property
    def _closing(self) -> bool:
        return self._ends_at < math.inf

    def _wait(self) -> bool:
        """Until something comes or is due; whether something came. (epoll itself would round up to milliseconds.)"""
        idle_s = 0.0 if self._closing else 1.0
        timeout_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else idle_s
        select.select([self._epoll.fileno()], [], [], timeout_s)
        ready = self._epoll.poll(0)
        for descriptor, _ in ready:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                if descriptor == sys.stdin.fileno():
                    self._epoll.unregister(descriptor)
                    self._ends_at = time.monotonic() + _LAST_WAIT_S
                elif descriptor == self._sip.fileno():
                    self._receive_sip(*self._sip.recvfrom(65536))
                else:
                    receiver = self._sockets[descriptor]
                    self._receive_media(receiver, receiver.socket.recv(_MOST_BYTES))
        return bool(ready)

    def _receive_media(self, receiver: _Socket, packet: bytes) -> None:
        sender, line = receiver.partner, receiver.line
        assert sender is not None
        now = time.monotonic()
        for at in (now,) if line is None else line.fate(now):
            if at <= now:
                self._deliver(sender, packet, now)
            else:
                heapq.heappush(self._due, (at, next(self._ties), sender, packet, now))

    def _deliver(self, sender: _Socket, packet: bytes, came_at: float) -> None:
        if sender.peer is None:
            return
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            sender.socket.sendto(packet, sender.peer)
        if sender.log is not None and len(packet) >= 12:
            sender.log += PACKET_RECORD.pack(came_at, time.monotonic(), int.from_bytes(packet[2:4], "big"))

    # Signalling

    def _receive_sip(self, message: bytes, source: tuple[str, int]) -> None:
        head, _, body = message.partition(b"\r\n\r\n")
        text = head.decode("utf-8", "surrogateescape")
        found = re.search(r"(?im)^(?:Call-ID|i)\s*:\s*(\S+)", text)
        if found is None:
            return
        is_request = not text.startswith("SIP/2.0")
        call = self._calls.get(found[1])
        if call is None and text.startswith("INVITE "):
            call = self._calls[found[1]] = self._new_call(source, _user_of(text))
        if call is None:
            return
        if body and re.search(r"(?im)^(?:Content-Type|c)\s*:\s*application/sdp", text):
            ours, theirs = (call.far, call.near) if is_request else (call.near, call.far)
            body = _readdress(body.decode("utf-8", "surrogateescape"), ours, theirs).encode("utf-8", "surrogateescape")
            text = re.sub(r"(?im)^(Content-Length|l)\s*:\s*\d+", f"Content-Length: {len(body)}", text)
        self._sip.sendto(
            text.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body, self._gateway if is_request else call.caller
        )

    def _new_call(self, caller: tuple[str, int], user: str) -> _Call:
        plan = self._plans.get(user) or self._plans[_ANYBODY]
        lines = self._lines.setdefault(user, [])
        seed = f"{plan.seed}/{len(lines)}"
        up, down = Line(plan.uplink, f"{seed}/up"), Line(plan.downlink, f"{seed}/down")
        lines.append((up, down))
        log = self._logs.setdefault(user, bytearray()) if plan.log else None
        pairs = []
        for line in (up, down):
            rtp, rtcp = _bound_pair()
            # A line of its own, so that reports do not shift the packets' fates.
            control = Line(line.network, f"{line.seed}/rtcp") if plan.rtcp else None
            pairs.append((_Socket(rtp, line), _Socket(rtcp, control)))
        near, far = pairs
        far[0].log = log
        for one, other in zip(near, far, strict=True):
            one.partner, other.partner = other, one
        for end in (*near, *far):
            self._sockets[end.socket.fileno()] = end
            self._epoll.register(end.socket.fileno(), select.EPOLLIN)
        return _Call(caller, near, far)

    def _report(self) -> None:
        for user, log in self._logs.items():
            Path(self._folder, f"{user}.packets").write_bytes(log)
        sums = {
            user: [_sum(direction) for direction in zip(*lines, strict=True)] for user, lines in self._lines.items()
        }
        print(json.dumps(sums), flush=True)


def _sum(lines: tuple[Line, ...]) -> dict[str, int]:
    tallies = [asdict(line.tally) for line in lines]
    return {name: sum(tally[name] for tally in tallies) for name in tallies[0]}


def _user_of(text: str) -> str:
    found = re.match(r"INVITE sips?:([^@;>\s]*)@", text)
    return found[1] if found else ""


def _readdress(description: str, ours: tuple[_Socket, _Socket], theirs: tuple[_Socket, _Socket]) -> str:
    """Put our ports in, and note where the one who wrote this wants its media: `theirs` send there."""
    address = re.search(r"(?m)^c=IN IP4 ([\d.]+)", description)
    rtp = re.search(r"(?m)^m=audio (\d+)", description)
    rtcp = re.search(r"(?m)^a=rtcp:(\d+)", description)
    if address is None or rtp is None or rtp[1] == "0":
        return description
    theirs[0].peer = (address[1], int(rtp[1]))
    theirs[1].peer = (address[1], int(rtcp[1]) if rtcp else int(rtp[1]) + 1)
    description = re.sub(r"(?m)^m=audio \d+", f"m=audio {ours[0].port}", description)
    description = re.sub(r"(?m)^a=rtcp:\d+.*?(\r?)$", rf"a=rtcp:{ours[1].port} IN IP4 127.0.0.1\1", description)
    return re.sub(r"(?m)^c=IN IP4 [\d.]+", "c=IN IP4 127.0.0.1", description)


def _bound(port: int = 0) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.bind(("127.0.0.1", port))
    return one


def _bound_pair() -> tuple[socket.socket, socket.socket]:
    """An even port and the one above it (RFC 3550 section 11)."""
    while True:
        rtp = _bound()
        port = rtp.getsockname()[1]
        if port % 2 == 0:
            with contextlib.suppress(OSError):
                return rtp, _bound(port + 1)
        rtp.close()


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    plans = {user: Plan.parse(values) for user, values in spec["plans"].items()}
    _RelayProcess(spec["gateway_port"], plans, spec["folder"]).run()


if __name__ == "__main__":
    main()
