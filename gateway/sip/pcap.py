# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages as a capture file that Wireshark and sngrep read: each in a UDP datagram of its own.

What came over TCP or TLS has no packet to show: the gateway saw it decrypted and put together.
"""

import ipaddress
import struct
from collections.abc import Iterable

from gateway.sip.signalling import SipMessage

_MAGIC = 0xA1B2C3D4
_LINKTYPE_RAW = 101
"""Packets begin with the IP header (https://www.tcpdump.org/linktypes.html)."""
_SNAPLEN = 65535
_UDP = 17
_HOPS = 64


def capture_file(messages: Iterable[SipMessage]) -> bytes:
    """A file of the classic format (draft-ietf-opsawg-pcap)."""
    parts = [struct.pack("!IHHiIII", _MAGIC, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW)]
    for message in messages:
        packet = _packet(message)
        parts.append(
            struct.pack("!IIII", message.at_us // 1_000_000, message.at_us % 1_000_000, len(packet), len(packet))
        )
        parts.append(packet)
    return b"".join(parts)


def address_and_port(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Of `192.0.2.1:5060` or `[2001:db8::1]:5060`; what is neither is 0.0.0.0 and port 0."""
    host, _, port = text.rpartition(":")
    try:
        return ipaddress.ip_address(host.strip("[]")), int(port)
    except ValueError:
        return ipaddress.IPv4Address(0), 0


def _packet(message: SipMessage) -> bytes:
    local, peer = address_and_port(message.local), address_and_port(message.peer)
    (source, source_port), (target, target_port) = (local, peer) if message.sent else (peer, local)
    body = message.text.encode()[: _SNAPLEN - 48]
    length = 8 + len(body)
    if source.version == 6 or target.version == 6:
        source_bytes, target_bytes = _as_ipv6(source), _as_ipv6(target)
        pseudo = source_bytes + target_bytes + struct.pack("!IHBB", length, 0, 0, _UDP)
        head = struct.pack("!IHBB", 0x60000000, length, _UDP, _HOPS) + source_bytes + target_bytes
    else:
        pseudo = source.packed + target.packed + struct.pack("!BBH", 0, _UDP, length)
        bare = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, _HOPS, _UDP, 0) + source.packed + target.packed
        head = bare[:10] + struct.pack("!H", _checksum(bare)) + bare[12:]
    datagram = struct.pack("!HHHH", source_port, target_port, length, 0) + body
    checksum = _checksum(pseudo + datagram) or 0xFFFF
    return head + datagram[:6] + struct.pack("!H", checksum) + body


def _as_ipv6(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
