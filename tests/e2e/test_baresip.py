# SPDX-License-Identifier: GPL-3.0-or-later
"""baresip as a QA telephone: secure signalling and media, hold, keys, and calls that we place to it."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.baresip import Baresip, share_of_tone
from tests.e2e.certificates import Certificate, self_signed
from tests.e2e.gateway_process import GatewayProcess, wait_for


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tls_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def secure(
    certificate: Certificate, tls_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """An echo, by UDP, TCP and TLS, with SRTP for who wants it."""
    gateway = GatewayProcess(
        tmp_path_factory.mktemp("secure"), '[[route]]\naction = "echo"\n', record=False, media='srtp = "optional"'
    )
    tls = f'tls_port = {tls_port}\ntls_cert = "{certificate.chain}"\ntls_key = "{certificate.key}"\n'
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("[sip]\n", f'[sip]\ntransports = ["udp", "tcp", "tls"]\n{tls}'))
    with gateway:
        yield gateway


def _keys(gateway: GatewayProcess, call_id: str) -> list[str]:
    events = gateway.get(f"/events?call_id={call_id}&kinds=dtmf.received")["events"]
    return [event["data"]["digit"] for event in events]


def _packets(gateway: GatewayProcess, call_id: str) -> Callable[[], int]:
    return lambda: int(gateway.get(f"/calls/{call_id}")["quality"]["rx_packets"])


@pytest.mark.parametrize(
    ("transport", "account", "codec"),
    [
        ("udp", "", "PCMU"),
        ("tcp", ";mediaenc=srtp-mand", "PCMA"),
        ("tls", ";mediaenc=srtp-mand", "PCMU"),
        ("tls", ";mediaenc=srtp-mand", "G722"),
        ("tls", ";mediaenc=srtp-mand", "OPUS"),
        ("udp", ";mediaenc=dtls_srtp", "OPUS"),
    ],
)
def test_it_calls_holds_resumes_presses_keys_and_hears_itself(
    secure: GatewayProcess,
    certificate: Certificate,
    tls_port: int,
    tmp_path: Path,
    transport: str,
    account: str,
    codec: str,
) -> None:
    names = {"PCMU": "PCMU/8000/1", "PCMA": "PCMA/8000/1", "G722": "G722/16000/1", "OPUS": "opus/48000/2"}
    port = tls_port if transport == "tls" else secure.sip_port
    telephone = Baresip(
        tmp_path / "baresip",
        f"{account};audio_codecs={names[codec]}",
        trust=certificate.chain,
        rate_hz=16000 if codec in ("G722", "OPUS") else 8000,
    )
    with telephone:
        telephone.dial(f"sip:echo@127.0.0.1:{port};transport={transport}")
        call_id = secure.sessions()[0]["call_id"]
        received = _packets(secure, call_id)
        wait_for(lambda: received() > 75, "a second and a half of audio")
        telephone.command("hold")
        wait_for(lambda: secure.get(f"/calls/{call_id}")["state"] == "held", "the hold")
        telephone.command("resume")
        wait_for(lambda: secure.get(f"/calls/{call_id}")["state"] == "active", "the end of the hold")
        telephone.command("sndcode", "5")
        wait_for(lambda: _keys(secure, call_id) == ["5"], "the key")
        before = received()
        wait_for(lambda: received() > before + 20, "audio after the hold")
        telephone.command("hangup")
        wait_for(lambda: share_of_tone(telephone.heard()) > 0.9, "its own voice")
    session = secure.newest_session(lambda session: session["call_id"] == call_id)
    assert (session["codec"], session["end_reason"]) == (codec, "caller_hung_up")
    answered = secure.get(f"/events?call_id={call_id}&kinds=call.answered")["events"][0]
    assert answered["data"]["srtp"] is bool(account)
    assert {step["transport"] for step in session["sip"]} == {transport.upper()}


def test_it_is_called_and_answers(secure: GatewayProcess, tmp_path: Path) -> None:
    with Baresip(tmp_path / "baresip", ";answermode=auto") as telephone:
        call_id = secure.post("/calls", {"to": telephone.uri, "agent": "receptionist"}).json()["call_id"]
        wait_for(lambda: secure.get(f"/calls/{call_id}")["state"] == "active", "the answer")
        wait_for(lambda: secure.get(f"/calls/{call_id}")["quality"]["rx_packets"] > 20, "audio")
        secure.post(f"/calls/{call_id}/hangup")
        telephone.event("CALL_CLOSED")
    assert secure.newest_session(lambda session: session["call_id"] == call_id)["end_reason"] == "api"
