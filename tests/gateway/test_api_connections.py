# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow, silent and hostile clients of the HTTP port, over real sockets. Deadlines are shortened, not waited out."""

import asyncio
import contextlib
import gc
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.api import bind_http, connections, serving

UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
WAIT_S = 20.0
"""For what happens within a fraction of a second on a machine that is awake."""


@dataclass
class Application:
    """An echo on WebSockets, `pong` on HTTP; on `/flood` it sends 200 MB, on `/mute` it never reads."""

    messages: list[Any] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            if scope["type"] == "http":
                await self._answer(scope, receive, send)
            else:
                await self._talk(scope, receive, send)
        finally:
            self.ended.append(scope["path"])

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3000 if scope["path"] == "/flood" else 0):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b"pong"})

    async def _talk(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/undecided":
            await self.over.wait()
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        for _ in range(3000 if scope["path"] == "/flood" else 0):
            await send({"type": "websocket.send", "bytes": b"x" * 65536})
        if scope["path"] == "/mute":
            await self.over.wait()
            return
        while (message := await receive())["type"] == "websocket.receive":
            given = message.get("text") or message.get("bytes")
            self.messages.append(given)
            await send({"type": "websocket.send", "text": str(len(given))})


@dataclass
class Running:
    application: Application
    port: int

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def websocket(self, path: str = "/", **more: Any) -> Any:
        return connect(f"ws://127.0.0.1:{self.port}{path}", ping_interval=None, **more)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    application = Application()
    listener = bind_http("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with serving(application, listener):
        yield Running(application, port)
        application.over.set()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server ends the connection."""
    async with asyncio.timeout(WAIT_S):
        received = bytearray()
        with contextlib.suppress(ConnectionError):
            while block := await reader.read(65536):
                received += block
        return bytes(received)


async def until(condition: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 what uvicorn's protocols do sets no event
            await asyncio.sleep(0.01)


async def only_websocket() -> connections.WebSocketConnection:
    """The server's end of the one WebSocket there is."""
    found: list[connections.WebSocketConnection] = []

    def look() -> bool:
        found[:] = [one for one in gc.get_objects() if type(one) is connections.WebSocketConnection]
        return any(one.handshake_initiated and not one.disconnected for one in found)

    await until(look)
    return next(one for one in found if not one.disconnected)


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo",
    ],
)
async def test_half_a_request_is_waited_for_only_so_long(
    running: Running, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_REQUEST_S", 0.2)
    reader, writer = await running.raw()
    writer.write(half)
    assert (await rest_of(reader)).endswith(
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    writer.close()


async def test_a_byte_now_and_then_does_not_move_the_deadline(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_REQUEST_S", 0.3)
    reader, writer = await running.raw()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    assert b"408 Request Timeout" in await rest_of(reader)
    dripping.cancel()


async def test_a_long_list_may_take_its_time_as_long_as_pieces_of_it_come(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_REQUEST_S", 1.5)
    reader, writer = await running.raw()
    writer.write(b"POST /api/v1/campaigns/c/contacts HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
    for _ in range(11):
        writer.write(b"x")
        await asyncio.sleep(0.2)
    async with asyncio.timeout(WAIT_S):
        assert (await reader.readuntil(b"pong\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.write(b"POST /api/v1/campaigns/c/contacts HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nxx")
    assert b"408 Request Timeout" in await rest_of(reader)
    writer.close()


async def test_a_request_that_is_whole_in_time_may_take_long_to_answer_and_another_may_follow(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_REQUEST_S", 1.0)
    reader, writer = await running.raw()
    for _ in range(3):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        async with asyncio.timeout(WAIT_S):
            assert (await reader.readuntil(b"pong\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.4)
    writer.close()


async def test_more_connections_than_allowed_are_turned_away_and_places_come_free(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_HTTP_CONNECTIONS", 3)
    held = [await running.raw() for _ in range(3)]
    reader, _ = await running.raw()
    assert (await rest_of(reader)).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    for _, writer in held:
        writer.close()

    async def served() -> bool:
        reader, writer = await running.raw()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await rest_of(reader)
        writer.close()
        return answer.startswith(b"HTTP/1.1 200")

    async with asyncio.timeout(WAIT_S):
        while not await served():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_websockets_take_no_place_of_requests(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_HTTP_CONNECTIONS", 2)
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(running.websocket()) for _ in range(5)]
        for one in sockets:
            await one.send("hello")
            assert await one.recv() == "5"


@pytest.mark.parametrize("scheme", ["http", "websocket"])
async def test_who_reads_nothing_is_cut_off(running: Running, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_READER_S", 0.3)
    monkeypatch.setattr(connections, "_WEBSOCKET_READER_S", 0.3)
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(b"GET /flood HTTP/1.1\r\nHost: x\r\n" + (UPGRADE if scheme == "websocket" else b"") + b"\r\n")
        await until(lambda: running.application.ended == ["/flood"])


async def test_who_reads_slowly_is_served(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_WEBSOCKET_READER_S", 2.0)
    async with running.websocket("/flood", max_queue=1) as client:
        for _ in range(100):
            assert len(await client.recv()) == 65536
        client.transport.abort()
    await until(lambda: running.application.ended == ["/flood"])


async def test_a_message_that_is_too_large_ends_the_connection_with_1009(running: Running) -> None:
    async with running.websocket() as client:
        await client.send(b"x" * connections.MAX_MESSAGE_BYTES)
        assert await client.recv() == str(connections.MAX_MESSAGE_BYTES)
    assert await code_after(running, b"x" * (connections.MAX_MESSAGE_BYTES + 1)) == 1009
    assert await code_after(running, [b"x" * 65536] * 65) == 1009


async def code_after(running: Running, message: Any) -> int:
    async with running.websocket() as client:
        with contextlib.suppress(ConnectionClosed):
            await client.send(message)
        return await close_code(client)


async def close_code(client: ClientConnection) -> int:
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
        await client.wait_closed()
    assert client.close_code is not None
    return client.close_code


async def test_a_frame_that_claims_to_be_huge_is_refused_by_its_header(running: Running) -> None:
    async with running.websocket() as client:
        client.transport.write(b"\x82\xff" + struct.pack("!Q", 64 * 1024 * 1024) + b"mask")
        assert await close_code(client) == 1009


async def test_a_message_in_a_million_fragments_takes_no_more_memory_than_its_size(running: Running) -> None:
    """One byte per frame: kept as a list they would take some forty bytes each."""
    fragments = 200_000
    async with running.websocket() as client:
        masked = b"\x00\x81\x00\x00\x00\x00x"
        client.transport.write(b"\x02\x81\x00\x00\x00\x00x" + masked * (fragments - 2))
        await asyncio.sleep(0)
        connection = await only_websocket()
        await until(lambda: len(connection._fragments) == fragments - 1)
        assert connection.frames == []
        client.transport.write(b"\x80\x81\x00\x00\x00\x00x")
        assert await client.recv() == str(fragments)


async def test_messages_are_read_when_they_are_asked_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer without a reader on our side fills the kernel's buffers and no more."""
    async with running.websocket("/mute") as client:

        async def write() -> None:
            while True:
                await client.send(b"x" * 65536)

        writing = asyncio.create_task(write())
        connection = await only_websocket()
        await until(lambda: connection.read_paused)
        await asyncio.sleep(0.2)
        assert connection.queue.qsize() <= 5
        writing.cancel()
        client.transport.abort()


async def test_nothing_is_read_of_who_has_not_been_let_in(running: Running) -> None:
    _, writer = await running.raw()
    writer.write(b"GET /undecided HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n")
    connection = await only_websocket()
    writer.write(b"\x82\xff" + struct.pack("!Q", 3_000_000) + b"mask" + b"x" * 1_000_000)
    await asyncio.sleep(0.2)
    assert len(connection.conn.reader.buffer) == 0
    writer.transport.abort()
    running.application.over.set()


async def test_a_flood_of_small_messages_that_nobody_reads_ends_the_connection(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_MAX_WAITING_MESSAGES", 100)
    async with running.websocket("/mute") as client:
        client.transport.write(b"\x82\x81\x00\x00\x00\x00x" * 1000)
        assert await close_code(client) == 1008


async def test_who_does_not_read_cannot_fill_our_memory_with_pongs(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_WEBSOCKET_READER_S", 0.3)
    ping = b"\x89\xfd\x00\x00\x00\x00" + b"p" * 125
    async with running.websocket() as client:
        connection = await only_websocket()
        client.transport.pause_reading()

        async def flood() -> None:
            while not connection.disconnected:
                client.transport.write(ping * 500)
                await asyncio.sleep(0)
                waiting.append(connection.transport.get_write_buffer_size())

        waiting: list[int] = []
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(WAIT_S):
                await flood()
        assert max(waiting) < 300_000
        client.transport.abort()


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff" * 50,
        b"\x83\x80\x00\x00\x00\x00",  # an opcode that is none
        b"\x81\x02hi",  # not masked
        b"\x81\x82\x00\x00\x00\x00\xff\xfe",  # not UTF-8
        b"\x80\x81\x00\x00\x00\x00x",  # a continuation of nothing
        b"\x09\x80\x00\x00\x00\x00",  # a ping in fragments
        b"\xc1\x81\x00\x00\x00\x00x",  # compressed, which was not agreed
    ],
)
async def test_frames_that_are_none_end_the_connection_with_a_reason(running: Running, frames: bytes) -> None:
    async with running.websocket() as client:
        client.transport.write(frames)
        assert await close_code(client) in (1002, 1007)
    assert running.application.messages == []
    async with running.websocket() as client:
        await client.send("still there")
        assert await client.recv() == "11"


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /?" + b"x" * 10_000 + b" HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % index for index in range(500)),
    ],
    ids=["a long address", "POST", "a body", "a body in chunks", "a long header", "many headers"],
)
async def test_an_upgrade_that_is_no_handshake_is_refused_and_holds_no_connection(
    running: Running, request_line: bytes
) -> None:
    """Whatever it is, nobody needs a key to send it."""
    reader, writer = await running.raw()
    writer.write(request_line + b"Host: x\r\n" + UPGRADE + b"\r\n")
    assert (await rest_of(reader)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 "))
    writer.close()
    assert running.application.messages == []


async def test_compression_is_not_agreed_to(running: Running) -> None:
    async with running.websocket(compression="deflate") as client:
        assert client.protocol.extensions == []
