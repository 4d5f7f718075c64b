# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP URIs as they come over the wire and from operators' fingers."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.uri import SipUri, UriError, request_uri_user


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:agent@192.0.2.1", SipUri("sip", "agent", "192.0.2.1")),
        ("sip:agent@pbx.example:5070;transport=tcp", SipUri("sip", "agent", "pbx.example", 5070, ";transport=tcp")),
        ('"Ann; Lee" <sips:+15551234567@EXAMPLE.com>;tag=7', SipUri("sips", "+15551234567", "example.com")),
        ("<sip:agent:secret@host?Subject=x>", SipUri("sip", "agent", "host")),
        ("sip:[2001:db8::1]:5060", SipUri("sip", "", "[2001:db8::1]", 5060)),
        ("tel:+15551234567", SipUri("tel", "+15551234567", "")),
    ],
)
def test_an_address_is_read(text: str, expected: SipUri) -> None:
    assert SipUri.parse(text) == expected


@pytest.mark.parametrize("text", ["", "agent", "http://host/", "sip:", "sip:a b@host", "sip:agent@host:70000", "<sip:"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(UriError, match=r"SIP URI|port"):
        SipUri.parse(text)


@given(
    user=st.from_regex(r"[A-Za-z0-9+*#._-]{1,20}", fullmatch=True),
    host=st.from_regex(r"[a-z0-9]{1,10}(\.[a-z]{2,5}){0,2}", fullmatch=True),
    port=st.none() | st.integers(1, 65535),
)
def test_an_address_survives_being_written_and_read(user: str, host: str, port: int | None) -> None:
    uri = SipUri("sip", user, host, port)
    assert SipUri.parse(str(uri)) == uri


@given(st.text(max_size=200))
def test_no_text_does_worse_than_an_error(text: str) -> None:
    with contextlib.suppress(UriError):
        SipUri.parse(text)
    request_uri_user(text)


@pytest.mark.parametrize(
    ("message", "user"),
    [
        ("INVITE sip:+4930123@host SIP/2.0\r\nVia: x\r\n", "+4930123"),
        ("INVITE sip:host SIP/2.0\r\n", ""),
        ("garbage\r\n", ""),
    ],
)
def test_the_dialled_user_is_that_of_the_request_uri(message: str, user: str) -> None:
    assert request_uri_user(message) == user


@pytest.mark.parametrize(
    "text",
    ["sip:host;x=1@other", "sip:host;x=+449012345@192.0.2.1", "sip:a@host;x=\x01", "sip:a@ho\x00st", "tel:1\x7f2"],
)
def test_what_others_read_differently_is_no_uri(text: str) -> None:
    with pytest.raises(UriError):
        SipUri.parse(text)
