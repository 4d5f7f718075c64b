# SPDX-License-Identifier: GPL-3.0-or-later
"""One WebSocket to a service: what its dialect says goes out, what comes is handed on, and its end is an error's name.

Everything happens in callbacks on the event loop's thread: no task and no queue of its own.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.clients.faults import ConnectionLost, refusal
from agent.errors import ServiceError, ServiceRejected
from agent.websocket import Disconnected, NotConnected, WebSocket, WireMessage, open_websocket


class Talk(Protocol):
    """What every streaming dialect has."""

    @property
    def keep_alive_s(self) -> float: ...

    def url(self) -> str: ...

    def headers(self) -> Mapping[str, str]: ...

    def opening(self) -> Sequence[WireMessage]: ...

    def keep_alive(self) -> Sequence[WireMessage]: ...

    def closing(self) -> Sequence[WireMessage]: ...

    def closed(self, code: int, reason: str) -> ServiceError: ...


class Link:
    """An open connection."""

    def __init__(
        self, talk: Talk, on_message: Callable[[WireMessage], None], on_end: Callable[[ServiceError], None]
    ) -> None:
        """Made by `connect`."""
        self._talk = talk
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._websocket: WebSocket | None = None
        self._wrote_at = self._loop.time()
        self._keeping: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.is_congested = False
        """The service reads too slowly: hold back what can be."""
        self.on_room: Callable[[], None] = lambda: None
        """It reads again."""

    @classmethod
    async def connect(
        cls,
        service: str,
        talk: Talk,
        on_message: Callable[[WireMessage], None],
        on_end: Callable[[ServiceError], None],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> "Link":
        """Open one and say what `talk` opens with. `on_end` is told why it ended, once, unless it was closed here.
        `tls`: whom to trust, if not the system's authorities. Raises `ServiceError`."""
        link = cls(talk, on_message, on_end)
        try:
            link._websocket = await open_websocket(_websocket_url(talk.url()), link, headers=talk.headers(), tls=tls)
        except NotConnected as fault:
            if fault.status:
                raise refusal(service, fault.status) from None
            raise ConnectionLost(service, f"cannot be connected to ({fault})") from None
        except ValueError as fault:
            raise ServiceRejected(service, f"its URL cannot be used ({type(fault).__name__})") from None
        link.send(talk.opening())
        link._keep_alive()
        return link

    def send(self, messages: Sequence[WireMessage]) -> None:
        """In order. After the end it does nothing."""
        if self._websocket is None or self._is_closed:
            return
        for message in messages:
            self._websocket.write(message)
        if messages:
            self._wrote_at = self._loop.time()

    def close(self) -> None:
        """Say goodbye and end it."""
        if self._is_closed:
            return
        self.send(self._talk.closing())
        self._end()
        if self._websocket is not None:
            self._websocket.close()

    def abort(self) -> None:
        """End it at once: what was written does not matter any more."""
        self._end()
        if self._websocket is not None:
            self._websocket.abort()

    # A receiver (agent.websocket)

    def receive(self, message: WireMessage) -> None:
        if not self._is_closed:
            self._on_message(message)

    def congested(self, is_congested: bool) -> None:
        self.is_congested = is_congested
        if not is_congested:
            self.on_room()

    def disconnected(self, how: Disconnected) -> None:
        if not self._is_closed:
            self._end()
            self._on_end(self._talk.closed(how.code, how.reason))

    def _end(self) -> None:
        self._is_closed = True
        if self._keeping is not None:
            self._keeping.cancel()

    def _keep_alive(self) -> None:
        if self._is_closed:
            return
        now = self._loop.time()
        if now >= self._wrote_at + self._talk.keep_alive_s:
            self.send(self._talk.keep_alive())
            self._wrote_at = now
        self._keeping = self._loop.call_at(self._wrote_at + self._talk.keep_alive_s, self._keep_alive)


def _websocket_url(url: str) -> str:
    """The same place, for those who wrote `https://`."""
    scheme, separator, rest = url.partition("://")
    return {"https": "wss", "http": "ws"}.get(scheme.lower(), scheme) + separator + rest
