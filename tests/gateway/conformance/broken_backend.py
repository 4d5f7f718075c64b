# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends that do one thing wrong each, written against the WebSocket library alone."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Literal

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Fault = Literal[
    "none",
    "no_subprotocol",
    "closes_at_unknown_types",
    "closes_at_keys",
    "wants_20_ms",
    "floods",
    "deaf_after_xoff",
    "refuses_reconnection",
    "closes_ringing_calls",
    "talks_to_ringing_calls",
    "nonsense",
    "one_call_only",
    "cannot_clear",
]

_FRAME = bytes(320)


class BrokenBackend:
    """An echo with one fault."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._calls = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its URL."""
        subprotocols = None if self._fault == "no_subprotocol" else [Subprotocol("parley.v1")]
        async with serve(self._attend, "127.0.0.1", 0, subprotocols=subprotocols) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    async def _attend(self, connection: ServerConnection) -> None:
        self._calls += 1
        flood = asyncio.create_task(self._flood(connection))
        try:
            with contextlib.suppress(ConnectionClosed):
                await self._converse(connection)
        finally:
            self._calls -= 1
            flood.cancel()

    async def _converse(self, connection: ServerConnection) -> None:
        xoff = False
        async for message in connection:
            if isinstance(message, bytes):
                if self._fault == "wants_20_ms" and len(message) != len(_FRAME):
                    return
                if not xoff and self._fault != "floods":
                    await connection.send(message)
                continue
            said = json.loads(message)
            match said["type"]:
                case "start":
                    if self._is_refused(said):
                        return
                    if not said["answered"]:
                        if self._fault == "talks_to_ringing_calls":
                            await connection.send(_FRAME)
                        await connection.send('{"type": "answer"}')
                    if self._fault == "nonsense":
                        await connection.send('{"type": "play", "file": "hello.wav"}')
                    if self._fault == "cannot_clear":
                        await connection.send('{"type": "clear"}')
                case "xoff":
                    xoff = True
                case "xon":
                    xoff = self._fault == "deaf_after_xoff"
                case "dtmf" if self._fault == "closes_at_keys":
                    return
                case "cleared" if self._fault == "cannot_clear":
                    return
                case "from_the_future" if self._fault == "closes_at_unknown_types":
                    return

    def _is_refused(self, start: dict[str, object]) -> bool:
        return (
            (self._fault == "refuses_reconnection" and start["reconnected"] is True)
            or (self._fault == "closes_ringing_calls" and not start["answered"])
            or (self._fault == "one_call_only" and self._calls > 1)
        )

    async def _flood(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while self._fault == "floods":
                await connection.send(_FRAME)
                await asyncio.sleep(0.02)
