# SPDX-License-Identifier: GPL-3.0-or-later
"""What simulators of services on WebSockets share: a real server, one session object a connection, and faults.

    async with SomeServer(key="...") as server: ... server.url ...

A vendor's simulator has a `Session` of its own; what it sends is written from the vendor's documentation.
"""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


@dataclass
class Faults:
    """What goes wrong; all of it can be changed while the server runs."""

    refuse: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    """Status and headers that the next upgrades are answered with."""
    slow_s: float = 0.0
    """Before each message."""
    drop_at: list[int] = field(default_factory=list)
    """The connections to come are cut, without a goodbye, after so many of their messages to us; 0: at once."""
    close_at: list[tuple[int, int, str]] = field(default_factory=list)
    """The same in good order: after so many messages, with this code and reason."""
    garbage: list[str | bytes] = field(default_factory=list)
    """Sent in front of the next message."""
    is_deaf: bool = False
    """Nothing is answered: a stall."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One connection's request."""

    at: float
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in small letters."""


class Session:
    """One connection."""

    def __init__(self, server: "WebSocketService", upgrade: Upgrade, connection: ServerConnection) -> None:
        self.server = server
        self.upgrade = upgrade
        self._connection = connection

    async def begin(self) -> None:
        """The connection stands."""

    async def receive(self, message: str | bytes) -> None:
        """A message of the client's."""

    async def end(self) -> None:
        """The connection is gone."""

    async def send(self, message: Mapping[str, Any] | str | bytes) -> None:
        faults = self.server.faults
        if faults.is_deaf:
            return
        if faults.slow_s:
            await asyncio.sleep(faults.slow_s)
        while faults.garbage:
            await self._connection.send(faults.garbage.pop(0))
        await self._connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def drop(self) -> None:
        """Without a goodbye."""
        self._connection.transport.abort()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._connection.close(code, reason)


class WebSocketService:
    """The server; a vendor's class names its session and who may come in."""

    session: ClassVar[type[Session]] = Session
    tls: ssl.SSLContext | None = None
    """To be set before it listens."""

    def __init__(self, *, key: str = "test-key") -> None:
        self.key = key
        self.faults = Faults()
        self.upgrades: list[Upgrade] = []
        self.sessions: list[Session] = []
        self.texts: list[dict[str, Any]] = []
        """All that came as JSON, of all connections."""
        self.binaries: list[bytes] = []
        self._server: Server | None = None

    def admits(self, upgrade: Upgrade) -> int:
        """An HTTP status; 101 lets it in."""
        return HTTPStatus.SWITCHING_PROTOCOLS

    def read(self, message: str) -> dict[str, Any]:
        """A text message, for `texts`."""
        found: dict[str, Any] = json.loads(message)
        return found

    @property
    def url(self) -> str:
        assert self._server is not None, "it runs"
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._attend,
            "127.0.0.1",
            0,
            process_request=self._admit,
            max_size=None,
            close_timeout=0.5,
            ssl=self.tls,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        upgrade = Upgrade(time.monotonic(), address.path, parse_qs(address.query), headers)
        self.upgrades.append(upgrade)
        status, more = self.faults.refuse.pop(0) if self.faults.refuse else (self.admits(upgrade), {})
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        response = connection.respond(status, "refused\n")
        response.headers.update(more)
        return response

    async def _attend(self, connection: ServerConnection) -> None:
        session = self.session(self, self.upgrades[-1], connection)
        self.sessions.append(session)
        drop_at = self.faults.drop_at.pop(0) if self.faults.drop_at else None
        close_at = self.faults.close_at.pop(0) if self.faults.close_at else None
        count = 0
        with contextlib.suppress(ConnectionClosed):
            await session.begin()
            while count != drop_at and (close_at is None or count != close_at[0]):
                message = await connection.recv()
                count += 1
                if isinstance(message, bytes):
                    self.binaries.append(message)
                else:
                    self.texts.append(self.read(message))
                await session.receive(message)
            if close_at is not None and count == close_at[0]:
                await connection.close(*close_at[1:])
            else:
                connection.transport.abort()
        await session.end()
