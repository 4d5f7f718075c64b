# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver of webhooks that remembers what it got, in a test's own loop or as a process that can be killed.

python -m tests.simulators.webhook_receiver PORT FILE      one line of JSON per request: {"at", "id", "event"}
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

Answer = Callable[["Received"], Awaitable[tuple[int, Mapping[str, str]]]]
"""The status and headers for a request."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    at: float
    """Seconds since 1970."""
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


async def _accept(_: Received) -> tuple[int, Mapping[str, str]]:
    return 204, {}


class WebhookReceiver:
    """Listens inside `async with`; `answer` may be exchanged meanwhile."""

    def __init__(self, port: int = 0, answer: Answer = _accept) -> None:
        self.port = port
        self.answer = answer
        self.received: list[Received] = []
        self.on_received: Callable[[Received], None] = lambda received: None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                received = await _request(reader)
                status, headers = await self.answer(received)
                self.received.append(received)
                self.on_received(received)
                lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
                length = [] if status == 204 else ["Content-Length: 0"]
                writer.write("\r\n".join((*lines, *length, "", "")).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(time.time(), headers, body)


async def _run(port: int, file: Path) -> None:
    with file.open("a", encoding="utf-8", buffering=1) as lines:

        def note(received: Received) -> None:
            line = {"at": received.at, "id": received.headers.get("webhook-id"), "event": received.event}
            lines.write(json.dumps(line) + "\n")

        receiver = WebhookReceiver(port)
        receiver.on_received = note
        async with receiver:
            print(receiver.port, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), Path(sys.argv[2])))
