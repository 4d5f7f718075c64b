# SPDX-License-Identifier: GPL-3.0-or-later
"""Far ends that send us elsewhere (REFER, 302) or take another's place (Replaces): as far as their trunk may."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import SILENCE, Answer, RawCaller

_VOICE = b"\x10" * 160


class Line(NamedTuple):
    gateway: GatewayProcess
    pbx: RawCaller
    """The trunk's server."""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, int]]:
    with ExitStack() as stack:
        place = stack.enter_context(RawCaller(0))
        port = place.sip.getsockname()[1]
        gateway = GatewayProcess(
            tmp_path_factory.mktemp("referral"),
            f"""
[[route]]
action = "echo"
[[trunk]]
name = "pbx"
host = "127.0.0.1:{port}"
allow = ["127.0.0.1"]
refer_in = true
refer_out = false
replaces = true
redirects = true
trust_identity = true
failover_codes = []
""",
        )
        place.sip.close()
        stack.enter_context(gateway)
        yield gateway, port


@pytest.fixture
def line(process: tuple[GatewayProcess, int]) -> Iterator[Line]:
    gateway, port = process
    with RawCaller(gateway.sip_port) as pbx:
        pbx.sip.close()
        pbx.sip = RawCaller.socket_at("127.0.0.1", port)
        yield Line(gateway, pbx)
    for call in gateway.get("/calls")["calls"]:
        gateway.post(f"/calls/{call['call_id']}/hangup")
    wait_for(lambda: not gateway.get("/calls")["calls"], "the end of the calls")


@contextlib.contextmanager
def _caller(gateway: GatewayProcess, address: str = "127.0.0.1") -> Iterator[RawCaller]:
    with RawCaller(gateway.sip_port, address) as caller:
        assert caller.invite("echo").code == 200
        yield caller


def _is_echoed(party: RawCaller, timeout_s: float = 5.0) -> bool:
    """Whether what the party says comes back to it."""
    deadline = time.monotonic() + timeout_s
    party.packets()
    while time.monotonic() < deadline:
        party.speak(_VOICE)
        time.sleep(0.02)
        if any(_VOICE[0] in payload for _, payload in party.hear()):
            return True
    return False


def _refer(caller: RawCaller, to: str, more: str = "") -> Answer:
    caller.sequence += 1
    caller.send("REFER", "echo", headers=f"Refer-To: <{to}>\r\n{more}")
    return caller.final("REFER")


def _last_notify(caller: RawCaller) -> str:
    while True:
        notify = caller.request("NOTIFY")
        caller.respond(notify, 200)
        if "terminated" in notify:
            return notify


def test_the_call_goes_on_with_whom_a_refer_names(line: Line) -> None:
    with _caller(line.gateway) as caller:
        assert _is_echoed(caller)
        by = "Referred-By: <sip:anna@pbx.example>\r\n"
        assert _refer(caller, f"sip:200@127.0.0.1:{line.pbx.sip.getsockname()[1]}", by).code == 202
        invite = line.pbx.request("INVITE")
        assert invite.startswith("INVITE sip:200@")
        assert Answer(0, invite).header("Referred-By") == "<sip:anna@pbx.example>"
        line.pbx.accept(invite)
        notify = _last_notify(caller)
        assert "\r\n\r\nSIP/2.0 200" in notify
        assert _is_echoed(line.pbx)
        caller.respond(caller.request("BYE"), 200)
        (call,) = line.gateway.get("/calls")["calls"]
        assert call["state"] == "active"


def test_the_call_goes_on_also_when_the_one_who_sent_it_does_not_wait(line: Line) -> None:
    with _caller(line.gateway) as caller:
        assert _refer(caller, "tel:+498912345").code == 202
        invite = line.pbx.request("INVITE")
        assert caller.bye("echo").code == 200
        line.pbx.accept(invite)
        assert _is_echoed(line.pbx)


def test_a_refer_may_name_the_dialog_whose_place_the_call_is_to_take(line: Line) -> None:
    with _caller(line.gateway) as caller:
        to = f"sip:200@127.0.0.1:{line.pbx.sip.getsockname()[1]}?Replaces=a%40b%3Bto-tag%3D7%3Bfrom-tag%3D8"
        assert _refer(caller, to).code == 202
        invite = line.pbx.request("INVITE")
        assert Answer(0, invite).header("Replaces") == "a@b;to-tag=7;from-tag=8"
        assert "?" not in invite.partition("\r\n")[0]
        line.pbx.accept(invite)
        assert "\r\n\r\nSIP/2.0 200" in _last_notify(caller)
        assert _is_echoed(line.pbx)


def test_who_is_refused_by_the_other_keeps_the_call(line: Line) -> None:
    with _caller(line.gateway) as caller:
        assert _refer(caller, "tel:+498912345").code == 202
        invite = line.pbx.request("INVITE")
        line.pbx.respond(invite, 486, "Busy Here")
        assert "SIP/2.0 486" in _last_notify(caller)
        assert _is_echoed(caller)


def _transfer(gateway: GatewayProcess, to: str) -> str:
    """Transfer the one call there is; its id."""
    wait_for(lambda: [one["activity"] for one in gateway.get("/calls")["calls"]] == ["echo"], "the call's activity")
    (call,) = gateway.get("/calls")["calls"]
    assert gateway.post(f"/calls/{call['call_id']}/transfer", {"to": to}).status_code == 202
    return str(call["call_id"])


def _has_gone(gateway: GatewayProcess, call_id: str, status: str) -> bool:
    transfer = gateway.get(f"/calls/{call_id}")["transfer"]
    return transfer is not None and transfer["status"] == status


def test_through_a_trunk_that_takes_no_refer_whom_the_call_is_for_is_called_and_bridged(line: Line) -> None:
    with _caller(line.gateway) as caller:
        call_id = _transfer(line.gateway, "+498912345")
        line.pbx.accept(line.pbx.request("INVITE"))
        wait_for(lambda: _has_gone(line.gateway, call_id, "completed"), "the transfer")
        deadline = time.monotonic() + 5
        while not any(_VOICE[0] in payload for _, payload in line.pbx.hear()):
            assert time.monotonic() < deadline, "whom the call is for hears nothing of the caller"
            caller.speak(_VOICE)
            line.pbx.speak(SILENCE)
            time.sleep(0.02)
        assert line.gateway.get(f"/calls/{call_id}")["state"] == "active"
        with pytest.raises(TimeoutError):
            caller.request("REFER", timeout_s=0.2)


def test_whom_a_bridged_transfer_is_for_may_be_busy(line: Line) -> None:
    with _caller(line.gateway) as caller:
        call_id = _transfer(line.gateway, "+498912345")
        line.pbx.respond(line.pbx.request("INVITE"), 486, "Busy Here")
        wait_for(lambda: _has_gone(line.gateway, call_id, "failed"), "the transfer's failure")
        assert line.gateway.get(f"/calls/{call_id}")["transfer"]["sip_code"] == 486
        assert _is_echoed(caller)


def test_nobody_is_sent_where_it_costs_nor_by_whom_it_may_not(line: Line) -> None:
    with _caller(line.gateway) as caller:
        for to in ("tel:+19005550100", f"sip:+449012345@127.0.0.1:{line.pbx.sip.getsockname()[1]}", "sip:x@192.0.2.7"):
            assert _refer(caller, to).code == 403
        assert _refer(caller, "http://192.0.2.7/").code == 400
        assert _is_echoed(caller)
    with _caller(line.gateway, "127.0.0.2") as stranger:
        assert _refer(stranger, "tel:+498912345").code == 403
    with pytest.raises(TimeoutError):
        line.pbx.request("INVITE", 0.3)


def test_a_call_takes_another_ones_place(line: Line) -> None:
    with _caller(line.gateway) as caller, RawCaller(line.gateway.sip_port) as other:
        assert _is_echoed(caller)
        ours = caller.peer.partition("tag=")[2]
        other.send("INVITE", "echo", other.offer(), f"Replaces: {caller.call_id};to-tag={ours};from-tag=raw\r\n")
        assert other.acknowledge("echo").code == 200
        caller.respond(caller.request("BYE"), 200)
        assert _is_echoed(other)
        assert len(line.gateway.get("/calls")["calls"]) == 1
        assert other.bye("echo").code == 200
    session = line.gateway.newest_session()
    assert session["end_reason"] == "caller_hung_up"


def test_nobody_takes_a_place_that_is_not_theirs_to_take(line: Line) -> None:
    with _caller(line.gateway) as caller:
        ours = caller.peer.partition("tag=")[2]
        for address, replaces, code in (
            ("127.0.0.1", f"{caller.call_id};to-tag=guessed;from-tag=raw", 481),
            ("127.0.0.1", f"{caller.call_id};to-tag={ours}", 400),
            ("127.0.0.1", f"{caller.call_id};to-tag={ours};from-tag=raw;early-only", 486),
            ("127.0.0.2", f"{caller.call_id};to-tag={ours};from-tag=raw", 403),
        ):
            with RawCaller(line.gateway.sip_port, address) as thief:
                thief.send("INVITE", "echo", thief.offer(), f"Replaces: {replaces}\r\n")
                assert thief.acknowledge("echo").code == code
                thief.send("ACK", "echo")
        assert _is_echoed(caller)


def test_a_redirection_is_followed_as_far_as_it_may_be(line: Line) -> None:
    here = line.pbx.sip.getsockname()[1]
    for number, contacts in (
        ("+498911", f"Contact: <sip:+19005550100@127.0.0.1:{here}>, <sip:300@127.0.0.1:{here}>\r\n"),
        ("+498922", "Contact: <sip:300@192.0.2.7>\r\n"),
    ):
        placed = line.gateway.post("/calls", {"to": number, "agent": "receptionist"})
        assert placed.status_code == 201, placed.text
        invite = line.pbx.request("INVITE")
        line.pbx.respond(invite, 302, "Moved Temporarily", contacts)
        if "300@127" in contacts:
            assert line.pbx.request("INVITE").startswith("INVITE sip:300@127.0.0.1")
        else:
            session = line.gateway.newest_session()
            assert session["end_reason"] == "sip_302"


def test_what_an_invite_says_is_metadata_and_what_an_order_says_is_sent(line: Line) -> None:
    with RawCaller(line.gateway.sip_port) as caller:
        caller.send(
            "INVITE",
            "echo",
            caller.offer(),
            "X-Customer: 4711\r\nUser-to-User: 56a3;encoding=hex\r\nIdentity: a.b.c;info=<https://c.example/c>\r\n"
            "P-Asserted-Identity: <tel:+498912345;verstat=TN-Validation-Passed>\r\n",
        )
        assert caller.acknowledge("echo").code == 200
        (call,) = line.gateway.get("/calls")["calls"]
        told = call["metadata"]
        assert told["sip.x-customer"] == "4711"
        assert told["sip.user-to-user"] == "56a3;encoding=hex"
        assert told["sip.identity"] == "a.b.c;info=<https://c.example/c>"
        assert told["sip.verstat"] == "TN-Validation-Passed"
    order = {
        "to": "+498933",
        "agent": "receptionist",
        "headers": {"X-Campaign": "spring", "User-to-User": "56a3;encoding=hex"},
    }
    line.gateway.post("/calls", order)
    invite = Answer(0, line.pbx.request("INVITE"))
    assert invite.header("X-Campaign") == "spring"
    assert invite.header("User-to-User") == "56a3;encoding=hex"
    line.pbx.respond(invite.text, 486, "Busy Here")


def test_what_we_do_not_do_is_refused_and_not_said_to_be_done(line: Line) -> None:
    with _caller(line.gateway) as caller:
        for method, headers, code in (
            ("MESSAGE", "", 405),
            ("PUBLISH", "Event: presence\r\n", 405),
            ("SUBSCRIBE", "Event: presence\r\nExpires: 60\r\n", 489),
        ):
            caller.sequence += 1
            caller.send(method, "echo", "hello" if method == "MESSAGE" else "", headers, "text/plain")
            answer = caller.final(method)
            assert answer.code == code, answer.text
        caller.sequence += 1
        caller.send("OPTIONS", "echo")
        allow = caller.final("OPTIONS").header("Allow")
        assert "INVITE" in allow
        assert "REFER" in allow
        assert not {"MESSAGE", "SUBSCRIBE", "PUBLISH"} & set(allow.replace(" ", "").split(","))
        assert _is_echoed(caller)


def test_nor_outside_a_call(line: Line) -> None:
    for method in ("MESSAGE", "PUBLISH", "REFER", "SUBSCRIBE"):
        with RawCaller(line.gateway.sip_port) as caller:
            caller.send(method, "echo", headers="Refer-To: <sip:x@127.0.0.9>\r\nEvent: presence\r\n")
            answer = caller.final(method)
            assert answer.code == 405
            assert "INVITE" in answer.header("Allow")
