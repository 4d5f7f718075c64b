# SPDX-License-Identifier: GPL-3.0-or-later
"""The events of all nodes of a cluster, as this one has heard them: an `EventReading` whose places hold at every node.

our log, told ──┐
Redis (theirs) ─┴─> in order for each run, each once ──> memory ──> feeds, polls
                    what a reader missed comes from the database, run after run, then from memory
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from gateway.events.bus import EventBus
from gateway.events.event import Event, EventKind
from gateway.events.log import EventLog, Wanted
from gateway.events.reading import Place, Told, ToldPage, begin_of, run_of

_RECENT_EVENTS = 2_000
_SKEW = timedelta(seconds=10)
"""Clocks of two nodes may differ by so much, and an event may take so long to a reader of the other."""
_MOST_UNKNOWN = 64
_BY_CURSOR = -2
"""Index of the place of a reader who goes by cursors, run after run."""
_POSITION = re.compile(r"[0-9]{1,9}(-[0-9]{1,19}){0,300}")


class RunArchive(Protocol):
    """The rows of all nodes in their database (`gateway.store.events.EventRows`)."""

    async def read(
        self, after: int, up_to: int, limit: int, *, call_id: str | None, kinds: Collection[EventKind] | None
    ) -> list[Event]: ...

    async def newest_of_runs(self, before: datetime | None = None) -> Mapping[int, int]:
        """The last cursor of each run, of events before that time. Raises `StoreError`."""
        ...

    async def moment(self, cursor: int) -> datetime | None:
        """When the last event of its run up to this cursor was; None: none is kept. Raises `StoreError`."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    event: Event
    node: str
    position: str


class MergedLog:
    """One for the process; made when nothing has been told yet."""

    def __init__(self, own: EventLog, archive: RunArchive, node_id: str, newest: Mapping[int, int]) -> None:
        """`newest`: the last cursor of each run in the archive, at a moment from which on `add` hears of more."""
        self._own = own
        self._archive = archive
        self._me = node_id
        self._run = run_of(own.end + 1)
        self._runs: dict[int, int] = {**newest, self._run: own.end}
        """How far we have told each run."""
        self._over: set[int] = set(newest) - {self._run}
        """Runs that nothing more comes of: they are left out of positions."""
        self.nodes: dict[int, str] = {self._run: node_id}
        """Whose a run is, as far as we know."""
        self._entries: list[_Entry] = []
        self._first = 0
        """How many there were before those in memory."""
        self._runs_before: dict[int, int] = dict(self._runs)
        """`_runs` as it was before the first entry in memory."""
        self._text = ""
        self._more = asyncio.Event()
        own.on_told = lambda event: self.add(event, node_id)

    @property
    def bus(self) -> EventBus:
        return self._own.bus

    @property
    def run(self) -> int:
        """Ours."""
        return self._run

    @property
    def active(self) -> list[int]:
        """Runs of which more may come, but for ours."""
        return [run for run in self._runs if run not in self._over and run != self._run]

    def told_up_to(self, run: int) -> int:
        """The last cursor of a run that was told here."""
        return self._runs.get(run, begin_of(run))

    # What is told

    def add(self, event: Event, node_id: str) -> None:
        """The next event of its run; one that was told already is left out."""
        run = run_of(event.cursor)
        if event.cursor <= self.told_up_to(run):
            return
        self._runs[run] = event.cursor
        self._over.discard(run)
        self.nodes[run] = node_id
        self._text = self._position_text()
        self._entries.append(_Entry(event, node_id, self._text))
        if len(self._entries) >= 2 * _RECENT_EVENTS:
            for entry in self._entries[:_RECENT_EVENTS]:
                self._runs_before[run_of(entry.event.cursor)] = entry.event.cursor
            self._first += _RECENT_EVENTS
            del self._entries[:_RECENT_EVENTS]
        woken, self._more = self._more, asyncio.Event()
        woken.set()

    def skip(self, run: int, cursor: int) -> None:
        """There is nothing more up to this cursor."""
        self._runs[run] = max(cursor, self.told_up_to(run))

    def lives(self, run: int, node_id: str) -> None:
        """A node that tells, or will."""
        self.nodes[run] = node_id
        self._over.discard(run)
        if run not in self._runs:
            self._runs_before.setdefault(run, begin_of(run))
        self._runs.setdefault(run, begin_of(run))

    def is_over(self, run: int) -> None:
        """Nothing more comes of it."""
        if run != self._run:
            self._over.add(run)

    def forget(self, call_id: str) -> None:
        """The call's session has been erased."""
        kept = [entry for entry in self._entries if entry.event.call_id != call_id]
        if len(kept) < len(self._entries):  # places in memory do not hold any more: readers find theirs by position
            self._first += len(self._entries) + 1
            self._entries = []
            self._runs_before = dict(self._runs)

    def _position_text(self) -> str:
        return _text(self._runs, self._over)

    # EventReading

    def now(self) -> Place:
        return self._place(dict(self._runs), self._first + len(self._entries))

    def _place(self, runs: Mapping[int, int], index: int, cursor: int | None = None) -> Place:
        top = max(runs, default=0)
        left_out = {run for run in self._over if runs.get(run, 0) >= self.told_up_to(run)}
        newest = max(runs.values(), default=0)
        is_in_step = index >= self._first + len(self._entries) and runs == self._runs
        text = _text(runs, left_out)
        return Place(newest if cursor is None else cursor, runs, top, index, is_in_step, text)

    async def after(self, cursor: int | None, position: str | None, *, live: bool) -> tuple[Place, bool]:
        if position is not None:
            place = self._parsed(position)
        elif cursor is None:
            return self.now(), True
        elif live and cursor > 0:
            place = await self._around(cursor)
        else:
            runs = {run_of(cursor): cursor} if cursor else {}
            place = Place(cursor, runs, run_of(cursor), -1 if live else _BY_CURSOR)
        return place, await self._is_complete(place)

    async def _around(self, cursor: int) -> Place:
        """One cursor says nothing of the other runs: a reader gets what they told since shortly before."""
        moment = await self._archive.moment(cursor)
        run = run_of(cursor)
        if moment is None:
            return Place(cursor, {run: cursor}, run)
        seen = await self._archive.newest_of_runs(moment - _SKEW)
        runs = {other: seen.get(other, begin_of(other)) for other in self._runs}
        return self._place({**runs, run: cursor}, -1, cursor)

    async def _is_complete(self, place: Place) -> bool:
        """What a run has lost by age is its beginning: an event that the reader has seen, and is kept, proves that
        nothing after it is gone."""
        if self._is_in_memory(place):
            return True
        for run, end in self._runs.items():
            seen = place.seen(run, end)
            if seen >= end:
                continue
            if seen > begin_of(run):
                if await self._archive.moment(seen) is None:
                    return False
            elif self._own.kept_after > seen:
                return False
        return all(cursor <= self.told_up_to(run) or run in self.nodes for run, cursor in place.runs.items())

    def _is_in_memory(self, place: Place) -> bool:
        return all(place.seen(run, end) >= end for run, end in self._runs_before.items())

    async def read(self, place: Place, limit: int, wanted: Wanted) -> ToldPage:
        if place.index != _BY_CURSOR and (place.index >= self._first or self._is_in_memory(place)):
            return self._read_recent(place, limit, wanted)
        for run in sorted(self._runs):
            end = self._runs[run]
            seen = place.seen(run, end)
            if seen < end:
                events = await self._archive.read(seen, end, limit, call_id=wanted.call_id, kinds=wanted.kinds)
                node = self.nodes.get(run, "")
                told = []
                for event in events:
                    told.append(Told(event, node, self._past(place, run, event.cursor).text))
                return ToldPage(told, self._past(place, run, events[-1].cursor if len(events) == limit else end))
        everything = self._all_seen(place)
        if place.index == _BY_CURSOR:
            return ToldPage((), self._place(everything, _BY_CURSOR, max(place.cursor, *everything.values())))
        return ToldPage((), self._place(everything, self._first + len(self._entries)))

    def _all_seen(self, place: Place) -> dict[int, int]:
        return {**self._runs, **{run: max(cursor, self.told_up_to(run)) for run, cursor in place.runs.items()}}

    def _past(self, place: Place, run: int, cursor: int) -> Place:
        """The same, and further in one run."""
        runs = {other: place.seen(other, end) for other, end in self._runs.items()} | {**place.runs, run: cursor}
        return self._place(runs, min(place.index, -1), cursor)

    def _read_recent(self, place: Place, limit: int, wanted: Wanted) -> ToldPage:
        begin = max(place.index - self._first, 0)
        ahead = {run: cursor for run, cursor in place.runs.items() if cursor > self._runs_before.get(run, 0)}
        """Of a reader who comes from a node that was further than we, or whom we have not followed so far."""
        is_in_step = place.is_in_step and place.index >= self._first
        runs = self._listed(place)
        told: list[Told] = []
        index = self._first + len(self._entries)
        for at in range(begin, len(self._entries)):
            entry = self._entries[at]
            run = run_of(entry.event.cursor)
            if entry.event.cursor <= ahead.get(run, 0):
                continue
            runs[run] = entry.event.cursor
            if entry.event not in wanted:
                continue
            position = entry.position if is_in_step else self._place(runs, -1).text
            told.append(Told(entry.event, entry.node, position))
            if len(told) == limit:
                index = self._first + at + 1
                break
        after = self._place(runs, index)
        return ToldPage(told, replace(after, is_in_step=is_in_step or after.is_in_step))

    def _listed(self, place: Place) -> dict[int, int]:
        """How far a reader is in every run that there was before the first event in memory, and in his own."""
        return {run: place.seen(run, end) for run, end in self._runs_before.items()} | dict(place.runs)

    async def wait(self, place: Place) -> None:
        while place.index >= self._first + len(self._entries):
            await self._more.wait()

    def _parsed(self, position: str) -> Place:
        """Raises `ValueError`."""
        if not _POSITION.fullmatch(position):
            raise ValueError("a position is what an event of a cluster has there")
        top, *cursors = map(int, position.split("-"))
        runs = {run_of(cursor): cursor - 1 for cursor in cursors}
        return Place(runs.get(self._run, self._own.end), runs, top, -1, position)


def _text(runs: Mapping[int, int], left_out: Collection[int]) -> str:
    """Of each run the first cursor that is not seen: before its first one there is a cursor of another run. A run
    between that nobody here has heard of may just have begun elsewhere: nothing of it is seen."""
    top = max(runs, default=0)
    oldest = min((run for run in runs if run not in left_out), default=top)
    unknown = {run: begin_of(run) for run in range(max(oldest, top - _MOST_UNKNOWN), top) if run not in runs}
    told = (str(cursor + 1) for run, cursor in sorted({**runs, **unknown}.items()) if run not in left_out)
    return "-".join((str(top), *told))
