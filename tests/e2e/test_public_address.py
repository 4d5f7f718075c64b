# SPDX-License-Identifier: GPL-3.0-or-later
"""The router's address outside: found out by STUN, and changed while a call stands."""

import json
import re
import socket
import threading
from itertools import count
from pathlib import Path

from tests.e2e.event_log import open_feed
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
{more}username = "parley"
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
        home = GatewayProcess(tmp_path, _SETTINGS.format(host=carrier.host, more=""), record=False, sip=sip)
        home.config.write_text(home.config.read_text().replace('bind = "127.0.0.1"', 'bind = "0.0.0.0"'))
        with home as gateway, open_feed(gateway, "?kinds=address.changed") as feed:
            feed.recv()  # where it begins
            wait_for(lambda: _registrations(carrier), "the registration though STUN is silent")
            stun.address = FIRST
            wait_for(lambda: _registrations(carrier)[-1] == (FIRST, "300"), "that with the address outside")
            call_id = gateway.post("/calls", {"to": "4930555", "profile": "carrier"}).json()["call_id"]
            wait_for(lambda: gateway.get(f"/calls/{call_id}")["state"] == "active", "the call")
            (invite,) = carrier.got("INVITE")
            assert _says(invite, FIRST), invite
            carrier.once["INVITE"] = 180
            ringing = gateway.post("/calls", {"to": "4930557", "profile": "carrier"}).json()["call_id"]
            wait_for(lambda: len(carrier.got("INVITE")) == 2, "the second call")
            (_, rung) = carrier.got("INVITE")
            stun.address = SECOND
            wait_for(lambda: _registrations(carrier)[-1] == (SECOND, "300"), "the new registration")
            unknown = ("127.0.0.1", "300"), ("127.0.0.1", "0")
            assert _registrations(carrier) == [*unknown, (FIRST, "300"), (FIRST, "0"), (SECOND, "300")]
            wait_for(lambda: len(carrier.got("INVITE")) == 3, "the re-INVITE")
            again = carrier.got("INVITE")[2]
            assert Answer(0, again).header("Call-ID") == Answer(0, invite).header("Call-ID")
            assert _says(again, SECOND), again
            carrier.answer(rung, 200)
            wait_for(lambda: len(carrier.got("INVITE")) == 4, "that of the call that rang meanwhile")
            late = carrier.got("INVITE")[3]
            assert Answer(0, late).header("Call-ID") == Answer(0, rung).header("Call-ID")
            assert (_says(rung, FIRST), _says(late, SECOND)) == (True, True), late
            assert gateway.get(f"/calls/{call_id}")["state"] == "active"
            other = gateway.post("/calls", {"to": "4930556", "profile": "carrier"}).json()["call_id"]
            wait_for(lambda: len(carrier.got("INVITE")) == 5, "another call")
            assert _says(carrier.got("INVITE")[4], SECOND)
            changes = [json.loads(feed.recv(timeout=10)) for _ in range(2)]
            assert [(one["kind"], one["call_id"], one["data"]) for one in changes] == [
                ("address.changed", "", {"address": FIRST, "previous": ""}),
                ("address.changed", "", {"address": SECOND, "previous": FIRST}),
            ]
            said = gateway.log.read_text()
            assert said.count("public_address_changed") == 2
            assert said.count("stun_failed") == 1
            for one in (call_id, ringing, other):
                gateway.post(f"/calls/{one}/hangup")


class _TcpRegistrar:
    """Answers the first REGISTER 503, and the router has another address from then on; all others 200."""

    def __init__(self, stun: StunServer) -> None:
        self.came: list[tuple[int, str]] = []
        """Number of the connection, and host of the Contact, of each REGISTER."""
        self._stun = stun
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="tcp-registrar", daemon=True).start()

    def _accept(self) -> None:
        for number in count():
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(number, connection), daemon=True).start()

    def _serve(self, number: int, connection: socket.socket) -> None:
        received = ""
        while data := connection.recv(65536):
            *requests, received = (received + data.decode()).split("\r\n\r\n")
            for request in filter(str.strip, requests):
                host = re.search(r"(?m)^Contact: .*@([\d.]+)[:;>]", request)
                assert host is not None, request
                self.came.append((number, host[1]))
                is_first = len(self.came) == 1
                self._stun.address = SECOND
                copied = "".join(re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq|Contact): .*?\r\n", request + "\r\n"))
                status = "503 Service Unavailable" if is_first else "200 OK"
                connection.sendall(f"SIP/2.0 {status}\r\n{copied}Expires: 300\r\nContent-Length: 0\r\n\r\n".encode())


def test_a_failed_registration_asks_for_the_address_and_goes_by_a_new_connection(tmp_path: Path) -> None:
    with StunServer(FIRST) as stun:
        registrar = _TcpRegistrar(stun)
        settings = _SETTINGS.format(host=f"127.0.0.1:{registrar.port}", more='transport = "tcp"\n')
        sip = f'stun = "127.0.0.1:{stun.port}"\nstun_s = 3600'
        with GatewayProcess(tmp_path, settings, record=False, sip=sip):
            wait_for(lambda: len(registrar.came) == 2, "the second registration")
            assert registrar.came == [(0, FIRST), (1, SECOND)]
