# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened lately, to be read from any cursor on: by feeds, polls and webhooks alike.

    EventBus > EventLog.receive > database > told (the last 2,000 in memory) > read, wait

Kept events are told once they are in the database, so nobody has seen a cursor that a crash takes back; the others in
their order between them. A reader holds no queue: it reads on from its cursor, from memory, or from the database when
it is further behind. Events that the database refuses are told all the same, and lost at the end of the process.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Protocol

from gateway.events.bus import EventBus
from gateway.events.catalogue import KEPT_KINDS
from gateway.events.event import Event, EventKind

_RECENT_EVENTS = 2_000
_UNSETTLED_EVENTS = 20_000
"""With so many waiting for the database, those that are not kept are left out."""


class EventArchive(Protocol):
    """The log's rows in the database (`gateway.store.events.EventRows`)."""

    async def read(
        self, after: int, up_to: int, limit: int, *, call_id: str | None, kinds: Collection[EventKind] | None
    ) -> list[Event]:
        """Oldest first, cursors in (after, up_to]. Raises `StoreError`."""
        ...


WriteEvent = Callable[[Event, Sequence[str], Callable[[], None]], None]
"""Queue an event for the database, with the names of the webhooks that are to get it, and say when it is there, or
never will be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a reader is interested in."""

    kinds: frozenset[EventKind] | None = None
    """None: all."""
    call_id: str | None = None
    """None: of all calls."""

    def __contains__(self, event: Event) -> bool:
        return (self.kinds is None or event.kind in self.kinds) and self.call_id in (None, event.call_id)


@dataclass(frozen=True, slots=True)
class Page:
    """Events, oldest first."""

    events: Sequence[Event]
    position: int
    """Read on after this: it is also past what was not wanted."""


@dataclass(slots=True)
class _Unsettled:
    event: Event
    is_settled: bool = False
    is_erased: bool = False


@dataclass(slots=True)
class _Recent:
    """The newest events that were told: all that came after the cursor `begin`."""

    begin: int
    events: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) >= 2 * _RECENT_EVENTS:
            self.begin = self.events[_RECENT_EVENTS - 1].cursor
            del self.events[:_RECENT_EVENTS]


class EventLog:
    """One for the process, made before anything is published: what was before is in the archive only."""

    def __init__(
        self,
        bus: EventBus,
        archive: EventArchive,
        write: WriteEvent,
        webhooks: Mapping[str, frozenset[EventKind]] | None = None,
        *,
        kept_after: int = 0,
    ) -> None:
        """`webhooks`: which kinds each of them gets. `kept_after`: the archive is complete after this cursor."""
        self._archive = archive
        self._write = write
        self._webhooks = dict(webhooks or {})
        self._unsettled: deque[_Unsettled] = deque()
        self._recent = _Recent(bus.end)
        self._more = asyncio.Event()
        self.bus = bus
        bus.follow(self.receive)
        self.begin = bus.end
        """Events of this run of the gateway come after this."""
        self.end = bus.end
        """Cursor of the newest event that was told."""
        self.on_told: Callable[[Event], None] = lambda event: None
        """Told of each event when readers can have it, in order."""
        self.kept_after = kept_after
        """What came after this can be read; what came before is partly gone."""

    def receive(self, event: Event) -> None:
        """Take an event of the bus."""
        entry = _Unsettled(event)
        if event.kind in KEPT_KINDS:
            self._unsettled.append(entry)
            names = [name for name, kinds in self._webhooks.items() if event.kind in kinds]
            self._write(event, names, partial(self._settle, entry))
        elif len(self._unsettled) < _UNSETTLED_EVENTS:
            self._unsettled.append(entry)
            self._settle(entry)

    async def read(self, after: int, limit: int, wanted: Wanted) -> Page:
        """What came after a cursor. An empty page says only that there is nothing up to its `position`.

        Events that are not kept are found among the newest only. Raises `StoreError`.
        """
        if after >= self._recent.begin:
            return self._read_recent(after, limit, wanted)
        end = self.end
        events = await self._archive.read(after, end, limit, call_id=wanted.call_id, kinds=wanted.kinds)
        return Page(events, events[-1].cursor if len(events) == limit else end)

    async def wait(self, after: int) -> None:
        """Until there is something after this cursor."""
        while self.end <= after:
            await self._more.wait()

    def forget(self, call_id: str) -> None:
        """The call's session has been erased."""
        self._recent.events = [event for event in self._recent.events if event.call_id != call_id]
        for entry in self._unsettled:
            entry.is_erased = entry.is_erased or entry.event.call_id == call_id

    def _read_recent(self, after: int, limit: int, wanted: Wanted) -> Page:
        events = self._recent.events
        found: list[Event] = []
        for index in range(bisect_right(events, after, key=attrgetter("cursor")), len(events)):
            if events[index] in wanted:
                found.append(events[index])
                if len(found) == limit:
                    return Page(found, events[index].cursor)
        return Page(found, max(after, self.end))

    def _settle(self, entry: _Unsettled) -> None:
        entry.is_settled = True
        if not (self._unsettled and self._unsettled[0].is_settled):
            return
        while self._unsettled and self._unsettled[0].is_settled:
            told = self._unsettled.popleft()
            self.end = told.event.cursor
            if not told.is_erased:
                self._recent.add(told.event)
                self.on_told(told.event)
        woken, self._more = self._more, asyncio.Event()
        woken.set()
