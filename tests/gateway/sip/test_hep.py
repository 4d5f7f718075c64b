# SPDX-License-Identifier: GPL-3.0-or-later
"""HEP datagrams, read back chunk by chunk."""

import struct

from gateway.sip.hep import hep_datagram
from gateway.sip.signalling import SipMessage


def _chunks(datagram: bytes) -> dict[int, bytes]:
    assert datagram[:4] == b"HEP3"
    assert struct.unpack_from("!H", datagram, 4)[0] == len(datagram)
    found, at = {}, 6
    while at < len(datagram):
        vendor, kind, length = struct.unpack_from("!HHH", datagram, at)
        assert vendor == 0
        found[kind] = datagram[at + 6 : at + length]
        at += length
    assert at == len(datagram)
    return found


def test_a_message_that_was_sent_by_udp() -> None:
    message = SipMessage(7_000_005, True, "UDP", "192.0.2.1:5060", "198.51.100.9:40000", "one@host", "ACK")
    chunks = _chunks(hep_datagram(message, capture_id=2001, password="secret"))
    assert chunks == {
        1: b"\x02",
        2: b"\x11",
        3: bytes([192, 0, 2, 1]),
        4: bytes([198, 51, 100, 9]),
        7: struct.pack("!H", 5060),
        8: struct.pack("!H", 40000),
        9: struct.pack("!I", 7),
        10: struct.pack("!I", 5),
        11: b"\x01",
        12: struct.pack("!I", 2001),
        14: b"secret",
        15: b"ACK",
        17: b"one@host",
    }


def test_a_message_that_came_by_tls_over_ipv6() -> None:
    message = SipMessage(0, False, "TLS6", "[2001:db8::1]:5061", "[2001:db8::9]:40000", "one", "ACK")
    chunks = _chunks(hep_datagram(message, capture_id=1))
    assert (chunks[1], chunks[2]) == (b"\x0a", b"\x06")
    assert chunks[5].hex().endswith("0009")
    assert chunks[6].hex().endswith("0001")
    assert 14 not in chunks
