# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that come twice, or never (RFC 3261 section 17): SIPp hides them from its scenarios, so these are raw."""

import re

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller


def _calls(gateway: GatewayProcess) -> int:
    return len(gateway.get("/calls")["calls"])


def test_an_invite_that_comes_again_is_answered_again_and_is_no_second_call(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.send("INVITE", "manual", caller.offer())
        first = caller.provisional()
        caller.resend()
        again = caller.provisional()
        assert (first.code, first.header("To")) == (again.code, again.header("To")) == (180, again.header("To"))
        wait_for(lambda: _calls(gateway) == 1, "one call, and the end of those before")
        caller.send("CANCEL", "manual")
        assert caller.final("INVITE").code == 487
    wait_for(lambda: _calls(gateway) == 0, "the end of the call")


def test_a_200_comes_until_its_ack_does(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        caller.send("INVITE", "echo", caller.offer())
        answers = [caller.final("INVITE") for _ in range(3)]
        assert {answer.code for answer in answers} == {200}
        assert len({answer.header("To") for answer in answers}) == 1
        caller.confirm("echo", answers[-1])
        assert caller.bye("echo").code == 200


def test_a_bye_that_comes_again_is_answered_again(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        assert caller.bye("echo").code == 200
        caller.resend()
        assert caller.final("BYE").code == 200


def test_a_bye_of_ours_is_sent_until_it_is_answered(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        call_id = wait_for(lambda: [one for one in gateway.get("/calls")["calls"] if one["state"] == "active"], "it")
        assert gateway.post(f"/calls/{call_id[0]['call_id']}/hangup").status_code == 204
        byes = [caller.request("BYE") for _ in range(3)]
        branches = {re.search(r"branch=([^;\r]+)", bye)[1] for bye in byes}  # type: ignore[index]
        assert len(branches) == 1
        caller.respond(byes[-1], 200)
    wait_for(lambda: _calls(gateway) == 0, "the end of the call")


def test_a_200_that_comes_again_is_acknowledged_again(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as callee:
        address = f"sip:raw@127.0.0.1:{callee.sip.getsockname()[1]}"
        placed = gateway.post("/calls", {"to": address, "play": {"file": "tone.wav", "loop": 0}})
        invite = callee.request("INVITE")
        callee.accept(invite)
        callee.accept(invite)  # as if the ACK had been lost
        with pytest.raises(TimeoutError):
            callee.request("ACK", timeout_s=0.3)
        gateway.post(f"/calls/{placed.json()['call_id']}/hangup")
        callee.respond(callee.request("BYE"), 200)
