# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSocket backends that we have opened, and that misbehave below their messages: over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.server import ServerConnection, serve

from agent.websocket import MAX_MESSAGE_BYTES
from gateway.guard import OutboundGuard
from gateway.streams.connection import ConnectFailed, Disconnected
from gateway.streams.messages import WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.websocket import WebSocketConnector

WAIT_S = 30.0
Behaviour = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Received:
    messages: list[WireMessage] = field(default_factory=list)
    end: "asyncio.Future[Disconnected]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def receive(self, message: WireMessage) -> None:
        self.messages.append(message)

    def congested(self, is_congested: bool) -> None: ...

    def disconnected(self, how: Disconnected) -> None:
        self.end.set_result(how)


@asynccontextmanager
async def connected_to(behaviour: Behaviour, *allow: str) -> AsyncIterator[Received]:
    """Connected to a backend that behaves so; on leaving it is gone."""
    async with serve(behaviour, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        port = server.sockets[0].getsockname()[1]
        received = Received()
        connector = WebSocketConnector(OutboundGuard(allow or ("127.0.0.0/8",)), lambda *_: {})
        connection = await connector.connect("call_1", StreamOrder(url=f"ws://127.0.0.1:{port}/"), None, received)
        try:
            yield received
        finally:
            connection.abort()


async def end_of(received: Received) -> Disconnected:
    async with asyncio.timeout(WAIT_S):
        return await asyncio.shield(received.end)


async def test_a_message_in_a_hundred_thousand_fragments_arrives_whole() -> None:
    async def backend(websocket: ServerConnection) -> None:
        await websocket.send([b"x"] * 100_000)
        await websocket.close()

    async with connected_to(backend) as received:
        assert (await end_of(received)).is_normal
        assert received.messages == [b"x" * 100_000]


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_message_that_is_too_large_ends_the_connection(fragmented: bool) -> None:
    async def backend(websocket: ServerConnection) -> None:
        too_large = bytes(MAX_MESSAGE_BYTES + 1)
        await websocket.send([too_large[:65536]] * 65 if fragmented else too_large)
        await websocket.wait_closed()

    async with connected_to(backend) as received:
        assert not (await end_of(received)).is_normal
        assert received.messages == []


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff" * 50,
        b"\x83\x00",
        b"\x81\x02\xff\xfe",
        b"\x82\xff\x00\x00\x00\x00\x04\x00\x00\x00",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x09\x00",
        b"\x81\x82\x00\x00\x00\x00hi",
    ],
)
async def test_frames_that_are_none_end_the_connection_and_no_message_comes_of_them(frames: bytes) -> None:
    async def backend(websocket: ServerConnection) -> None:
        websocket.transport.write(frames)
        await asyncio.sleep(0.5)
        websocket.transport.abort()

    async with connected_to(backend) as received:
        assert not (await end_of(received)).is_normal
        assert received.messages in ([], ["hi"])  # a mask from a server is wrong, and does no harm


async def test_an_address_inside_is_not_connected_to() -> None:
    async def backend(websocket: ServerConnection) -> None:
        raise AssertionError("reached")

    with pytest.raises(ConnectFailed, match="loopback") as caught:
        async with connected_to(backend, "10.0.0.0/8"):
            pass
    assert caught.value.is_final
