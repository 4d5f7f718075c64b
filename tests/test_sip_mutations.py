# SPDX-License-Identifier: GPL-3.0-or-later
"""Bent messages are the same for the same seed, and bent."""

from tests.sip_mutations import SipMutations

_VIA = "Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK1\r\n"


def test_a_seed_gives_the_same_messages_again() -> None:
    first, second = SipMutations(7), SipMutations(7)
    assert [first.message(_VIA) for _ in range(300)] == [second.message(_VIA) for _ in range(300)]
    assert SipMutations(8).message(_VIA) != SipMutations(7).message(_VIA)


def test_bent_messages_differ_and_fit_into_a_datagram() -> None:
    mutations = SipMutations(1)
    messages = [mutations.message(_VIA) for _ in range(2000)]
    assert len(set(messages)) > 1990
    assert max(map(len, messages)) <= 60_100
    assert sum(b"z9hG4bK1" in message for message in messages) > 1000  # most of them can be answered


def test_a_proper_request_is_what_its_content_length_says() -> None:
    head, _, body = SipMutations(1).proper("INVITE", _VIA).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
