# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages for Homer and others that collect by HEP version 3 (the HEP3 network protocol specification, revision
36): one UDP datagram each."""

import struct

from gateway.sip.pcap import address_and_port
from gateway.sip.signalling import SipMessage

_MOST_BYTES = 65000
_PROTOCOL = {"UDP": 17, "TCP": 6, "TLS": 6}
_SIP = 1


def hep_datagram(message: SipMessage, *, capture_id: int, password: str = "") -> bytes:
    """The datagram of a message. `capture_id` is our number at the collector, `password` what it asks for, if any."""
    local, peer = address_and_port(message.local), address_and_port(message.peer)
    (source, source_port), (target, target_port) = (local, peer) if message.sent else (peer, local)
    is_ipv6 = source.version == 6
    if target.version != source.version:  # an address we do not know: of the same family, all zeros
        target = type(source)(0)
    chunks = [
        _chunk(1, struct.pack("!B", 10 if is_ipv6 else 2)),
        _chunk(2, struct.pack("!B", _PROTOCOL.get(message.transport.rstrip("6"), 17))),
        _chunk(5 if is_ipv6 else 3, source.packed),
        _chunk(6 if is_ipv6 else 4, target.packed),
        _chunk(7, struct.pack("!H", source_port)),
        _chunk(8, struct.pack("!H", target_port)),
        _chunk(9, struct.pack("!I", message.at_us // 1_000_000)),
        _chunk(10, struct.pack("!I", message.at_us % 1_000_000)),
        _chunk(11, struct.pack("!B", _SIP)),
        _chunk(12, struct.pack("!I", capture_id)),
    ]
    if password:
        chunks.append(_chunk(14, password.encode()))
    chunks.append(_chunk(17, message.sip_call_id.encode()[:255]))
    chunks.append(_chunk(15, message.text.encode()[:_MOST_BYTES]))
    body = b"".join(chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def _chunk(kind: int, value: bytes) -> bytes:
    """Vendor 0 (generic), type, length with its own six bytes, value."""
    return struct.pack("!HHH", 0, kind, 6 + len(value)) + value
