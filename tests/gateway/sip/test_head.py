# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads of messages as they come: folded, short-named, and broken."""

from gateway.sip.head import MessageHead


def test_headers_come_in_their_order_and_as_they_were_written() -> None:
    head = MessageHead.parse("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nx-One:  1 \r\nX-ONE:2\r\n")
    assert head.start_line == "INVITE sip:a@b SIP/2.0"
    assert head.request_uri == "sip:a@b"
    assert head.headers == (("Via", "SIP/2.0/UDP x"), ("x-One", "1"), ("X-ONE", "2"))
    assert list(head.all("X-One")) == ["1", "2"]


def test_a_folded_header_is_one() -> None:
    head = MessageHead.parse("INVITE sip:a@b SIP/2.0\r\nSubject: I know\r\n   you're there,\r\n\tpick up\r\nTo: x\r\n")
    assert head.first("Subject") == "I know you're there, pick up"
    assert head.first("To") == "x"


def test_short_names_are_found_by_their_long_ones() -> None:
    head = MessageHead.parse("INVITE sip:a@b SIP/2.0\nf: <sip:anna@b>\nm: <sip:anna@192.0.2.9>\n")
    assert head.first("From") == "<sip:anna@b>"
    assert head.first("contact") == "<sip:anna@192.0.2.9>"
    assert head.first("User-Agent") == ""


def test_what_is_no_header_is_left_out() -> None:
    head = MessageHead.parse("INVITE\r\n folded onto nothing\r\nno colon\r\n: no name\r\nTo: x\r\n")
    assert head.headers == (("To", "x"),)
    assert head.request_uri == ""
