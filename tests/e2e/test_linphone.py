# SPDX-License-Identifier: GPL-3.0-or-later
"""Linphone as a QA telephone: every transport, encrypted audio, hold, keys, and a call that we place to it.

`test_logins` has it with a name and password, and with DTLS.
"""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.e2e.baresip import share_of_tone
from tests.e2e.certificates import Certificate, self_signed
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.linphone import Linphone


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"), "localhost")


@pytest.fixture(scope="module")
def tls_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def echo(certificate: Certificate, tls_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """By UDP, TCP and TLS, with SRTP for who wants it."""
    sip = f'transports = ["udp", "tcp", "tls"]\ntls_port = {tls_port}\ntls_cert = "{certificate.chain}"\n'
    with GatewayProcess(
        tmp_path_factory.mktemp("echo"),
        '[[route]]\naction = "echo"\n',
        record=False,
        media='srtp = "optional"',
        sip=f'{sip}tls_key = "{certificate.key}"',
    ) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("transport", "encryption", "codec"),
    [
        ("udp", "none", "PCMU"),
        ("tcp", "srtp", "PCMA"),
        ("tls", "srtp", "G722"),
        ("tls", "srtp", "opus"),
    ],
)
def test_it_calls_holds_resumes_presses_keys_and_hears_itself(
    echo: GatewayProcess,
    certificate: Certificate,
    tls_port: int,
    tmp_path: Path,
    transport: str,
    encryption: Literal["none", "srtp"],
    codec: str,
) -> None:
    server = f"localhost:{tls_port}" if transport == "tls" else f"127.0.0.1:{echo.sip_port}"
    telephone = Linphone(tmp_path / "linphone", codec=codec, encryption=encryption, trust=certificate.chain)
    with telephone:
        telephone.dial(f"sip:echo@{server};transport={transport}")
        call_id = echo.sessions()[0]["call_id"]
        _wait_for_audio(echo, call_id)
        telephone.type("pause", "is now paused")
        assert echo.get(f"/calls/{call_id}")["state"] == "held"
        telephone.type("resume", "Media streams established")
        wait_for(lambda: echo.get(f"/calls/{call_id}")["state"] == "active", "the end of the hold")
        telephone.type("5")
        wait_for(lambda: _keys(echo, call_id) == ["5"], "the key")
        _wait_for_audio(echo, call_id)  # Linphone begins its recording anew with every stream
        telephone.type("terminate", "ended")
        wait_for(lambda: share_of_tone(telephone.heard()) > 0.8, "its own voice")
    session = echo.newest_session(lambda session: session["call_id"] == call_id)
    assert (session["codec"], session["end_reason"]) == (codec.upper(), "caller_hung_up")
    answered = echo.get(f"/events?call_id={call_id}&kinds=call.answered")["events"][0]
    assert answered["data"]["srtp"] is (encryption != "none")
    assert {step["transport"] for step in session["sip"]} == {transport.upper()}


def test_it_is_called_and_answers(echo: GatewayProcess, tmp_path: Path) -> None:
    with Linphone(tmp_path / "linphone") as telephone:
        call_id = echo.post("/calls", {"to": telephone.uri, "agent": "receptionist"}).json()["call_id"]
        telephone.answer()
        wait_for(lambda: echo.get(f"/calls/{call_id}")["state"] == "active", "the answer")
        _wait_for_audio(echo, call_id)
        echo.post(f"/calls/{call_id}/hangup")
        telephone.wait("ended")
    assert echo.newest_session(lambda session: session["call_id"] == call_id)["end_reason"] == "api"


def _wait_for_audio(gateway: GatewayProcess, call_id: str) -> None:
    """More than a second of it."""
    before = _received(gateway, call_id)
    wait_for(lambda: _received(gateway, call_id) > before + 60, "audio")


def _received(gateway: GatewayProcess, call_id: str) -> int:
    return int(gateway.get(f"/calls/{call_id}")["quality"]["rx_packets"])


def _keys(gateway: GatewayProcess, call_id: str) -> list[str]:
    events = gateway.get(f"/events?call_id={call_id}&kinds=dtmf.received")["events"]
    return [event["data"]["digit"] for event in events]
