# SPDX-License-Identifier: GPL-3.0-or-later
"""A lossy way between a browser and a gateway: the browser is told the relay's address in place of the gateway's.

STUN and DTLS pass untouched, RTP and RTCP suffer. ICE takes the relay for a router in between.
"""

import asyncio
import re
import time
from collections.abc import Callable

from tests.network.impairment import Line, Network

_FIRST_MEDIA_BYTE = 128
"""RFC 7983."""


class PacketRelay:
    """One call's. `open`, then rewrite the answer; `close`."""

    def __init__(self, uplink: Network, downlink: Network, seed: str = "1") -> None:
        self.up = Line(uplink, f"{seed}/up")
        self.down = Line(downlink, f"{seed}/down")
        self._near: asyncio.DatagramTransport | None = None
        self._far: asyncio.DatagramTransport | None = None
        self._browser: tuple[str, int] | None = None
        self._gateway = ("", 0)

    async def open(self, address: str) -> None:
        """Both sockets on this address."""
        loop = asyncio.get_running_loop()
        near, _ = await loop.create_datagram_endpoint(lambda: _Side(self._from_browser), local_addr=(address, 0))
        far, _ = await loop.create_datagram_endpoint(lambda: _Side(self._from_gateway), local_addr=(address, 0))
        self._near, self._far = near, far

    def rewrite(self, answer: str) -> str:
        """The answer with our address as the gateway's only one."""
        assert self._near is not None
        host, port = self._near.get_extra_info("sockname")[:2]
        lines, is_ours = [], False
        for line in answer.split("\r\n"):
            found = re.match(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", line)
            if found and not is_ours:
                is_ours, self._gateway = True, (found[1], int(found[2]))
                lines.append(f"a=candidate:relay 1 udp 2130706431 {host} {port} typ host")
            elif not line.startswith("a=candidate:"):
                lines.append(line)
        assert is_ours, "the answer has no IPv4 candidate"
        return "\r\n".join(lines)

    def close(self) -> None:
        for one in (self._near, self._far):
            if one is not None:
                one.close()

    def _from_browser(self, packet: bytes, source: tuple[str, int]) -> None:
        self._browser = source
        self._pass(packet, self.up, self._far, self._gateway)

    def _from_gateway(self, packet: bytes, source: tuple[str, int]) -> None:
        if self._browser is not None:
            self._pass(packet, self.down, self._near, self._browser)

    def _pass(self, packet: bytes, line: Line, out: asyncio.DatagramTransport | None, to: tuple[str, int]) -> None:
        assert out is not None
        now = time.monotonic()
        fates = line.fate(now) if packet[0] >= _FIRST_MEDIA_BYTE else (now,)
        for at in fates:
            if at <= now:
                out.sendto(packet, to)
            else:
                asyncio.get_running_loop().call_later(at - now, out.sendto, packet, to)


class _Side(asyncio.DatagramProtocol):
    """One of the relay's sockets."""

    def __init__(self, receive: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._receive(data, addr)
