# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of lists: in one form, and never a number that nobody has written."""

import pytest

from gateway.campaigns.numbers import normalised, zones_of
from gateway.errors import BadAddress

BERLIN = "+493090182001"


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("+49 30 9018-2001", None, BERLIN),
        ("030/90182001", "DE", BERLIN),
        ("(030) 90182001", "DE", BERLIN),
        ("+49 (0)30 90182001", "DE", BERLIN),
        ("0049 30 90182001", "DE", BERLIN),
        ("011 49 30 90182001", "US", BERLIN),
        ("'+493090182001", None, BERLIN),
        ("\u202a+49 30 90182001\u202c", None, BERLIN),
        ("\uff0b493090182001", None, BERLIN),
        ("\u0660\u0663\u0660\u0669\u0660\u0661\u0668\u0662\u0660\u0660\u0661", "DE", BERLIN),
        ("tel:+493090182001", None, BERLIN),
        ("(212) 555-2368", "US", "+12125552368"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("SIP:Ann@Example.COM;transport=tcp", None, "sip:Ann@example.com;transport=tcp"),
    ],
)
def test_whatever_way_it_is_written_it_is_the_same_number(written: str, region: str | None, number: str) -> None:
    assert normalised(written, region) == number
    assert normalised(number, region) == number


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("493090182001.0", "a spreadsheet has rounded"),  # the library would dial +4930901820010, which is a number
        ("+493090182001.0", "a spreadsheet has rounded"),
        ("4.93012E+11", "a spreadsheet has rounded"),
        ("4,93012e+11", "a spreadsheet has rounded"),
        ("old: 030 90182001", "no telephone number"),  # it would skip the word
        ("call 030-90182001 after six", "no telephone number"),
        ("030 90182001 / 030 90182002", "no telephone number"),
        ("030 90182001, 030 90182002", "no telephone number"),
        ("=1+2", "no telephone number"),
        ("+1212555", "too short"),
        ("030 90182001#12", "extension"),
        ("112", "not given to anybody"),
        ("+999 123456789", "no telephone number"),
        ("\ud800", "no telephone number"),
        ("sip:secret user@host", "no SIP URI"),
        ("", "there is no number"),
        ("1" * 300, "longer than any number"),
    ],
)
def test_what_is_no_number_is_refused_without_being_repeated(written: str, told: str) -> None:
    with pytest.raises(BadAddress, match=told) as raised:
        normalised(written, "DE")
    assert len(written) < 4 or written not in str(raised.value)


def test_a_number_tells_the_zones_in_which_it_may_be() -> None:
    assert zones_of(BERLIN) == "Europe/Berlin"
    assert "Asia/Kamchatka" in zones_of("+79161234567").split()
    assert zones_of("+80012345678") == ""
    assert zones_of("sip:ann@example.com") == ""
