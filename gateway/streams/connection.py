# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to one backend, whoever opened it: a WebSocket of ours, one that the backend opened towards us, a TCP
connection. Everything happens on the event loop's thread, and nothing in it waits but `Connector.connect`."""

from typing import Protocol

from agent.websocket import (
    ABNORMAL_CLOSURE,
    MESSAGE_TOO_BIG,
    NORMAL_CLOSURE,
    Disconnected,
    Receiver,
    WireMessage,
)
from gateway.errors import GatewayError
from gateway.streams.order import StreamOrder

GOING_AWAY = 1001
"""Close code of RFC 6455 section 7.4.1; the codes stand for the same in connections that are no WebSocket."""
POLICY_VIOLATION = 1008
__all__ = [
    "ABNORMAL_CLOSURE",
    "GOING_AWAY",
    "MESSAGE_TOO_BIG",
    "NORMAL_CLOSURE",
    "POLICY_VIOLATION",
    "ConnectFailed",
    "Connection",
    "Connector",
    "Disconnected",
    "Receiver",
]


class ConnectFailed(GatewayError):
    """There is no connection to the backend."""

    def __init__(self, cause: str, *, is_final: bool = False) -> None:
        super().__init__(cause)
        self.is_final = is_final
        """Trying again would not help: it refused us, or its address is not allowed."""


class Connection(Protocol):
    """An open one."""

    def write(self, message: WireMessage) -> None:
        """Send, in order. After the end it does nothing. Whoever writes heeds `Receiver.congested`."""
        ...

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Say goodbye and end it; what was written is still sent if the other end takes it within a few seconds."""
        ...

    def abort(self) -> None:
        """End it now: the other end does not read."""
        ...


class Connector(Protocol):
    """Opens connections of one kind."""

    async def connect(
        self, call_id: str, order: StreamOrder, subprotocol: str | None, receiver: Receiver
    ) -> Connection:
        """One connection; nothing is given to the receiver before this returns. Raises `ConnectFailed`.

        It is called again when a connection was lost. Where backends come to us, it waits for one to come; whoever
        calls has a time limit and cancels.
        """
        ...
