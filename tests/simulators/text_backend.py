# SPDX-License-Identifier: GPL-3.0-or-later
"""A WebSocket server for backends that send and receive JSON text: Twilio's, Teler's, ConversationRelay's."""

import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

Message = dict[str, Any]


class TextBackend:
    """`with` serves one connection after the other on a free port of the loopback interface. `on_message` answers, in
    the server's own thread."""

    def __init__(self, on_message: Callable[["TextBackend", Message], None] | None = None) -> None:
        self.heard: list[Message] = []
        """Every message, with its arrival (monotonic seconds) under `at`."""
        self.headers: list[dict[str, str]] = []
        """Of the upgrade requests."""
        self.closes = 0
        self._on_message = on_message
        self._socket: ServerConnection | None = None
        self._server = serve(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/call"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()

    def all(self, key: str, value: str) -> list[Message]:
        """The messages that have this value under that key."""
        return [message for message in list(self.heard) if message.get(key) == value]

    def send(self, message: Message | str) -> None:
        assert self._socket is not None, "nobody is connected"
        self._socket.send(message if isinstance(message, str) else json.dumps(message))

    def hang_up(self) -> None:
        """Close the connection, with goodbye."""
        assert self._socket is not None, "nobody is connected"
        self._socket.close()

    def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.headers.append({name.lower(): value for name, value in socket.request.headers.raw_items()})
        self._socket = socket
        try:
            for text in socket:
                message = json.loads(text)
                self.heard.append({**message, "at": time.monotonic()})
                if self._on_message is not None:
                    self._on_message(self, message)
        except ConnectionClosed:
            pass
        finally:
            self.closes += 1
