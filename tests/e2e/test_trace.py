# SPDX-License-Identifier: GPL-3.0-or-later
"""What passed on a call, as the session, the command and a collector tell it."""

import json
import socket
from contextlib import closing
from pathlib import Path

from tests.e2e import nursery
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller

LADDER = [
    (False, "INVITE"),
    (True, "100 Trying (INVITE)"),
    (True, "200 OK (INVITE)"),
    (False, "ACK"),
    (False, "BYE"),
    (True, "200 OK (BYE)"),
]


def _trace(gateway: GatewayProcess, *arguments: str) -> str:
    command = ["trace", "last", "--config", str(gateway.config), "--url", f"http://{gateway.http_address}"]
    done = nursery.run([*command, *arguments], 60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_call_has_its_ladder_while_it_runs_and_when_it_is_over(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        hep = f'[trace]\nhep = "127.0.0.1:{collector.getsockname()[1]}"\n[[route]]\naction = "echo"\n'
        with GatewayProcess(tmp_path, hep, record=False) as gateway, RawCaller(gateway.sip_port) as caller:
            assert caller.invite("echo").code == 200
            wait_for(lambda: "ACK" in _trace(gateway), "the ladder of the running call")
            caller.bye("echo")

            def ladder() -> list[tuple[bool, str]]:
                return [(one["sent"], one["summary"]) for one in gateway.newest_session()["sip"]]

            wait_for(lambda: ladder() == LADDER, "the whole ladder")
            messages = json.loads(_trace(gateway, "--json"))
            assert messages[0]["text"].startswith("INVITE sip:echo@")
            assert "m=audio" in messages[0]["text"]
            capture = tmp_path / "call.pcap"
            _trace(gateway, "--pcap", str(capture))
            assert capture.read_bytes().count(b"SIP/2.0 200") == 2
            assert collector.recv(65535)[:4] == b"HEP3"
        # Written to the store, not only remembered.
        with GatewayProcess(tmp_path, hep, record=False) as gateway:
            assert ladder() == LADDER
