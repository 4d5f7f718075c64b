# SPDX-License-Identifier: GPL-3.0-or-later
"""A STUN server (RFC 8489): tells whoever asks an address that the test has chosen, or something worse."""

import socket
import struct
import threading
from ipaddress import IPv4Address
from typing import Self

_COOKIE = 0x2112A442


def success(transaction: bytes, address: str, *, xor: bool = True) -> bytes:
    """A Binding success response with this address, port 4711; `xor=False`: as servers before RFC 5389 say it."""
    port, ip = 4711, int(IPv4Address(address))
    if xor:
        port, ip = port ^ (_COOKIE >> 16), ip ^ _COOKIE
    software = struct.pack("!HH5s3x", 0x8022, 5, b"tests")
    mapped = struct.pack("!HHxBHI", 0x0020 if xor else 0x0001, 8, 1, port, ip)
    body = software + mapped
    return struct.pack("!HHI", 0x0101, len(body), _COOKIE) + transaction + body


class StunServer:
    """UDP on loopback."""

    def __init__(self, address: str) -> None:
        self.address = address
        """What it tells; empty: nothing."""
        self.before: list[bytes] = []
        """Datagrams sent ahead of each answer."""
        self.asked = 0
        self.by: socket.socket | None = None
        """Answers through this socket in place of its own: from a wrong source."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="stun-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, source = self._socket.recvfrom(2048)
            if data == b"stop":
                return
            self.asked += 1
            for datagram in self.before:
                self._socket.sendto(datagram, source)
            if self.address:
                (self.by or self._socket).sendto(success(data[8:20], self.address), source)
