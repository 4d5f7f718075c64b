# SPDX-License-Identifier: GPL-3.0-or-later
"""Which From headers are the same caller, and which are nobody."""

import pytest

from gateway.sip.identity import Match, caller_identity, named_caller


@pytest.mark.parametrize(
    ("address", "match", "identity"),
    [
        ("sip:anna@example.com", "uri", "sip:anna@example.com"),
        ('"Anna L." <sip:anna@Example.com:5080;transport=tcp>', "uri", "sip:anna@example.com"),
        ("sips:anna@example.com", "uri", "sip:anna@example.com"),
        ("<sip:+1-555-0100@192.0.2.7>", "uri", "sip:+15550100@192.0.2.7"),
        ("sip:+15550100@192.0.2.7", "number", "tel:+15550100"),
        ("tel:+1-555-0100", "uri", "tel:+15550100"),
        ("sip:anna@example.com", "number", "tel:anna"),
    ],
)
def test_the_same_person_has_the_same_identity(address: str, match: Match, identity: str) -> None:
    assert caller_identity(address, match) == identity


def test_two_people_of_one_switchboard_are_two() -> None:
    assert caller_identity("sip:201@pbx.example", "uri") != caller_identity("sip:202@pbx.example", "uri")
    assert caller_identity("sip:201@pbx.example", "uri") != caller_identity("sip:201@other.example", "uri")


@pytest.mark.parametrize(
    "address",
    [
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
        "sip:Anonymous@192.0.2.7",
        "sip:anna@anonymous.invalid",
        "sip:unknown@192.0.2.7",
        "sip:restricted@192.0.2.7",
        "sip:192.0.2.7",
        "",
        "nonsense",
    ],
)
@pytest.mark.parametrize("match", ["uri", "number"])
def test_withheld_numbers_are_nobody(address: str, match: Match) -> None:
    assert caller_identity(address, match) == ""


@pytest.mark.parametrize(
    ("named", "known", "number"),
    [
        ("sip:anna@192.0.2.7", {"sip:anna@192.0.2.7", "tel:anna"}, ""),
        ("anna@192.0.2.7", {"sip:anna@192.0.2.7", "tel:anna"}, ""),
        ("+15550100", {"tel:+15550100"}, "+15550100"),
        ("tel:+15550100", {"tel:+15550100"}, "+15550100"),
        ("anonymous", set(), ""),
    ],
)
def test_a_caller_whom_somebody_names_is_looked_for_under_all_identities(
    named: str, known: set[str], number: str
) -> None:
    assert named_caller(named) == (frozenset(known), number)
