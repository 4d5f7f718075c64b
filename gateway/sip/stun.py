# SPDX-License-Identifier: GPL-3.0-or-later
"""What a STUN server is asked and answers (RFC 8489): the address that our datagrams have outside."""

import struct
from ipaddress import IPv4Address

from gateway.errors import StunError

STUN_PORT = 3478
TRANSACTION_BYTES = 12
_HEADER = struct.Struct("!HHI12s")
_COOKIE = 0x2112A442
_BINDING_REQUEST, _BINDING_SUCCESS = 0x0001, 0x0101
_MAPPED_ADDRESS, _XOR_MAPPED_ADDRESS = 0x0001, 0x0020
_IPV4 = 1


def binding_request(transaction: bytes) -> bytes:
    """A Binding request (section 14); `transaction`: twelve random bytes."""
    return _HEADER.pack(_BINDING_REQUEST, 0, _COOKIE, transaction)


def mapped_address(datagram: bytes, transaction: bytes) -> IPv4Address:
    """The address in the answer to that request: XOR-MAPPED-ADDRESS (section 14.2), or MAPPED-ADDRESS of servers before
    RFC 5389. Raises `StunError`."""
    if len(datagram) < _HEADER.size:
        raise StunError(f"{len(datagram)} bytes are no STUN message")
    kind, length, cookie, answered = _HEADER.unpack_from(datagram)
    if cookie != _COOKIE or answered != transaction:
        raise StunError("it answers another question")
    if kind != _BINDING_SUCCESS:
        raise StunError(f"the server refuses: message type 0x{kind:04x}")
    body = datagram[_HEADER.size : _HEADER.size + length]
    if len(body) != length:
        raise StunError("it is cut off")
    attributes = _attributes(body)
    for number, mask in ((_XOR_MAPPED_ADDRESS, _COOKIE), (_MAPPED_ADDRESS, 0)):
        value = attributes.get(number, b"")
        if len(value) == 8 and value[1] == _IPV4:
            return _reachable(IPv4Address(int.from_bytes(value[4:]) ^ mask))
    raise StunError("it names no IPv4 address")


def _reachable(address: IPv4Address) -> IPv4Address:
    """`c=IN IP4 0.0.0.0` would put every call on hold (RFC 3264 section 8.4), and the others lead to nobody."""
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_reserved:
        raise StunError(f"{address} is nobody's address")
    return address


def _attributes(body: bytes) -> dict[int, bytes]:
    """The first of each type, values padded to four bytes (section 14)."""
    found: dict[int, bytes] = {}
    while len(body) >= 4:
        number, length = struct.unpack_from("!HH", body)
        found.setdefault(number, body[4 : 4 + length])
        body = body[4 + (length + 3) // 4 * 4 :]
    return found
