# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own SRTP derives the keys of RFC 3711 appendix B.3."""

import pytest

from tests.srtp import BadSrtp, SrtpKey

_MASTER = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6")


def test_session_keys_are_those_of_the_rfc() -> None:
    key = SrtpKey(_MASTER)
    assert key._derive("key", 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert key._derive("salt", 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert key._derive("auth", 20).hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


def test_a_packet_comes_back_and_a_changed_one_does_not() -> None:
    key = SrtpKey.parse(SrtpKey.random().line())
    packet = bytes.fromhex("8000000700000010cafebabe") + b"twenty milliseconds"
    secret = key.protect(packet)
    assert key.unprotect(secret) == packet
    assert packet[12:] not in secret
    with pytest.raises(BadSrtp):
        key.unprotect(secret[:-1] + bytes([secret[-1] ^ 1]))
