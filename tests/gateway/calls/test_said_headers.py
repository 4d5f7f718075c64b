# SPDX-License-Identifier: GPL-3.0-or-later
"""What an INVITE says besides who calls whom becomes metadata, bounded, and believed only of trusted trunks."""

from gateway.calls.said_headers import metadata_of


def test_headers_of_the_senders_own_and_how_a_call_came_are_told() -> None:
    headers = [
        ("X-Customer", "4711"),
        ("user-to-user", "56a3;encoding=hex"),
        ("History-Info", "<sip:a@b>;index=1"),
        ("history-info", "<sip:c@d>;index=1.1"),
        ("y", "a.b.c;info=<https://c.example>"),
        ("User-Agent", "somebody"),
    ]
    assert metadata_of(headers, trusted=False) == {
        "sip.x-customer": "4711",
        "sip.user-to-user": "56a3;encoding=hex",
        "sip.history-info": "<sip:a@b>;index=1, <sip:c@d>;index=1.1",
        "sip.identity": "a.b.c;info=<https://c.example>",
    }


def test_only_a_trusted_trunk_says_whether_the_number_is_true() -> None:
    headers = [("P-Asserted-Identity", "<sip:+49891@c.example;verstat=TN-Validation-Passed-A;user=phone>")]
    assert metadata_of(headers, trusted=False) == {}
    assert metadata_of(headers, trusted=True)["sip.verstat"] == "TN-Validation-Passed-A"


def test_a_flood_of_headers_is_cut() -> None:
    found = metadata_of([(f"X-{number}", "v" * 5000) for number in range(100)], trusted=False)
    assert len(found) == 30
    assert {len(value) for value in found.values()} == {1024}
