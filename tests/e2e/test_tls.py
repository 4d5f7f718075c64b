# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP over TLS and TCP: who is believed, what is renewed while calls stand, and who is shown out."""

import contextlib
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.baresip import Baresip
from tests.e2e.certificates import Certificate, self_signed
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.peers import softphone

MOST = 5
OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{branch};rport\r\n"
    "Max-Forwards: 5\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {branch}\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def with_tls(gateway: GatewayProcess, certificate: Certificate, port: int, more: str = "") -> GatewayProcess:
    """The same, that also listens for TLS."""
    tls = f'tls_port = {port}\ntls_cert = "{certificate.chain}"\ntls_key = "{certificate.key}"\n'
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("[sip]\n", f'[sip]\ntransports = ["udp", "tcp", "tls"]\n{tls}{more}'))
    return gateway


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def secure(
    certificate: Certificate, tls_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """An echo that lets in five connections of an address, and dials by TLS whom its own certificate has signed."""
    folder = tmp_path_factory.mktemp("secure")
    gateway = GatewayProcess(folder, '[[route]]\naction = "echo"\n', record=False)
    more = f'connections_per_address = {MOST}\ntls_ca = "{certificate.chain}"\n'
    with with_tls(gateway, certificate, tls_port, more):
        yield gateway


def _until_closed(connection: socket.socket) -> None:
    """Let the gateway close it as well: it counts connections."""
    socket.socket.shutdown(connection, socket.SHUT_WR)
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            continue


def test_a_ping_on_a_connection_is_answered(secure: GatewayProcess, tls_port: int) -> None:
    """RFC 5626 section 3.5.1."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    for port, context in ((secure.sip_port, None), (tls_port, anyone)):
        with ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            if context is not None:
                connection = stack.enter_context(context.wrap_socket(connection))
            stack.callback(_until_closed, connection)
            for branch in ("z9hG4bKping1", "z9hG4bKping2"):
                connection.sendall(b"\r\n\r\n")
                assert connection.recv(4096) == b"\r\n"
                # A line end alone is no ping (section 4.4.1), and messages go on.
                connection.sendall(b"\r\n" + OPTIONS.format(transport="TCP", branch=branch).encode())
                assert connection.recv(4096).startswith(b"SIP/2.0 200")


def _subject(port: int) -> str:
    """Whose certificate is shown to who connects."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as bare, context.wrap_socket(bare) as secured:
        der = secured.getpeercert(binary_form=True)
    assert der is not None
    return "renewed" if b"renewed" in der else "first"


def _is_answered(connection: socket.socket, transport: str, branch: str) -> bool:
    connection.settimeout(5)
    connection.sendall(OPTIONS.format(transport=transport, branch=branch).encode())
    return connection.recv(4096).startswith(b"SIP/2.0 ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_newer_are_spoken_and_nothing_older(
    secure: GatewayProcess, tls_port: int, version: ssl.TLSVersion
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", tls_port), 5) as bare:
        if version < ssl.TLSVersion.TLSv1_2:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(bare)
        else:
            with context.wrap_socket(bare) as secured:
                assert _is_answered(secured, "TLS", version.name)


def test_who_has_too_many_connections_gets_no_more_and_the_first_ones_work(secure: GatewayProcess) -> None:
    with ExitStack() as stack:
        wait_for(lambda: _fill(stack, secure.sip_port), "room for all of them")
        for _ in range(3):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", secure.sip_port), 5))
            connection.settimeout(5)
            assert connection.recv(1) == b""
    # Those who have gone make room.
    wait_for(lambda: _can_connect(secure.sip_port), "room for another connection")


def _fill(stack: ExitStack, port: int) -> bool:
    """Open as many connections as are let in; False: those of the test before are not quite gone yet."""
    with ExitStack() as attempt:
        many = [attempt.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(MOST)]
        try:
            is_full = all(_is_answered(one, "TCP", f"many{time.monotonic_ns()}") for one in many)
        except ConnectionError:
            return False
        if is_full:
            stack.enter_context(attempt.pop_all())
        return is_full


def test_tls_connections_count_before_their_handshake(secure: GatewayProcess, tls_port: int) -> None:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(socket.create_connection(("127.0.0.1", tls_port), 5))
        late = stack.enter_context(socket.create_connection(("127.0.0.1", tls_port), 5))
        late.settimeout(5)
        assert late.recv(1) == b"", "shown out at once, not after the ten seconds of a handshake"
        other = stack.enter_context(socket.create_connection(("127.0.0.1", tls_port), 5, ("127.0.0.2", 0)))
        assert _is_answered(stack.enter_context(anybody.wrap_socket(other)), "TLS", "other")


def _can_connect(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        try:
            return _is_answered(connection, "TCP", f"again{time.monotonic_ns()}")
        except ConnectionError:
            return False


def test_who_does_not_come_to_the_point_is_shown_out(secure: GatewayProcess, tls_port: int) -> None:
    half = b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP"
    with ExitStack() as stack:
        waiting = []
        for port, words in ((secure.sip_port, b""), (secure.sip_port, half), (tls_port, b""), (tls_port, half)):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            connection.sendall(words)
            waiting.append(connection)
        for connection in waiting:
            connection.settimeout(20)
            with contextlib.suppress(ConnectionError):
                while connection.recv(4096):
                    pass


def test_we_dial_by_tls_whom_an_authority_of_ours_has_signed_and_nobody_else(
    secure: GatewayProcess, certificate: Certificate, tmp_path: Path
) -> None:
    for name, known in (("known", certificate), ("stranger", self_signed(tmp_path, "stranger"))):
        with Baresip(tmp_path / name, ";answermode=auto", certificate=known) as telephone:
            to = f"{telephone.tls_uri};transport=tls"
            call_id = secure.post("/calls", {"to": to, "agent": "receptionist"}).json()["call_id"]
            if name == "known":
                wait_for(lambda: secure.get(f"/calls/{call_id}")["state"] == "active", "the answer")  # noqa: B023
                secure.post(f"/calls/{call_id}/hangup")
            session = secure.newest_session(lambda session: session["call_id"] == call_id)  # noqa: B023
            assert (session["answered_at"] is None) is (name == "stranger")


def test_a_new_certificate_is_taken_up_while_a_call_stands(
    certificate: Certificate, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, second = self_signed(tmp_path, "first"), self_signed(tmp_path, "renewed")
    used, port = Certificate(tmp_path / "used.pem", tmp_path / "used.key"), free_port()
    for source, target in ((first.chain, used.chain), (first.key, used.key)):
        shutil.copy(source, target)
    folder = tmp_path_factory.mktemp("renewing")
    gateway = with_tls(GatewayProcess(folder, '[[route]]\naction = "echo"\n', record=False), used, port)
    with gateway, ThreadPoolExecutor(1) as background:
        call = background.submit(
            softphone, gateway, "echo", "--transport", "tls", "--duration", "8", address=f"127.0.0.1:{port}"
        )
        wait_for(lambda: gateway.get("/calls")["calls"], "the call", 60)
        assert _subject(port) == "first"
        used.key.write_text("no key")
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "tls_not_renewed" in gateway.log.read_text(), "the refusal of a broken key")
        assert _subject(port) == "first"
        for source, target in ((second.key, used.key), (second.chain, used.chain)):
            shutil.copy(source, target)
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: _subject(port) == "renewed", "the new certificate")
        report = call.result()
        assert report["answered"]
        assert report["rtp"]["rx_packets"] > 200
    assert gateway.process.returncode == 0
