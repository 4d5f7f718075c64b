# SPDX-License-Identifier: GPL-3.0-or-later
"""How feeds and polls read events: of this gateway (`OwnEvents`), or of a whole cluster (`gateway.events.merged`).

Every run of a gateway has cursors of its own, so one cursor is a place in the events of one run. Where there are
several runs at a time, a *position* says how far a reader is in each of them; it means the same at every node:

    9-7000000412-9000000033    in run 7 all before ...412, in run 9 before ...033; of the other runs up to 9, all
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.events.bus import EventBus
from gateway.events.event import Event
from gateway.events.log import EventLog, Wanted

CURSORS_PER_RUN = 10**9
"""Cursors of the n-th run of a gateway on a database begin at n times this: no crash makes one come twice."""


def run_of(cursor: int) -> int:
    """Whose cursor this is."""
    return cursor // CURSORS_PER_RUN


def begin_of(run: int) -> int:
    """The cursor before its first."""
    return run * CURSORS_PER_RUN - 1


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader is."""

    cursor: int
    """Of the last event of this gateway's, or what was given as such."""
    runs: Mapping[int, int] = field(default_factory=dict)
    """The last cursor of each run; of runs up to `top` that are not here, everything."""
    top: int = 0
    index: int = -1
    """Where that is in the memory of this process; -1: to be found out."""
    is_in_step: bool = False
    """The reader has what this process has told up to `index`, and nothing else."""
    text: str | None = None
    """As a position; None: there is no cluster."""

    def seen(self, run: int, end: int) -> int:
        """The last cursor that the reader has of a run that goes up to `end`."""
        found = self.runs.get(run)
        if found is not None:
            return found
        return end if run <= self.top else begin_of(run)


@dataclass(frozen=True, slots=True)
class Told:
    """An event for a reader."""

    event: Event
    node: str | None = None
    """Where it arose; None: there is no cluster."""
    position: str | None = None
    """After it."""

    def as_json(self) -> str:
        """As feeds tell it."""
        text = self.event.as_json()
        if self.position is None:
            return text
        return f'{text[:-1]},"node":"{self.node}","position":"{self.position}"}}'


@dataclass(frozen=True, slots=True)
class ToldPage:
    """Some of them, oldest first."""

    told: Sequence[Told]
    place: Place
    """Read on after this: it is also past what was not wanted."""


class EventReading(Protocol):
    """What feeds and polls need."""

    @property
    def bus(self) -> EventBus: ...

    def now(self) -> Place:
        """Behind all that was told."""
        ...

    async def after(self, cursor: int | None, position: str | None, *, live: bool) -> tuple[Place, bool]:
        """Behind what a reader has seen; and whether all since then is still there. `live`: it is going to follow,
        and must miss nothing, were it told twice. Raises `ValueError`, `StoreError`."""
        ...

    async def read(self, place: Place, limit: int, wanted: Wanted) -> ToldPage:
        """What came after; an empty page says only that there is nothing up to its place. Raises `StoreError`."""
        ...

    async def wait(self, place: Place) -> None:
        """Until there is something after it."""
        ...


class OwnEvents:
    """The log of this gateway, as an `EventReading`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    @property
    def bus(self) -> EventBus:
        return self._log.bus

    def now(self) -> Place:
        return Place(self._log.end)

    async def after(self, cursor: int | None, position: str | None, *, live: bool) -> tuple[Place, bool]:
        if position is not None:
            raise ValueError("there is no cluster here: go on with `after`, a cursor")
        if cursor is None:
            return self.now(), True
        is_complete = self._log.kept_after <= cursor <= self._log.end
        return Place(min(cursor, self._log.end) if live else cursor), is_complete

    async def read(self, place: Place, limit: int, wanted: Wanted) -> ToldPage:
        page = await self._log.read(place.cursor, limit, wanted)
        return ToldPage([Told(event) for event in page.events], Place(page.position))

    async def wait(self, place: Place) -> None:
        await self._log.wait(place.cursor)
