# SPDX-License-Identifier: GPL-3.0-or-later
"""A `parley.v1` backend that a test directs: a WebSocket server by the library websockets, in a thread of its own."""

import contextlib
import json
import socket
import threading
import time
from typing import Any, Self

from websockets.sync.server import Server, ServerConnection, serve


class ScriptedBackend:
    """Keeps what it is told; `connection` is the newest."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._server: Server | None = None
        self.connections: list[ServerConnection] = []
        self.headers: list[dict[str, str]] = []
        self.told: list[dict[str, Any]] = []
        self.audio = bytearray()

    def __enter__(self) -> Self:
        self._server = serve(
            self._handle, "127.0.0.1", self._port, subprotocols=None, select_subprotocol=_first, compression=None
        )
        self._port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/"

    def die(self) -> None:
        """As when the process is killed: the connections break, and nobody listens any more."""
        if self._server is not None:
            self._server.socket.close()
            for connection in self.connections:
                with contextlib.suppress(OSError):  # broken already
                    connection.socket.shutdown(socket.SHUT_RDWR)
            self.connections.clear()
            self._server = None

    def say(self, message: dict[str, Any] | bytes) -> None:
        self.connections[-1].send(message if isinstance(message, bytes) else json.dumps(message))

    def wait_for(self, kind: str, timeout_s: float = 5.0, number: int = 1) -> dict[str, Any]:
        """The message of this type, the number-th of them."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = [one for one in self.told if one["type"] == kind]
            if len(found) >= number:
                return found[number - 1]
            time.sleep(0.005)
        raise AssertionError(f"no {kind} within {timeout_s} s, but {[one['type'] for one in self.told]}")

    def _handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        assert connection.request is not None
        self.headers.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        try:
            for message in connection:
                if isinstance(message, str):
                    self.told.append(json.loads(message))
                else:
                    self.audio += message
        except Exception:  # whatever ends a connection: the test looks at what was told
            return


def _first(_: ServerConnection, offered: Any) -> Any:
    return offered[0] if offered else None
