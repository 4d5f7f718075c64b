# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP connections of ours to backends whose protocol frames itself (`audiosocket`)."""

import asyncio
from typing import cast

from gateway.errors import UrlRefused, UrlUnreachable
from gateway.guard import STREAM_URL, OutboundGuard
from gateway.streams.connection import NORMAL_CLOSURE, ConnectFailed, Connection, Disconnected, Receiver
from gateway.streams.messages import WireMessage
from gateway.streams.order import StreamOrder

_CONNECT_S = 2.0
"""Asterisk's own patience."""
_LINGER_S = 3.0
"""How long a goodbye may take."""
_HIGH_WATER_BYTES = 64 * 1024
"""So much may wait for a slow reader before `congested`: two seconds of 16 kHz."""


class TcpConnector:
    """One for the process. A backend that ends the connection has ended the stream; a broken one is lost."""

    def __init__(self, guard: OutboundGuard) -> None:
        self._guard = guard

    async def connect(
        self, call_id: str, order: StreamOrder, subprotocol: str | None, receiver: Receiver
    ) -> Connection:
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await self._guard.connect(order.url, STREAM_URL)
        except UrlRefused as refusal:
            raise ConnectFailed(str(refusal), is_final=True) from refusal
        except (UrlUnreachable, TimeoutError) as fault:
            raise ConnectFailed(str(fault) or f"no connection within {_CONNECT_S:g} s") from fault
        _, tcp = await asyncio.get_running_loop().create_connection(lambda: _TcpConnection(receiver), sock=connection)
        return tcp


class _TcpConnection(asyncio.Protocol):
    """A `Connection`, and what asyncio tells of it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._has_said_goodbye = False

    # From asyncio

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, made)  # uvloop's is no subclass
        transport.set_write_buffer_limits(_HIGH_WATER_BYTES)
        transport.pause_reading()
        self._loop.call_soon(self._listen, transport)  # not before whoever connects has the connection
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._receiver.receive(data)

    def eof_received(self) -> bool:
        self._has_said_goodbye = True
        return False  # close our side too

    def pause_writing(self) -> None:
        self._receiver.congested(True)

    def resume_writing(self) -> None:
        self._receiver.congested(False)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        is_normal = error is None and self._has_said_goodbye
        self._receiver.disconnected(Disconnected(NORMAL_CLOSURE) if is_normal else Disconnected())

    # A connection

    def write(self, message: WireMessage) -> None:
        assert isinstance(message, bytes), "what has no messages has no text"
        if self._transport is not None:
            self._transport.write(message)

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._transport is not None:
            self._has_said_goodbye = True
            self._transport.close()
            self._loop.call_later(_LINGER_S, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @staticmethod
    def _listen(transport: asyncio.Transport) -> None:
        if not transport.is_closing():
            transport.resume_reading()
