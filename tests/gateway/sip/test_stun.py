# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest

from gateway.errors import StunError
from gateway.sip.stun import binding_request, mapped_address
from tests.simulators.stun import success

ID = b"0123456789ab"


def test_a_request_has_nothing_but_its_header() -> None:
    assert binding_request(ID).hex() == "000100002112a442" + ID.hex()


def test_the_example_of_rfc_5769_is_read() -> None:
    """Section 2.2, an IPv4 response: its USERNAME, integrity and fingerprint are nothing to us."""
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    body = (
        "8022000b7465737420766563746f7220002000080001a147e112a643"
        "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
    )
    response = bytes.fromhex("0101003c2112a442") + transaction + bytes.fromhex(body)
    assert str(mapped_address(response, transaction)) == "192.0.2.1"


def test_servers_before_rfc_5389_are_understood() -> None:
    assert str(mapped_address(success(ID, "203.0.113.5", xor=False), ID)) == "203.0.113.5"


@pytest.mark.parametrize(
    ("datagram", "problem"),
    [
        (b"", "0 bytes are no STUN message"),
        (success(b"ba9876543210", "203.0.113.5"), "it answers another question"),
        (b"\x01\x01\x00\x00\x00\x00\x00\x00" + ID, "it answers another question"),
        (b"\x01\x11\x00\x00\x21\x12\xa4\x42" + ID, "the server refuses: message type 0x0111"),
        (success(ID, "203.0.113.5")[:-4], "it is cut off"),
        (b"\x01\x01\x00\x00\x21\x12\xa4\x42" + ID, "it names no IPv4 address"),
        (success(ID, "0.0.0.0"), "0.0.0.0 is nobody's address"),
        (success(ID, "127.0.0.1"), "127.0.0.1 is nobody's address"),
        (success(ID, "224.0.0.1", xor=False), "224.0.0.1 is nobody's address"),
        (success(ID, "255.255.255.255"), "255.255.255.255 is nobody's address"),
        (b"\x01\x01\x00\x08\x21\x12\xa4\x42" + ID + b"\x00\x20\x00\x04\x00\x01\xa1\x47", "it names no IPv4 address"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(datagram: bytes, problem: str) -> None:
    with pytest.raises(StunError, match=problem):
        mapped_address(datagram, ID)


def test_nothing_else_is_raised_whatever_comes() -> None:
    noise = random.Random(8489)
    whole = success(ID, "203.0.113.5")
    for _ in range(2000):
        bent = bytearray(whole[: noise.randrange(len(whole) + 1)])
        for _ in range(noise.randrange(4)):
            if len(bent) > 20:
                bent[noise.randrange(20, len(bent))] = noise.randrange(256)
        try:
            mapped_address(bytes(bent), ID)
        except StunError:
            continue
