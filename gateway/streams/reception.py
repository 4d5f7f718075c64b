# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backends that come to us meet the streams that wait for one.

    stream without a URL > Connector.connect > a seat          \\
                                                 > first come, first served, per call > Visitor.admit > connection
    backend > WebSocket /calls/{id}/stream > Reception.seat    /

A stream waits when its backend is expected (a route without `stream_url`) or was lost: coming again is reconnecting. A
backend that finds nobody waiting starts a stream of its own (`gateway.api.attach`), with `connector(visitor)`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.streams.connection import ConnectFailed, Connection, Receiver
from gateway.streams.order import StreamOrder


class Visitor(Protocol):
    """A backend at the door."""

    listens_only: bool
    """It may hear and do nothing else."""

    async def admit(self, subprotocol: str | None, receiver: Receiver) -> Connection:
        """Let it in. Raises `ConnectFailed` when it has gone."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    order: StreamOrder
    taken: "asyncio.Future[Visitor]"

    def fits(self, visitor: Visitor) -> bool:
        return not self.taken.done() and not (visitor.listens_only and self.order.talks)


class Reception:
    """One for the process. As many seats as there are streams that wait."""

    def __init__(self) -> None:
        self._seats: dict[str, list[_Seat]] = {}
        self._line: dict[str, list[Visitor]] = {}
        """Every visitor stands here for its admission time at most."""

    def seat(self, call_id: str, visitor: Visitor) -> bool:
        """Give the visitor to the stream of this call that has waited longest; False: none waits for such a one."""
        for seat in self._seats.get(call_id, ()):
            if seat.fits(visitor):
                seat.taken.set_result(visitor)
                return True
        return False

    def line_up(self, call_id: str, visitor: Visitor) -> None:
        """Let the visitor wait for a stream of this call that has noticed its loss, and will be waiting in a moment."""
        self._line.setdefault(call_id, []).append(visitor)

    def leave(self, call_id: str, visitor: Visitor) -> None:
        """The visitor waits no longer; one that does not is no fault."""
        line = self._line.get(call_id, [])
        if visitor in line:
            line.remove(visitor)
            if not line:
                del self._line[call_id]

    def connector(self, first: Visitor | None = None) -> "ReceptionConnector":
        """For one stream; its first connection is this visitor, if one has come already."""
        return ReceptionConnector(self._wait, first)

    async def _wait(self, call_id: str, order: StreamOrder) -> Visitor:
        seat = _Seat(order, asyncio.get_running_loop().create_future())
        for visitor in self._line.get(call_id, ()):
            if seat.fits(visitor):
                self.leave(call_id, visitor)
                return visitor
        seats = self._seats.setdefault(call_id, [])
        seats.append(seat)
        try:
            return await seat.taken
        finally:
            seats.remove(seat)
            if not seats:
                self._seats.pop(call_id, None)


class ReceptionConnector:
    """Its connections are opened by the other side: connecting is waiting for it."""

    def __init__(self, wait: Callable[[str, StreamOrder], Awaitable[Visitor]], first: Visitor | None) -> None:
        self._wait = wait
        self._first = first

    async def connect(
        self, call_id: str, order: StreamOrder, subprotocol: str | None, receiver: Receiver
    ) -> Connection:
        while True:
            visitor, self._first = self._first, None
            if visitor is None:
                visitor = await self._wait(call_id, order)
            try:
                return await visitor.admit(subprotocol, receiver)
            except ConnectFailed:  # it did not stay: wait for the next
                continue
