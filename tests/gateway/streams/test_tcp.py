# SPDX-License-Identifier: GPL-3.0-or-later
"""AudioSocket over real TCP: our connection and adapter against a server as written for Asterisk."""

import asyncio
import socket
from dataclasses import dataclass, field

import pytest

from gateway.guard import OutboundGuard
from gateway.streams.audiosocket import AudioSocketProtocol, call_uuid
from gateway.streams.connection import ConnectFailed, Connection, Disconnected
from gateway.streams.messages import (
    Audio,
    BackendMessage,
    HangUp,
    KeyPressed,
    StreamStarted,
    StreamStopped,
    WireMessage,
)
from gateway.streams.order import StreamOrder, stream_format
from gateway.streams.tcp import TcpConnector
from tests.simulators.audiosocket_backend import AudioSocketBackend

CALL_ID = "call_0123456789abcdef0123"
STARTED = StreamStarted(
    call_id=CALL_ID,
    stream_id="stream_1",
    from_="+15550100",
    to="+15550101",
    call_direction="inbound",
    stream_direction="bidirectional",
    tracks=("inbound",),
    format=stream_format("l16", 8000),
)
FRAMES = [bytes([number]) * 320 for number in range(1, 26)]
LOOPBACK = OutboundGuard(["127.0.0.0/8"])


@dataclass
class Stream:
    """Our end: what an engine would be told."""

    protocol: AudioSocketProtocol = field(default_factory=AudioSocketProtocol)
    said: list[BackendMessage] = field(default_factory=list)
    congestion: list[bool] = field(default_factory=list)
    over: asyncio.Future[Disconnected] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def receive(self, message: WireMessage) -> None:
        self.said += self.protocol.receive(message)

    def congested(self, is_congested: bool) -> None:
        self.congestion.append(is_congested)

    def disconnected(self, how: Disconnected) -> None:
        self.over.set_result(how)

    @property
    def audio(self) -> bytes:
        return b"".join(message.payload for message in self.said if isinstance(message, Audio))


async def opened(url: str) -> tuple[Stream, Connection]:
    stream = Stream()
    connection = await TcpConnector(LOOPBACK).connect(CALL_ID, StreamOrder(url, "audiosocket"), None, stream)
    for message in stream.protocol.tell(STARTED):
        connection.write(message)
    return stream, connection


@pytest.mark.parametrize("segment_bytes", [1, 2, 7, 323, 65536])
async def test_a_conversation_survives_every_fragmentation(segment_bytes: int) -> None:
    async with asyncio.timeout(10), AudioSocketBackend(segment_bytes=segment_bytes) as backend:
        stream, connection = await opened(backend.url)
        for number, frame in enumerate(FRAMES):
            message = stream.protocol.audio(frame, 20 * number, "inbound")
            assert message is not None
            connection.write(message)
        for digit in "12#":
            for message in stream.protocol.tell(KeyPressed(digit, 100)):
                connection.write(message)
        while HangUp() not in stream.said:  # noqa: ASYNC110 - the outside world
            await asyncio.sleep(0.005)
        for message in stream.protocol.tell(StreamStopped("backend")):
            connection.write(message)
        connection.close()
        assert (await stream.over).is_normal
    assert stream.audio == b"".join(FRAMES)
    assert bytes(backend.heard) == b"".join(FRAMES)
    assert (backend.uuids, backend.keys, backend.ends) == ([call_uuid(CALL_ID)], "12#", ["hang_up"])


async def test_a_backend_that_closes_has_ended_the_stream() -> None:
    async with asyncio.timeout(10):
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            stream, connection = await opened(f"audiosocket://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            assert (await stream.over).is_normal
            connection.write(b"\x10\x00\x00")
            connection.close()


async def test_a_backend_that_breaks_off_is_lost() -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with asyncio.timeout(10):
        server = await asyncio.start_server(reset, "127.0.0.1", 0)
        async with server:
            stream, _ = await opened(f"audiosocket://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            assert not (await stream.over).is_normal


async def test_a_backend_that_does_not_read_congests_and_can_be_dropped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with asyncio.timeout(10):
            stream, connection = await opened(f"audiosocket://127.0.0.1:{server.getsockname()[1]}")
            while not stream.congestion:
                connection.write(bytes(65536))
            connection.abort()
            assert (await stream.over) == Disconnected()
    assert stream.congestion == [True]


async def test_nobody_there_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"audiosocket://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ConnectFailed) as caught:
        await opened(url)
    assert not caught.value.is_final


async def test_an_address_that_is_not_allowed_is_final() -> None:
    with pytest.raises(ConnectFailed) as caught:
        await TcpConnector(OutboundGuard()).connect(
            CALL_ID, StreamOrder("audiosocket://127.0.0.1:9", "audiosocket"), None, Stream()
        )
    assert caught.value.is_final
