# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets that we open towards backends, through the guard."""

import socket
import ssl
import time
from collections.abc import Callable, Mapping

from agent.websocket import NotConnected, open_websocket
from gateway.errors import UrlRefused, UrlUnreachable
from gateway.guard import STREAM_URL, OutboundGuard
from gateway.streams.connection import ConnectFailed, Connection, Receiver
from gateway.streams.order import StreamOrder

_SEND_BUFFER_BYTES = 32 * 1024
"""The kernel's, which doubles it: audio that has left us cannot give way any more to newer."""

UpgradeHeaders = Callable[[str, StreamOrder, float], Mapping[str, str]]
"""What the upgrade request carries besides: of the call's id, the order, and the wall time."""


class WebSocketConnector:
    """One for the process."""

    def __init__(self, guard: OutboundGuard, headers: UpgradeHeaders, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whom to trust; by default the system's certificate authorities."""
        self._guard = guard
        self._headers = headers
        self._tls = tls or ssl.create_default_context()

    async def connect(
        self, call_id: str, order: StreamOrder, subprotocol: str | None, receiver: Receiver
    ) -> Connection:
        headers = dict(self._headers(call_id, order, time.time()))
        if order.token:
            headers["Authorization"] = f"Bearer {order.token}"
        if subprotocol is not None:
            headers["Sec-WebSocket-Protocol"] = subprotocol
        tcp = await self._open(order.url)
        try:
            return await open_websocket(order.url, receiver, headers=headers, tls=self._tls, tcp=tcp)
        except NotConnected as fault:
            if fault.status is None:
                raise ConnectFailed(str(fault)) from fault
            cause = f"the backend answered {fault.status}"
            raise ConnectFailed(cause, is_final=400 <= fault.status < 500) from fault

    async def _open(self, url: str) -> socket.socket:
        try:
            _, tcp = await self._guard.connect(url, STREAM_URL)
        except UrlRefused as refusal:
            raise ConnectFailed(str(refusal), is_final=True) from refusal
        except UrlUnreachable as fault:
            raise ConnectFailed(str(fault)) from fault
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return tcp
