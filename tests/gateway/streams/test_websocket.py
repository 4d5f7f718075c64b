# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets that we open, over real sockets: whom we trust, and backends that fall silent."""

import asyncio
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from agent import websocket
from gateway.guard import OutboundGuard
from gateway.streams.connection import ConnectFailed
from gateway.streams.order import StreamOrder
from gateway.streams.websocket import WebSocketConnector
from tests.fakes.certificate import make_certificate
from tests.gateway.streams.test_hostile_websocket import Received, connected_to, end_of

LOOPBACK = OutboundGuard(("127.0.0.0/8", "::1/128"))


async def greet(backend: ServerConnection) -> None:
    await backend.send("hello")
    await backend.close()


async def test_a_backend_behind_tls_is_trusted_by_the_authorities_that_are_named_and_by_no_other(
    tmp_path: Path,
) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    async with serve(greet, "127.0.0.1", 0, ssl=theirs) as server:
        url = f"wss://localhost:{server.sockets[0].getsockname()[1]}/"
        trusting = WebSocketConnector(LOOPBACK, lambda *_: {}, ssl.create_default_context(cafile=str(certificate)))
        received = Received()
        await trusting.connect("call_1", StreamOrder(url=url), None, received)
        assert (await end_of(received)).is_normal
        assert received.messages == ["hello"]
        by_address = StreamOrder(url=url.replace("localhost", "127.0.0.1"))
        with pytest.raises(ConnectFailed, match="CertVerification"):
            await trusting.connect("call_1", by_address, None, Received())
        with pytest.raises(ConnectFailed, match="CertVerification"):
            await WebSocketConnector(LOOPBACK, lambda *_: {}).connect("call_1", StreamOrder(url=url), None, Received())


@pytest.mark.parametrize("answers", [True, False])
async def test_a_backend_that_answers_no_ping_is_lost(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_PING_S", 1.0)
    monkeypatch.setattr(websocket, "_PONG_S", 1.0)

    async def backend(connection: ServerConnection) -> None:
        if not answers:  # the connection stands, and nobody is there
            connection.transport.pause_reading()
        await asyncio.sleep(3.5)
        await connection.send("still here")
        await connection.close()

    async with connected_to(backend) as received:
        end = await end_of(received)
    assert (end.is_normal, received.messages) == ((True, ["still here"]) if answers else (False, []))
