# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 2198 section 3, written from the RFC alone, for peers that are not Parley."""

import struct
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Rtp:
    """A packet (RFC 3550 section 5.1) without extension and contributing sources."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, packet: bytes) -> Self:
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", packet)
        assert first == 0x80, packet
        return cls(second & 0x7F, sequence, timestamp, ssrc, packet[12:])


def unpack(payload: bytes, timestamp: int) -> list[tuple[int, int, bytes]]:
    """Blocks as (payload type, timestamp, data), the primary last."""
    headers: list[tuple[int, int, int]] = []
    at = 0
    while payload[at] & 0x80:
        header = int.from_bytes(payload[at : at + 4])
        headers.append((header >> 24 & 0x7F, header >> 10 & 0x3FFF, header & 0x3FF))
        at += 4
    primary_type = payload[at]
    at += 1
    blocks = []
    for payload_type, offset, size in headers:
        blocks.append((payload_type, (timestamp - offset) & 0xFFFFFFFF, payload[at : at + size]))
        at += size
    assert at <= len(payload)
    return [*blocks, (primary_type, timestamp, payload[at:])]


def pack(payload_type: int, blocks: list[tuple[int, bytes]]) -> bytes:
    """The payload of a packet whose blocks are (samples before this one, data), the primary last."""
    *redundant, (_, primary) = blocks
    headers = b"".join(
        struct.pack("!I", 0x80000000 | payload_type << 24 | offset << 10 | len(data)) for offset, data in redundant
    )
    return headers + bytes([payload_type]) + b"".join(data for _, data in redundant) + primary
