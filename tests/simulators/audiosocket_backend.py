# SPDX-License-Identifier: GPL-3.0-or-later
"""An AudioSocket server as written for Asterisk: it echoes what it hears, in as many TCP segments as it likes."""

import asyncio
import contextlib
import socket
import uuid
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HANG_UP, UUID, KEY, AUDIO_8_KHZ = 0x00, 0x01, 0x03, 0x10


@dataclass
class AudioSocketBackend:
    """`async with` serves one connection after another on a free port of the loopback interface."""

    segment_bytes: int = 65536
    """What it sends is cut into pieces of so many bytes."""
    hang_up_on: str = "#"
    """The key that makes it end the call."""
    uuids: list[uuid.UUID] = field(default_factory=list)
    keys: str = ""
    heard: bytearray = field(default_factory=bytearray)
    ends: list[str] = field(default_factory=list)
    """How each connection ended: `hang_up` (0x00), or `closed`."""
    _serving: set["asyncio.Task[None] | None"] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await asyncio.gather(*(task for task in self._serving if task is not None))

    @property
    def url(self) -> str:
        return f"audiosocket://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._take(reader, writer):
                pass
            self.ends.append("hang_up")
            writer.close()
            return
        self.ends.append("closed")
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        header = await reader.readexactly(3)
        payload = await reader.readexactly(int.from_bytes(header[1:], "big"))
        match header[0]:
            case 0x00:
                return False
            case 0x01:
                self.uuids.append(uuid.UUID(bytes=payload))
            case 0x03:
                self.keys += payload.decode("ascii")
                if payload.decode("ascii") == self.hang_up_on:
                    await self._send(writer, bytes((HANG_UP, 0, 0)))
            case 0x10:
                self.heard += payload
                await self._send(writer, header + payload)
            case kind:
                raise AssertionError(f"Asterisk sends no frame of kind {kind:#04x} here")
        return True

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for begin in range(0, len(data), self.segment_bytes):
            writer.write(data[begin : begin + self.segment_bytes])
            await writer.drain()
            await asyncio.sleep(0)
