# SPDX-License-Identifier: GPL-3.0-or-later
"""The router's address outside: found out by STUN, and changed while a call stands."""

import re
from pathlib import Path

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import Answer
from tests.e2e.sip_server import SipServer
from tests.simulators.stun import StunServer

FIRST, SECOND = "203.0.113.5", "198.51.100.9"
_SETTINGS = """
[[trunk]]
name = "carrier"
host = "{host}"
auth = "register"
username = "parley"
password = "right horse"
[[route]]
action = "echo"
"""


def _registrations(carrier: SipServer) -> list[tuple[str, str]]:
    """Host of the Contact, and Expires, of each REGISTER."""
    found = []
    for text in carrier.got("REGISTER"):
        request = Answer(0, text)
        contact = re.search(r"@([\d.]+)[:;>]", request.header("Contact"))
        assert contact is not None, text
        found.append((contact[1], request.header("Expires")))
    return found


def _says(invite: str, address: str) -> bool:
    request = Answer(0, invite)
    return (
        f"\r\nc=IN IP4 {address}\r\n" in invite
        and f"@{address}:" in request.header("Contact")
        and f"UDP {address}:" in request.header("Via")
    )


def test_a_new_address_is_told_to_registrars_to_calls_that_stand_and_to_new_ones(tmp_path: Path) -> None:
    with StunServer("") as stun, SipServer() as carrier:
        sip = f'stun = "127.0.0.1:{stun.port}"\nstun_s = 1'
        with GatewayProcess(tmp_path, _SETTINGS.format(host=carrier.host), record=False, sip=sip) as gateway:
            wait_for(lambda: _registrations(carrier), "the registration though STUN is silent")
            stun.address = FIRST
            wait_for(lambda: _registrations(carrier)[-1] == (FIRST, "300"), "that with the address outside")
            call_id = gateway.post("/calls", {"to": "4930555", "profile": "carrier"}).json()["call_id"]
            wait_for(lambda: gateway.get(f"/calls/{call_id}")["state"] == "active", "the call")
            (invite,) = carrier.got("INVITE")
            assert _says(invite, FIRST), invite
            stun.address = SECOND
            wait_for(lambda: _registrations(carrier)[-1] == (SECOND, "300"), "the new registration")
            home = ("127.0.0.1", "300"), ("127.0.0.1", "0")
            assert _registrations(carrier) == [*home, (FIRST, "300"), (FIRST, "0"), (SECOND, "300")]
            wait_for(lambda: len(carrier.got("INVITE")) == 2, "the re-INVITE")
            again = carrier.got("INVITE")[1]
            assert Answer(0, again).header("Call-ID") == Answer(0, invite).header("Call-ID")
            assert _says(again, SECOND), again
            assert gateway.get(f"/calls/{call_id}")["state"] == "active"
            other = gateway.post("/calls", {"to": "4930556", "profile": "carrier"}).json()["call_id"]
            wait_for(lambda: len(carrier.got("INVITE")) == 3, "another call")
            assert _says(carrier.got("INVITE")[2], SECOND)
            said = gateway.log.read_text()
            assert said.count("public_address_changed") == 2
            assert said.count("stun_failed") == 1
            for one in (call_id, other):
                gateway.post(f"/calls/{one}/hangup")
