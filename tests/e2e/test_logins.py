# SPDX-License-Identifier: GPL-3.0-or-later
"""People with softphones, from anywhere: `[[user]]` where `sip.strangers` is "nobody", with baresip and Linphone.

127.0.68.1 and further are the addresses of those who get it wrong: they must not have the others banned.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.baresip import Baresip, share_of_tone
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.linphone import Linphone

_TRIES = 2
"""A message without a password, as every login begins, and one with the wrong one."""
_SIP = f'strangers = "nobody"\nexempt = []\ntries = {_TRIES}'
_SETTINGS = """
[[user]]
name = "anna"
password = "horse-battery"
[[route]]
action = "echo"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("logins")
    with GatewayProcess(folder, _SETTINGS, record=False, media='srtp = "optional"', sip=_SIP) as process:
        yield process


def test_baresip_logs_in_again_and_again_and_calls(gateway: GatewayProcess, tmp_path: Path) -> None:
    login = f"anna@127.0.0.1:{gateway.sip_port}"
    with Baresip(tmp_path / "baresip", ";auth_pass=horse-battery", login=login) as telephone:
        telephone.event("REGISTER_OK")
        telephone.dial(gateway.uri("echo"))
        telephone.event("REGISTER_OK")  # the next one, before its time is over
        telephone.command("hangup")
        wait_for(lambda: share_of_tone(telephone.heard()) > 0.9, "its own voice")
    assert gateway.newest_session()["metadata"]["user"] == "anna"


def test_linphone_logs_in_calls_by_dtls_and_logs_out(gateway: GatewayProcess, tmp_path: Path) -> None:
    with Linphone(tmp_path / "linphone", codec="opus", encryption="dtls") as telephone:
        telephone.register("anna", "horse-battery", f"127.0.0.1:{gateway.sip_port}")
        wait_for(telephone.is_registered, "the login")
        telephone.dial(gateway.uri("echo"))
        telephone.wait("encrypted")
        call_id = gateway.sessions()[0]["call_id"]
        wait_for(lambda: gateway.get(f"/calls/{call_id}")["quality"]["rx_packets"] > 60, "audio")
        telephone.type("terminate", "ended")
        wait_for(lambda: share_of_tone(telephone.heard()) > 0.8, "its own voice")
        telephone.type("unregister")
        wait_for(lambda: not telephone.is_registered(), "the end of the login")
        wait_for(lambda: "Expires: 0" in telephone.trace(), "its farewell")
    session = gateway.newest_session(lambda session: session["call_id"] == call_id)
    assert (session["metadata"]["user"], session["codec"]) == ("anna", "OPUS")
    answered = gateway.get(f"/events?call_id={call_id}&kinds=call.answered")["events"][0]
    assert answered["data"]["srtp"] is True


def test_who_guesses_passwords_is_refused_and_then_not_heard_any_more(gateway: GatewayProcess, tmp_path: Path) -> None:
    with Linphone(tmp_path / "linphone", address="127.0.68.1") as telephone:
        telephone.register("anna", "donkey", f"127.0.0.1:{gateway.sip_port}")
        telephone.wait("Password for anna on parley:")
        telephone.write("mule")
        telephone.wait("linphonec>")
        telephone.register("anna", "horse-battery", f"127.0.0.1:{gateway.sip_port}")  # too late
        wait_for(lambda: "127.0.68.1" in _banned(gateway), "the ban")
        assert "SIP/2.0 200" not in telephone.trace()


def test_who_does_not_log_in_is_refused(gateway: GatewayProcess, tmp_path: Path) -> None:
    with Linphone(tmp_path / "linphone", address="127.0.68.2") as telephone:
        telephone.type(f"call {gateway.uri('echo')}", "Password for qa on parley:")
        assert "SIP/2.0 401" in telephone.trace()
    assert gateway.get("/calls")["calls"] == []


def _banned(gateway: GatewayProcess) -> str:
    return "".join(line for line in gateway.log.read_text().splitlines() if "sip_source_banned" in line)
