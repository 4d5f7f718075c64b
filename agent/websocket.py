# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets that we open, towards services and backends (RFC 6455): the one door to picows.

Why picows: of a connection with 50 messages of 320 bytes each way per second it takes about half the CPU of
websockets on uvloop (measured: 0.12 % of a core against 0.22 %, on a machine that was otherwise busy).
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import picows

WireMessage = str | bytes
"""A text or a binary message."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Half a minute of 48 kHz, or of 16 kHz in base64, and some more."""
NORMAL_CLOSURE = 1000
"""Close code of RFC 6455 section 7.4.1."""
MESSAGE_TOO_BIG = 1009
ABNORMAL_CLOSURE = 1006
"""Nobody said goodbye."""
_INVALID_TEXT = 1007
_NO_STATUS = 1005
_MAX_REASON_BYTES = 123
_HANDSHAKE_S = 5.0
_PING_S = 15.0
_PONG_S = 10.0
_LINGER_S = 3.0
"""How long a goodbye may take."""
_HIGH_WATER_BYTES = 16 * 1024
_SILENT = logging.getLogger("picows.silent")
_SILENT.setLevel(logging.CRITICAL + 1)  # what matters is told by `Disconnected` and `NotConnected`
_TEXT, _BINARY = picows.WSMsgType.TEXT, picows.WSMsgType.BINARY


@dataclass(frozen=True, slots=True)
class Disconnected:
    """How a connection ended."""

    code: int = ABNORMAL_CLOSURE
    reason: str = ""
    """Ours, or what the other end gave."""

    @property
    def is_normal(self) -> bool:
        """The other end closed it in good order, rather than being lost."""
        return self.code == NORMAL_CLOSURE


class NotConnected(Exception):
    """There is no WebSocket."""

    def __init__(self, cause: str, status: int | None = None) -> None:
        super().__init__(cause)
        self.status = status
        """Of the HTTP response that refused the upgrade; None: there was none."""


class Receiver(Protocol):
    """Takes what a connection brings, on the event loop's thread."""

    def receive(self, message: WireMessage) -> None:
        """A whole message."""
        ...

    def congested(self, is_congested: bool) -> None:
        """What was written waits, because the other end reads too slowly; or is on its way again."""
        ...

    def disconnected(self, how: Disconnected) -> None:
        """Once, and the last thing that is told."""
        ...


async def open_websocket(
    url: str,
    receiver: Receiver,
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    tcp: socket.socket | None = None,
) -> "WebSocket":
    """One connection, whose end is found within half a minute (pings). Nothing is given to the receiver before this
    returns. `tls`: whom to trust; by default the system's certificate authorities. `tcp`: a connection to the server
    that is there already. Raises `NotConnected`."""
    connection = WebSocket(receiver)
    is_done = False
    try:
        await picows.ws_connect(
            lambda: connection,
            url,
            ssl_context=tls or (ssl.create_default_context() if url.startswith("wss:") else None),
            socket_factory=(lambda _: tcp) if tcp is not None else None,
            websocket_handshake_timeout=_HANDSHAKE_S,
            enable_auto_ping=True,
            auto_ping_idle_timeout=_PING_S,
            auto_ping_reply_timeout=_PONG_S,
            auto_ping_strategy=picows.WSAutoPingStrategy.PING_PERIODICALLY,
            max_frame_size=MAX_MESSAGE_BYTES,
            extra_headers=headers,
            max_redirects=0,
            logger_name=_SILENT,
        )
        if not connection.has_opened:
            raise NotConnected("it closed the connection before it answered")
        is_done = True
    except picows.WSInvalidStatusError as refusal:
        status = 0 if refusal.response is None else int(refusal.response.status)
        raise NotConnected(f"it answered {status}", status) from None
    except (picows.WSError, OSError, ssl.SSLError, TimeoutError) as fault:
        raise NotConnected(f"no WebSocket: {type(fault).__name__}") from None  # it may quote what the server wrote
    finally:
        if not is_done:
            connection.abort()  # it may have opened in the very moment it was given up
            if tcp is not None:
                # Not closed: picows' transport may still watch the descriptor, and libuv ends the process when one that
                # is watched goes, or comes back as another's. The end that it reads now makes it close.
                with contextlib.suppress(OSError):  # it has closed it already
                    tcp.shutdown(socket.SHUT_RDWR)
    connection.release_soon()
    return connection


class WebSocket(picows.WSListener):
    """A connection, and what picows tells of it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._receive = receiver.receive
        self._transport: picows.WSTransport | None = None
        self.has_opened = False
        """The upgrade was agreed to: picows also returns when the connection ends before that."""
        self._early: list[WireMessage] | None = []
        """What came before whoever connects had the connection."""
        self._fragments = bytearray()
        self._fragments_are_text = False
        self._end: Disconnected | None = None
        """How it ended, as far as anybody said so."""

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def release_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._release)

    # From picows

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport
        self.has_opened = True
        transport.underlying_transport.set_write_buffer_limits(_HIGH_WATER_BYTES)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        kind = frame.msg_type
        if self._end is not None and kind is not picows.WSMsgType.CLOSE:
            return  # we have said goodbye, or something is wrong with what came before
        if kind is _BINARY and frame.fin and self._early is None:
            payload = frame.get_payload_as_bytes()
            if len(payload) <= MAX_MESSAGE_BYTES:  # picows ends the connection for it, but may hand it over before
                self._receive(payload)
        elif kind in (_TEXT, _BINARY):
            self._begin_message(frame, is_text=kind is _TEXT)
        elif kind is picows.WSMsgType.CONTINUATION:
            self._fragments += frame.get_payload_as_memoryview()
            self._maybe_end_message(frame)
        elif kind is picows.WSMsgType.CLOSE:
            code = int(frame.get_close_code()) or _NO_STATUS  # type: ignore[call-overload]
            reason = bytes(frame.get_close_message() or b"").decode("utf-8", "replace")
            self._end = self._end or Disconnected(NORMAL_CLOSURE if code == _NO_STATUS else code, reason)
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._transport = None
        self._fragments.clear()
        if self._early is None:
            self._receiver.disconnected(self._end or Disconnected(ABNORMAL_CLOSURE))

    def pause_writing(self) -> None:
        self._receiver.congested(True)

    def resume_writing(self) -> None:
        self._receiver.congested(False)

    # A connection

    def write(self, message: WireMessage) -> None:
        """Send, in order. After the end it does nothing. Whoever writes heeds `Receiver.congested`."""
        if self._transport is not None:
            if isinstance(message, bytes):
                self._transport.send(_BINARY, message)
            else:
                self._transport.send(_TEXT, message.encode())

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Say goodbye and end it; what was written is still sent if the other end takes it within a few seconds."""
        if self._transport is not None and self._end is None:
            self._end = Disconnected(code, reason)
            # Its stub says an enumeration; it takes the number of any code.
            self._transport.send_close(code, reason.encode()[:_MAX_REASON_BYTES])  # type: ignore[arg-type]
            asyncio.get_running_loop().call_later(_LINGER_S, self.abort)

    def abort(self) -> None:
        """End it now: the other end does not read."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # Messages

    def _begin_message(self, frame: picows.WSFrame, *, is_text: bool) -> None:
        self._fragments = bytearray(frame.get_payload_as_memoryview())
        self._fragments_are_text = is_text
        self._maybe_end_message(frame)

    def _maybe_end_message(self, frame: picows.WSFrame) -> None:
        if len(self._fragments) > MAX_MESSAGE_BYTES:
            self._fragments.clear()
            self.close(MESSAGE_TOO_BIG, "message too big")
            return
        if not frame.fin:
            return
        payload = bytes(self._fragments)
        self._fragments.clear()
        message: WireMessage = payload
        if self._fragments_are_text:
            try:
                message = payload.decode()
            except UnicodeDecodeError:
                self.close(_INVALID_TEXT, "text that is not UTF-8")
                return
        if self._early is None:
            self._receive(message)
        else:
            self._early.append(message)

    def _release(self) -> None:
        early, self._early = self._early, None
        for message in early or ():
            self._receive(message)
        if self._transport is None:
            self._receiver.disconnected(self._end or Disconnected(ABNORMAL_CLOSURE))
