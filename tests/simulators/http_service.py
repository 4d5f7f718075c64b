# SPDX-License-Identifier: GPL-3.0-or-later
"""What simulators of services over HTTP/1.1 share: a real server, requests as they came, bodies in chunks, faults.

async with SomeServer(...) as server: ... server.url ...
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request."""

    at: float
    """Monotonic seconds."""
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes
    connection: int
    """Which connection it came by: the first is 1."""


@dataclass
class HttpFaults:
    """What goes wrong; all of it can be changed while the server runs."""

    refuse: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    """Status and headers that the next requests are answered with."""


class HttpReply:
    """The response to one request."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.is_cut = False

    def plain(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        lines = (f"HTTP/1.1 {int(status)} Whatever", "Content-Type: application/json", f"Content-Length: {len(data)}")
        more = (f"{name}: {value}" for name, value in (headers or {}).items())
        self._writer.write("\r\n".join((*lines, *more, "", "")).encode() + data)

    def begin(self, content_type: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._writer.write(head.encode())

    async def chunk(self, data: bytes) -> None:
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Without an end of the body."""
        self.is_cut = True
        self._writer.transport.abort()


class HttpService:
    """The server; a vendor's class answers."""

    path: ClassVar[str] = ""
    """Of the URL that clients are given."""

    def __init__(self, *, key: str = "test-key") -> None:
        self.key = key
        self.faults = HttpFaults()
        self.requests: list[HttpRequest] = []
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def respond(self, request: HttpRequest, reply: HttpReply) -> None:
        """Cancelled when the reader goes away."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        assert self._server is not None, "it runs"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self.path}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.drop_connections()
        await self._server.wait_closed()

    def drop_connections(self) -> None:
        """As a server does that restarts, or that has waited long enough."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        self._writers.add(writer)
        begun = b""
        try:
            while True:
                request = await self._request(reader, begun, connection)
                self.requests.append(request)
                begun = await self._answer(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """What was read of the next request already. Raises `ConnectionError` when there will be none."""
        reply = HttpReply(writer)
        if self.faults.refuse:
            status, headers = self.faults.refuse.pop(0)
            reply.plain(status, {"error": {"message": "no, and here is why", "type": "error", "code": None}}, headers)
            return b""
        answering = asyncio.create_task(self.respond(request, reply))
        gone = asyncio.create_task(reader.read(1))
        """Nobody sends anything before he has read the answer: what comes is the end."""
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            raise ConnectionError
        answering.result()
        gone.cancel()
        (begun,) = await asyncio.gather(gone, return_exceptions=True)
        if reply.is_cut:
            raise ConnectionError
        return begun if isinstance(begun, bytes) else b""

    @staticmethod
    async def _request(reader: asyncio.StreamReader, begun: bytes, connection: int) -> HttpRequest:
        head = (begun + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        fields = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        address = urlsplit(target)
        query = parse_qs(address.query)
        return HttpRequest(time.monotonic(), method, address.path, query, headers, body, connection)


def unauthorized(reply: HttpReply) -> None:
    reply.plain(HTTPStatus.UNAUTHORIZED, {"error": {"message": "who are you?", "type": "x", "code": "invalid_api_key"}})
