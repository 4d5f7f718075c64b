# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and WebSocket connections that a slow or hostile client cannot hold: uvicorn's own, with deadlines and bounds.

- A request is whole 15 s after its first byte (or after connecting), or the connection ends. Of lists, which may be
  long (`gateway.api.limits`), a piece comes every 15 s while we read.
- Who reads nothing for 10 s (WebSocket) or 30 s (HTTP) is cut off. Until then nothing more is written for them than the
  kernel holds.
- What a WebSocket sends is read when the application asks for it: one message may have 4 MiB, in any number of
  fragments; of small ones 5,000 may wait. No compression, a ping every 20 s.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.http11 import Request

from gateway.api.limits import STREAMED_PATH

MAX_HTTP_CONNECTIONS = 500
"""More than that are answered 503: slow clients must not take the descriptors that calls need."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""30 s of 48 kHz audio are 2.9 MB."""
PING_S = 20.0
_MAX_WAITING_MESSAGES = 5000
"""Of one connection. The socket is read 256 KiB at a time; that many frames of Opus fit in."""
_REQUEST_S = 15.0
_READER_S = 30.0
_WEBSOCKET_READER_S = 10.0
_POLICY_VIOLATION = 1008

_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connections(ServerState):
    """What the connections of one server share."""

    def __init__(self) -> None:
        super().__init__()
        self.http = 0
        """How many speak HTTP now, WebSockets not counted."""


class HttpConnection(H11Protocol):
    """HTTP/1.1 with deadlines."""

    server_state: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Nothing waits in our memory: a writer is paused as soon as the kernel takes no more.
        transport.set_write_buffer_limits(high=0)
        self._is_upgraded = False
        self._is_counted = True
        self.server_state.http += 1
        self._request_deadline: asyncio.TimerHandle | None = None
        self._reader_deadline: asyncio.TimerHandle | None = None
        if self.server_state.http > MAX_HTTP_CONNECTIONS:
            transport.write(_TOO_MANY)
            transport.close()
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._let_go()

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_upgraded:
            return
        state = str(self.conn.their_state)
        if state == "SEND_BODY" or (state == "IDLE" and self.conn.trailing_data[0]):
            if self._is_streaming:
                self._drop_request_deadline()
            self._expect_request()
        else:
            self._drop_request_deadline()

    @property
    def _is_streaming(self) -> bool:
        """The application is reading a body that may be long."""
        is_unanswered = self.cycle is not None and not self.cycle.response_complete
        return is_unanswered and STREAMED_PATH.fullmatch(self.scope["path"]) is not None

    def _drop_request_deadline(self) -> None:
        if self._request_deadline is not None:
            self._request_deadline.cancel()
            self._request_deadline = None

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._is_upgraded = True
        self._let_go()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader_deadline = self.loop.call_later(_READER_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader_deadline is not None:
            self._reader_deadline.cancel()
            self._reader_deadline = None

    def _expect_request(self) -> None:
        """The deadline counts from the first byte: more bytes do not move it, but for a body that may be long."""
        if self._request_deadline is None:
            self._request_deadline = self.loop.call_later(_REQUEST_S, self._give_up_request)

    def _give_up_request(self) -> None:
        self._request_deadline = None
        if self._is_streaming and self.flow.read_paused:  # it is we who are slow
            self._expect_request()
            return
        if str(self.conn.our_state) in ("IDLE", "SEND_RESPONSE") and not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
        self.transport.abort()

    def _let_go(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self.server_state.http -= 1
        for deadline in (self._request_deadline, self._reader_deadline):
            if deadline is not None:
                deadline.cancel()
        self._request_deadline = self._reader_deadline = None


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket (RFC 6455) whose peer may be slow, or worse."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._reader_deadline: asyncio.TimerHandle | None = None
        self._fragments = bytearray()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_deadline()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader_deadline = self.loop.call_later(_WEBSOCKET_READER_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # uvicorn would leave it open for good: a line of more than 8 KiB, a body (websockets.http11.Request).
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(_NO_HANDSHAKE)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.transport.is_closing():
            # Nothing more is read before the application has let the peer in and asks for its messages.
            self.read_paused = True
            self.transport.pause_reading()

    def handle_cont(self, event: Frame) -> None:
        # uvicorn keeps the fragments in a list: of one byte each, they would take forty times their size.
        if self.frames:
            self._fragments = bytearray(self.frames.pop())
        self._fragments += event.data
        if event.fin:
            self.frames = [bytes(self._fragments)]
            self._fragments = bytearray()
            self.send_receive_event_to_app()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # who does not read gets no pong, and cannot fill our memory with them

    def send_receive_event_to_app(self) -> None:
        if self.queue.qsize() >= _MAX_WAITING_MESSAGES and not self.close_sent:
            self.conn.fail(_POLICY_VIOLATION, "too many messages")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # uvicorn takes a refusal for none, and logs an error for each

    def _end_deadline(self) -> None:
        if self._reader_deadline is not None:
            self._reader_deadline.cancel()
            self._reader_deadline = None
