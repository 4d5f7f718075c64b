# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is said to call through a trunk, and who is believed to."""

import time

import pytest

from gateway.sip.identity import caller_identity
from gateway.sip.uri import UriError
from gateway.trunks.config import TrunkConfig
from gateway.trunks.identity import Headers, Parties, parties, present

OURS = "+441632960100"
THEIRS = "+441632960123"


def trunk(**fields: object) -> TrunkConfig:
    return TrunkConfig.model_validate({"name": "t", "host": "sip.example.com:5080", "number": OURS, **fields})


def said(trunk: TrunkConfig, caller: str | None, diverted_from: str = "") -> tuple[str, dict[str, str]]:
    presented = present(trunk, caller, diverted_from=diverted_from)
    return presented.from_uri, dict(presented.headers)


def test_from_has_the_caller_in_the_trunks_format_and_domain() -> None:
    assert said(trunk(), THEIRS) == (f"<sip:{THEIRS}@sip.example.com>", {})
    assert said(trunk(number_format="e164"), THEIRS) == ("<sip:441632960123@sip.example.com>", {})
    assert said(trunk(from_domain="acme.example"), "tel:100") == ("<sip:100@acme.example>", {})
    assert said(trunk(number_format="e164"), f"sip:{THEIRS}@other.example") == ("<sip:441632960123@other.example>", {})


def test_nobody_in_particular_is_the_trunks_own_number_or_its_account() -> None:
    assert said(trunk(), None)[0] == f"<sip:{OURS}@sip.example.com>"
    assert said(trunk(number=""), None) == ("", {})


@pytest.mark.parametrize(
    ("caller_id", "name", "value"),
    [
        ("pai", "P-Asserted-Identity", f"<sip:{THEIRS}@sip.example.com>"),
        ("ppi", "P-Preferred-Identity", f"<sip:{THEIRS}@sip.example.com>"),
        ("rpid", "Remote-Party-ID", f"<sip:{THEIRS}@sip.example.com>;party=calling;screen=yes;privacy=off"),
        ("p_charge_info", "P-Charge-Info", f"<sip:{OURS}@sip.example.com>"),
    ],
)
def test_the_header_that_the_trunk_reads_names_the_caller_too(caller_id: str, name: str, value: str) -> None:
    assert said(trunk(caller_id=caller_id), THEIRS) == (f"<sip:{THEIRS}@sip.example.com>", {name: value})


def test_a_withheld_number_is_in_no_header_that_the_callee_sees() -> None:
    address, headers = said(trunk(), "Anonymous")
    assert address == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert headers == {"P-Asserted-Identity": f"<sip:{OURS}@sip.example.com>", "Privacy": "id"}
    assert said(trunk(number=""), "anonymous") == (address, {"Privacy": "id"})
    assert said(trunk(caller_id="rpid"), "anonymous") == (
        address,
        {
            "Remote-Party-ID": f"<sip:{OURS}@sip.example.com>;party=calling;screen=yes;privacy=full",
            "Privacy": "id",
        },
    )


def test_a_trunk_that_hides_the_number_itself_gets_it() -> None:
    assert said(trunk(privacy="id"), "anonymous") == (f"<sip:{OURS}@sip.example.com>", {"Privacy": "id"})


def test_a_call_that_is_passed_on_names_whom_it_was_for_where_the_trunk_wants_that() -> None:
    diversion = {"Diversion": f"<sip:{OURS}@sip.example.com>;reason=unconditional"}
    assert said(trunk(diversion=True), THEIRS, diverted_from=OURS)[1] == diversion
    assert said(trunk(diversion=True), THEIRS)[1] == {}
    assert said(trunk(), THEIRS, diverted_from=OURS)[1] == {}


def test_the_trunks_own_headers_go_with_every_invite() -> None:
    token = {"X-Telnyx-Token": "abc"}
    for caller in (None, THEIRS, "anonymous"):
        assert said(trunk(headers=token), caller)[1].items() >= token.items()


@pytest.mark.parametrize("caller", ["a b@c d", "sip:", "x\r\nVia: y", 'sip:"@', "sip:a@b>;x=<"])
def test_what_cannot_be_said_in_a_header_is_refused_or_escaped(caller: str) -> None:
    try:
        address, headers = said(trunk(caller_id="pai"), caller)
    except UriError:
        return
    assert not set(address + "".join(headers.values())) & set('\r\n"')


FROM = "<sip:anna@phone.example>"
ASSERTED: Headers = (("P-Asserted-Identity", f'"Smith, Anna" <sip:{THEIRS}@carrier.example>, <tel:+15550100>'),)


@pytest.mark.parametrize(
    "value",
    ['"' + '\\"' * 16_000, '<"' * 16_000, "," * 32_000, '"' * 32_001],
    ids=["escapes", "brackets", "commas", "quotes"],
)
def test_a_header_that_is_no_identity_is_read_through_once(value: str) -> None:
    begun = time.process_time()
    found = parties(trunk(trust_identity=True), f"sip:{THEIRS}@x.example", "1", (("P-Asserted-Identity", value),))
    assert found == parties(trunk(trust_identity=True), f"sip:{THEIRS}@x.example", "1", ())
    assert time.process_time() - begun < 1.0, "seven seconds when each quote is looked for from each place"


def test_an_asserted_identity_is_believed_from_a_trusted_trunk_alone() -> None:
    trusted = parties(trunk(trust_identity=True), FROM, "100", ASSERTED)
    assert (trusted.caller, trusted.called) == (THEIRS, "100")
    assert caller_identity(trusted.caller_uri, "uri") == f"sip:{THEIRS}@carrier.example"
    for one in (trunk(), None):
        assert parties(one, FROM, "100", ASSERTED) == Parties("anna", FROM, "100")


def test_numbers_are_brought_to_one_form_for_routes_agents_and_records() -> None:
    headers = (("p-asserted-identity", "<tel:441632960123>"),)
    found = parties(trunk(trust_identity=True, numbers_in="e164", number_strip="9"), FROM, "9441632960100", headers)
    assert found == Parties(THEIRS, f"tel:{THEIRS}", OURS)


def test_a_caller_who_wants_privacy_is_nobody_whatever_else_is_said() -> None:
    for value in ("id", "ID", "user;id", "header", "critical; full"):
        found = parties(trunk(trust_identity=True), FROM, "100", (*ASSERTED, ("Privacy", value)))
        assert (found.caller, caller_identity(found.caller_uri, "uri")) == ("anonymous", "")
    assert parties(trunk(trust_identity=True), FROM, "100", (*ASSERTED, ("Privacy", "none"))).caller == THEIRS


@pytest.mark.parametrize("value", ["", "<", "anonymous", "<sip:anonymous@anonymous.invalid>", '"x" <mailto:a@b>, ,,'])
def test_an_identity_that_names_nobody_leaves_from(value: str) -> None:
    headers = (("P-Asserted-Identity", value),)
    assert parties(trunk(trust_identity=True), FROM, "100", headers) == Parties("anna", FROM, "100")


def test_an_address_without_a_user_or_that_is_none_stays_whole() -> None:
    assert parties(None, "<sip:host.example>", "", ()).caller == "<sip:host.example>"
    assert parties(trunk(), "nonsense", "", ()).caller == "nonsense"
