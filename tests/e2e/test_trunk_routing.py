# SPDX-License-Identifier: GPL-3.0-or-later
"""Outgoing calls find their trunk, and another way when one fails; what costs too much does not go out at all."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.e2e.dns_server import DnsServer
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller
from tests.e2e.sip_server import SipServer


class Carriers(NamedTuple):
    """What the gateway is connected to."""

    gateway: GatewayProcess
    cheap: SipServer
    spare: SipServer
    """Where the cheap one's calls go when it fails."""
    dear: SipServer
    named: SipServer
    """First of the two that stand behind one name."""
    second: SipServer
    registrar: SipServer
    dns: DnsServer


@pytest.fixture(scope="module")
def carriers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carriers]:
    with ExitStack() as stack:
        cheap, spare, dear, named, second, registrar = (stack.enter_context(SipServer()) for _ in range(6))
        registrar.expires_s = 6  # PJSIP registers anew 5 s before the end
        zone = {
            ("SRV", "_sip._udp.carrier.test."): [
                f"20 0 {second.port} b.carrier.test.",
                f"10 0 {named.port} a.carrier.test.",
            ],
            ("SRV", "_sip._udp.registrar.test."): [f"1 0 {registrar.port} a.carrier.test."],
            ("A", "a.carrier.test."): ["127.0.0.1"],
            ("A", "b.carrier.test."): ["127.0.0.1"],
        }
        dns = stack.enter_context(DnsServer(zone))
        folder = tmp_path_factory.mktemp("routing")
        gateway = GatewayProcess(
            folder,
            f"""
[[route]]
action = "echo"
[[trunk]]
name = "dear"
host = "{dear.host}"
match = '(\\+49|6)\\d+'
cost = 2.0
failover_s = 1
max_calls = 2
[[trunk]]
name = "cheap"
host = "{cheap.host}"
backup_hosts = ["{spare.host}"]
match = '\\+\\d+'
cost = 1.0
options_s = 1
failover_s = 1
deny_destinations = ["+1900"]
[[trunk]]
name = "named"
host = "carrier.test"
match = '8\\d+'
failover_s = 1
[[trunk]]
name = "refusing"
host = "127.0.0.1:1"
transport = "tcp"
match = '6\\d+'
[[trunk]]
name = "registered"
host = "registrar.test"
match = '7\\d+'
username = "alice"
password = "secret"
register = true
""",
            record=False,
        )
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace("[http]", f'nameservers = ["{dns.address}"]\n[http]', 1))
        yield Carriers(stack.enter_context(gateway), cheap, spare, dear, named, second, registrar, dns)


@pytest.fixture(autouse=True)
def all_is_well(carriers: Carriers) -> Iterator[None]:
    """Before each test every server takes calls, has seen none, and is known to live."""
    failures = [f'parley_trunk_failures_total{{sip_code="{code}",trunk="cheap"}}' for code in (408, 503)]
    before = [_metric(carriers, one) for one in failures]
    yield
    for one in (carriers.cheap, carriers.spare, carriers.dear, carriers.named, carriers.second):
        one.codes["INVITE"], one.codes["OPTIONS"], one.first = 200, 200, 0
        one.requests.clear()
    if [_metric(carriers, one) for one in failures] != before:
        # They rest until they have answered; the second OPTIONS comes when the first one's answer is known.
        wait_for(lambda: all(len(one.got("OPTIONS")) > 1 for one in (carriers.cheap, carriers.spare)), "OPTIONS")
    for one in (carriers.cheap, carriers.spare):
        one.requests.clear()


def _up(carriers: Carriers, trunk: str) -> float:
    return _metric(carriers, f'parley_trunk_up{{trunk="{trunk}"}}')


def _metric(carriers: Carriers, name: str) -> float:
    lines = carriers.gateway.page("/metrics").splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


def _dial(carriers: Carriers, to: str) -> str:
    placed = carriers.gateway.post("/calls", _order(to))
    assert placed.status_code == 201, placed.text
    call_id: str = placed.json()["call_id"]
    return call_id


def _order(to: str) -> dict[str, object]:
    return {"to": to, "agent": "receptionist", "timeout_s": 20}


def _answered(carriers: Carriers, server: SipServer, call_id: str) -> str:
    """The INVITE with which the server got this call, once it stands; then it is hung up."""
    wait_for(lambda: server.got("ACK"), "an answered call")
    carriers.gateway.post(f"/calls/{call_id}/hangup")
    wait_for(lambda: server.got("BYE"), "its end")
    return server.got("INVITE")[0]


def test_the_cheapest_trunk_that_fits_the_number_gets_it(carriers: Carriers) -> None:
    invite = _answered(carriers, carriers.cheap, _dial(carriers, "+4930123456"))
    assert invite.startswith(f"INVITE sip:+4930123456@{carriers.cheap.host} ")
    assert "\nRoute:" not in invite
    assert not carriers.dear.got("INVITE")


def test_a_call_goes_on_to_the_next_host_and_the_next_trunk(carriers: Carriers) -> None:
    carriers.cheap.codes["INVITE"] = 503
    carriers.spare.codes["INVITE"] = None
    call_id = _dial(carriers, "+4930123456")
    _answered(carriers, carriers.dear, call_id)
    assert len(carriers.cheap.got("INVITE")) == len(carriers.spare.got("INVITE")) == 1
    assert len(carriers.dear.got("INVITE")) == 1
    session = carriers.gateway.newest_session()
    assert session["call_id"] == call_id
    assert session["end_reason"] == "api"
    kinds = [event["kind"] for event in carriers.gateway.get(f"/events?call_id={call_id}&after=0")["events"]]
    assert kinds.count("call.dialing") == kinds.count("call.answered") == kinds.count("call.ended") == 1


def test_a_connection_that_cannot_be_made_sends_the_call_elsewhere(carriers: Carriers) -> None:
    invite = _answered(carriers, carriers.dear, _dial(carriers, "6100"))
    assert invite.startswith(f"INVITE sip:6100@{carriers.dear.host} ")
    assert _metric(carriers, 'parley_trunk_failures_total{sip_code="503",trunk="refusing"}') >= 1


def test_while_dns_is_silent_everything_else_goes_on(carriers: Carriers) -> None:
    carriers.dns.is_silent = True
    try:
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(carriers.gateway.post, "/calls", _order("sip:x@nobody.test:5060"))
            wait_for(lambda: ("A", "nobody.test.") in carriers.dns.questions, "the question")
            with RawCaller(carriers.gateway.sip_port) as caller:
                assert caller.invite("echo").code == 200
                assert caller.bye("echo").code == 200
            assert not waiting.done()
            assert waiting.result().json()["type"].endswith("bad-address")
    finally:
        carriers.dns.is_silent = False


def test_a_refusal_that_is_meant_ends_the_call(carriers: Carriers) -> None:
    carriers.cheap.codes["INVITE"] = 486
    _dial(carriers, "+4930123456")
    assert carriers.gateway.newest_session()["end_reason"] == "sip_486"
    assert not carriers.spare.got("INVITE")
    assert not carriers.dear.got("INVITE")


def test_a_call_that_has_rung_stays_where_it_is(carriers: Carriers) -> None:
    carriers.cheap.codes["INVITE"], carriers.cheap.first = 503, 180
    _dial(carriers, "+4930123456")
    assert carriers.gateway.newest_session()["end_reason"] == "sip_503"
    assert not carriers.spare.got("INVITE")


def test_a_server_that_has_said_something_is_waited_for(carriers: Carriers) -> None:
    carriers.cheap.codes["INVITE"], carriers.cheap.first = None, 100
    call_id = _dial(carriers, "+4930123456")
    wait_for(lambda: carriers.cheap.got("INVITE"), "the INVITE")
    time.sleep(1.5)  # longer than failover_s
    assert not carriers.spare.got("INVITE")
    carriers.cheap.codes["INVITE"] = 200
    carriers.gateway.post(f"/calls/{call_id}/hangup")


def test_hanging_up_while_nobody_answers_ends_it_everywhere(carriers: Carriers) -> None:
    for one in (carriers.cheap, carriers.spare, carriers.dear):
        one.codes["INVITE"] = None
    call_id = _dial(carriers, "+4930123456")
    wait_for(lambda: carriers.spare.got("INVITE"), "the second host's INVITE")
    carriers.gateway.post(f"/calls/{call_id}/hangup")
    session = carriers.gateway.newest_session()
    assert (session["call_id"], session["end_reason"]) == (call_id, "api")
    assert not carriers.dear.got("INVITE")


def test_a_name_leads_to_its_servers_in_the_order_of_dns(carriers: Carriers) -> None:
    invite = _answered(carriers, carriers.named, _dial(carriers, "8100"))
    assert invite.startswith("INVITE sip:8100@carrier.test ")
    assert not carriers.second.got("INVITE")
    carriers.named.codes["INVITE"] = 500
    _answered(carriers, carriers.second, _dial(carriers, "8100"))
    assert carriers.dns.questions.count(("SRV", "_sip._udp.carrier.test.")) == 1


def test_a_server_that_was_silent_is_left_alone_for_a_while(carriers: Carriers) -> None:
    carriers.named.codes["INVITE"] = None
    _answered(carriers, carriers.second, _dial(carriers, "8100"))
    carriers.named.requests.clear()
    carriers.second.requests.clear()
    _answered(carriers, carriers.second, _dial(carriers, "8100"))
    assert not carriers.named.got("INVITE")


def test_a_trunk_whose_servers_are_gone_comes_last_until_they_are_back(carriers: Carriers) -> None:
    for one in (carriers.cheap, carriers.spare):
        one.codes["OPTIONS"] = one.codes["INVITE"] = None
    wait_for(lambda: _up(carriers, "cheap") == 0, "the trunk's fall")
    call_id = _dial(carriers, "+4930123456")
    _answered(carriers, carriers.dear, call_id)
    assert not carriers.cheap.got("INVITE")
    for one in (carriers.cheap, carriers.spare):
        one.codes["OPTIONS"] = one.codes["INVITE"] = 200
        one.requests.clear()
    wait_for(lambda: _up(carriers, "cheap") == 1, "its return")
    wait_for(lambda: len(carriers.cheap.got("OPTIONS")) > 1, "the return of its first server")
    carriers.dear.requests.clear()
    _answered(carriers, carriers.cheap, _dial(carriers, "+4930123456"))
    assert not carriers.dear.got("INVITE")


@pytest.mark.parametrize(
    "to",
    [
        "+19005550100",
        "sip:+19005550100@{cheap}",
        "sip:+19005550100@localhost:{port}",
        "sip:+19005550100@127.0.0.1.:{port}",
        "tel:+1-900-555-0100",
    ],
)
def test_a_premium_number_that_is_denied_sends_no_invite(carriers: Carriers, to: str) -> None:
    refused = carriers.gateway.post("/calls", _order(to.format(cheap=carriers.cheap.host, port=carriers.cheap.port)))
    assert refused.status_code == 403, refused.text
    assert refused.json()["type"].endswith("destination-barred")
    assert "900" not in refused.text
    assert not carriers.cheap.got("INVITE")
    assert _metric(carriers, 'parley_trunk_barred_total{bar="destination",trunk="cheap"}') >= 1


def test_no_more_calls_go_out_than_a_trunk_may_have(carriers: Carriers) -> None:
    placed = [carriers.gateway.post("/calls", {**_order("+4930123456"), "profile": "dear"}) for _ in range(3)]
    assert [one.status_code for one in placed] == [201, 201, 503]
    for one in placed[:2]:
        carriers.gateway.post(f"/calls/{one.json()['call_id']}/hangup")
    wait_for(lambda: _metric(carriers, 'parley_trunk_calls{trunk="dear"}') == 0, "their end")
    assert len(carriers.dear.got("INVITE")) == 2


def test_a_registration_that_is_lost_takes_the_trunk_down_until_it_is_regained(carriers: Carriers) -> None:
    """The registrar stands behind a name that only DNS knows: PJSIP itself would have asked the system."""
    registered = 'parley_trunk_registered{trunk="registered"}'
    wait_for(lambda: _metric(carriers, registered) == 1, "the registration")
    carriers.registrar.once["REGISTER"] = 503
    wait_for(lambda: ("trunk_down", "registration") in _told(carriers, "registered"), "its loss", 20)
    wait_for(lambda: _told(carriers, "registered")[-1] == ("trunk_up", "registration"), "its return", 20)
    wait_for(lambda: _metric(carriers, registered) == _up(carriers, "registered") == 1, "its metrics")


def _told(carriers: Carriers, trunk: str) -> list[tuple[str, str]]:
    """What the log says of a trunk's health: event and cause."""
    lines = [json.loads(line) for line in carriers.gateway.log.read_text().splitlines() if line.startswith("{")]
    return [(one["event"], one["cause"]) for one in lines if one.get("trunk") == trunk and "cause" in one]


def test_a_far_end_that_redirects_to_a_premium_number_causes_no_invite(carriers: Carriers) -> None:
    carriers.cheap.codes["INVITE"] = 302
    for contact in (f"sip:+19005550100@{carriers.cheap.host}", f"sip:+19005550100@{carriers.dear.host}"):
        carriers.cheap.contact = contact
        _dial(carriers, "+4930123456")
        assert carriers.gateway.newest_session()["end_reason"].startswith("sip_")
    invites = [one for server in carriers[1:6] for one in server.got("INVITE")]
    assert not [one for one in invites if "900555" in one]
