# SPDX-License-Identifier: GPL-3.0-or-later
"""Refer-To and Replaces are a stranger's text: read exactly, or refused."""

import pytest

from gateway.sip.referral import ReferralError, ReferTo, Replaces, contacts_of, referred_by


def test_a_replaces_is_read_whatever_the_order_of_its_tags() -> None:
    found = Replaces.parse("425928@phone.example.org ; from-tag=6472;to-tag=7743;early-only;x=1")
    assert found == Replaces("425928@phone.example.org", "7743", "6472", early_only=True)
    assert Replaces.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a@b",
        "a@b;to-tag=1",
        "a@b;to-tag=1;from-tag=",
        "a@b;to-tag=1;to-tag=2;from-tag=3",
        "a b;to-tag=1;from-tag=2",
        "a@b;to-tag=1;from-tag=2\r\nX: y",
        f"{'a' * 501};to-tag=1;from-tag=2",
    ],
)
def test_what_is_no_replaces_is_refused(text: str) -> None:
    with pytest.raises(ReferralError):
        Replaces.parse(text)


def test_a_refer_to_names_whom_to_call_and_in_whose_place() -> None:
    to = ReferTo.parse(
        '"Bob" <sip:200@pbx.example:5080;method=INVITE?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2&X=y>;p=1'
    )
    assert to == ReferTo("sip:200@pbx.example:5080", Replaces("a@b", "1", "2"))
    assert ReferTo.parse("sip:200@pbx.example;tag=1") == ReferTo("sip:200@pbx.example")
    assert ReferTo.parse("<tel:+498912345>") == ReferTo("tel:+498912345")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://192.0.2.7/",
        "<sip:a@b;method=BYE>",
        "<sip:a@b?Replaces=x>",
        "<sip:a@b?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>",
        "<sip:a@b?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2%0D%0AX%3Ay>",
    ],
)
def test_what_is_no_refer_to_is_refused(text: str) -> None:
    with pytest.raises(ReferralError):
        ReferTo.parse(text)


def test_a_referred_by_is_handed_on_when_it_fits_in_a_line() -> None:
    assert referred_by("<sip:anna@pbx.example>") == "<sip:anna@pbx.example>"
    assert referred_by("<sip:a>\r\nX: y") == ""
    assert referred_by("a" * 501) == ""


def test_contacts_of_a_redirection_come_in_the_order_of_their_quality() -> None:
    values = [
        '"A, b" <sip:a@x.example:5070;transport=tcp>;q=0.2, <sip:b@x.example>',
        "<mailto:a@b>, sip:c@x.example;q=0.5",
    ]
    assert contacts_of(values) == (
        "sip:b@x.example",
        "sip:c@x.example",
        "sip:a@x.example:5070;transport=tcp",
    )
    assert len(contacts_of([", ".join(f"<sip:{number}@x.example>" for number in range(50))])) == 10
