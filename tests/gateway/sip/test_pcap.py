# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture files, read back byte by byte as the format says."""

import struct

import pytest

from gateway.sip.pcap import capture_file
from gateway.sip.signalling import SipMessage


def _packets(capture: bytes) -> list[tuple[int, int, bytes]]:
    magic, major, minor, _, _, _, link = struct.unpack_from("!IHHiIII", capture)
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101)
    found, at = [], 24
    while at < len(capture):
        seconds, microseconds, kept, length = struct.unpack_from("!IIII", capture, at)
        assert kept == length
        found.append((seconds, microseconds, capture[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return found


def _sum(data: bytes) -> int:
    """0xFFFF for data that carries its right checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _message(*, sent: bool, local: str, peer: str) -> SipMessage:
    return SipMessage(1_700_000_000_000_123, sent, "UDP", local, peer, "one", "ACK é\r\n")


@pytest.mark.parametrize("sent", [True, False])
def test_a_message_over_ipv4(sent: bool) -> None:
    message = _message(sent=sent, local="192.0.2.1:5060", peer="198.51.100.9:40000")
    ((seconds, microseconds, packet),) = _packets(capture_file([message]))

    assert (seconds, microseconds) == (1_700_000_000, 123)
    assert packet[0] == 0x45
    assert struct.unpack_from("!H", packet, 2)[0] == len(packet)
    assert _sum(packet[:20]) == 0xFFFF
    ends = [(bytes([192, 0, 2, 1]), 5060), (bytes([198, 51, 100, 9]), 40000)]
    ports = struct.unpack_from("!HHH", packet, 20)
    assert [(packet[12:16], ports[0]), (packet[16:20], ports[1])] == (ends if sent else ends[::-1])
    assert ports[2] == len(packet) - 20
    assert _sum(packet[12:20] + struct.pack("!BBH", 0, 17, ports[2]) + packet[20:]) == 0xFFFF
    assert packet[28:].decode() == message.text


def test_a_message_over_ipv6() -> None:
    message = _message(sent=True, local="[2001:db8::1]:5060", peer="[2001:db8::9]:5061")
    ((_, _, packet),) = _packets(capture_file([message]))

    assert packet[0] >> 4 == 6
    length = struct.unpack_from("!H", packet, 4)[0]
    assert length == len(packet) - 40
    assert packet[8:24].hex() == "20010db8000000000000000000000001"
    assert _sum(packet[8:40] + struct.pack("!IHBB", length, 0, 0, 17) + packet[40:]) == 0xFFFF


def test_an_address_that_is_none_does_no_harm() -> None:
    ((_, _, packet),) = _packets(capture_file([_message(sent=True, local="pstn.example.com:5060", peer="")]))
    assert packet[12:20] == bytes(8)
