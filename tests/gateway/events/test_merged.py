# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever reads on from a position, at whichever node, misses nothing and gets nothing twice."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import Event, EventBus, EventKind, EventLog, Wanted
from gateway.events import merged as merged_module
from gateway.events.merged import MergedLog
from gateway.events.reading import CURSORS_PER_RUN, Place, Told, begin_of, run_of

ALL = Wanted()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(run: int, number: int, at_s: float = 0.0, call_id: str = "a") -> Event:
    cursor = run * CURSORS_PER_RUN + number
    return Event(cursor, "call.held", call_id, NOON + timedelta(seconds=at_s), {})


@dataclass
class Database:
    """The rows of all nodes."""

    rows: list[Event] = field(default_factory=list)

    async def read(
        self, after: int, up_to: int, limit: int, *, call_id: str | None, kinds: Collection[EventKind] | None
    ) -> list[Event]:
        wanted = Wanted(None if kinds is None else frozenset(kinds), call_id)
        found = (one for one in self.rows if after < one.cursor <= up_to and one in wanted)
        return sorted(found, key=lambda one: one.cursor)[:limit]

    async def newest_of_runs(self, before: datetime | None = None) -> Mapping[int, int]:
        newest: dict[int, int] = {}
        for one in self.rows:
            if before is None or one.at < before:
                newest[run_of(one.cursor)] = max(one.cursor, newest.get(run_of(one.cursor), 0))
        return newest

    async def moment(self, cursor: int) -> datetime | None:
        found = [one for one in self.rows if begin_of(run_of(cursor)) < one.cursor <= cursor]
        return max(found, key=lambda one: one.cursor).at if found else None


def node(database: Database, run: int, name: str) -> MergedLog:
    """Of a gateway that begins now."""
    own = EventLog(EventBus(run * CURSORS_PER_RUN), database, lambda event, webhooks, settled: settled())
    newest: dict[int, int] = {}
    for one in database.rows:
        newest[run_of(one.cursor)] = max(one.cursor, newest.get(run_of(one.cursor), 0))
    return MergedLog(own, database, name, newest)


async def read_all(log: MergedLog, place: Place, limit: int = 7) -> tuple[list[Told], Place]:
    """Until nothing is left."""
    found: list[Told] = []
    while True:
        page = await log.read(place, limit, ALL)
        found += page.told
        if not page.told and page.place.index >= 0:
            return found, page.place
        place = page.place


async def test_events_of_another_node_are_told_with_its_name_and_each_once() -> None:
    database = Database()
    log = node(database, 5, "here")
    start = log.now()
    for one in (event(6, 0), event(6, 1), event(6, 1), event(6, 0), event(6, 2)):
        log.add(one, "there")
    told, _ = await read_all(log, start)
    assert [(one.event.cursor % CURSORS_PER_RUN, one.node) for one in told] == [
        (0, "there"),
        (1, "there"),
        (2, "there"),
    ]
    assert told[-1].position == f"6-{5 * CURSORS_PER_RUN}-{6 * CURSORS_PER_RUN + 3}"


@given(st.integers(0, 10_000))
async def test_a_reader_who_goes_from_node_to_node_misses_nothing_and_gets_nothing_twice(seed: int) -> None:
    chance = random.Random(seed)
    database = Database([event(3, number, number) for number in range(chance.randrange(5))])
    runs = (5, 6, 7)
    logs = {run: node(database, run, f"n{run}") for run in runs}
    for log in logs.values():
        log.is_over(3)
    told_up_to = dict.fromkeys(runs, -1)
    heard = {(here, of): -1 for here in runs for of in runs}
    reader, at_node = logs[5].now(), 5
    position = reader.text
    seen: list[int] = []
    for _ in range(80):
        deed = chance.randrange(3)
        run = chance.choice(runs)
        if deed == 0:  # something happens: in the database, then told
            told_up_to[run] += 1
            database.rows.append(event(run, told_up_to[run], chance.random()))
            logs[run].add(database.rows[-1], f"n{run}")
            heard[run, run] = told_up_to[run]
        elif deed == 1:  # a node hears of some of it
            here = chance.choice(runs)
            while heard[here, run] < told_up_to[run] and chance.random() < 0.7:
                heard[here, run] += 1
                logs[here].add(event(run, heard[here, run]), f"n{run}")
        else:  # the reader reads a bit, and perhaps goes elsewhere
            page = await logs[at_node].read(reader, chance.randrange(1, 5), ALL)
            seen += [one.event.cursor for one in page.told]
            reader = page.place
            if page.told:
                position = page.told[-1].position
            if chance.random() < 0.5:
                at_node = chance.choice(runs)
                reader, _ = await logs[at_node].after(None, position, live=True)
    for here in runs:
        for run in runs:
            for number in range(heard[here, run] + 1, told_up_to[run] + 1):
                logs[here].add(event(run, number), f"n{run}")
    rest, _ = await read_all(logs[at_node], reader)
    seen += [one.event.cursor for one in rest]
    assert sorted(seen) == sorted(one.cursor for one in database.rows if run_of(one.cursor) != 3)


async def test_memory_is_bounded_and_what_fell_out_comes_from_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_module, "_RECENT_EVENTS", 10)
    database = Database()
    log = node(database, 5, "here")
    start = log.now()
    for number in range(45):
        run = 6 if number % 2 else 7
        database.rows.append(event(run, number))
        log.add(database.rows[-1], "there")
    assert len(log._entries) < 20
    told, end = await read_all(log, start)
    assert sorted(one.event.cursor for one in told) == sorted(one.cursor for one in database.rows)
    log.add(event(6, 101), "there")
    assert [one.event.cursor for one in (await read_all(log, end))[0]] == [6 * CURSORS_PER_RUN + 101]


async def test_one_cursor_alone_may_repeat_but_loses_nothing() -> None:
    database = Database([event(5, number, number) for number in range(100)])
    database.rows += [event(6, number, number + 0.5) for number in range(100)]
    log = node(database, 7, "here")
    place, is_complete = await log.after(6 * CURSORS_PER_RUN + 50, None, live=True)
    told, _ = await read_all(log, place)
    numbers = {
        run: [one.event.cursor % CURSORS_PER_RUN for one in told if run_of(one.event.cursor) == run] for run in (5, 6)
    }
    assert is_complete
    assert numbers[6] == list(range(51, 100))
    assert numbers[5] == list(range(numbers[5][0], 100))
    assert 35 <= numbers[5][0] <= 50


async def test_pages_by_cursor_go_through_everything_once() -> None:
    database = Database([event(run, number) for run in (5, 6) for number in range(10)])
    log = node(database, 7, "here")
    cursor, seen = 0, list[int]()
    while True:
        place, _ = await log.after(cursor, None, live=False)
        page = await log.read(place, 3, ALL)
        seen += [one.event.cursor for one in page.told]
        if not page.told and page.place.cursor == cursor:
            break
        cursor = page.place.cursor
    assert seen == [one.cursor for one in database.rows]


async def test_whoever_comes_after_his_events_were_pruned_is_told_so() -> None:
    database = Database([event(run, number, number) for run in (5, 6) for number in range(20)])
    log = node(database, 7, "here")
    for run in (5, 6):
        log.lives(run, f"n{run}")
    position = f"7-{5 * CURSORS_PER_RUN + 3}-{6 * CURSORS_PER_RUN + 12}"
    assert (await log.after(None, position, live=True))[1]
    database.rows = [one for one in database.rows if one.at >= NOON + timedelta(seconds=10)]
    assert not (await log.after(None, position, live=True))[1]


async def test_an_erased_call_is_gone_and_readers_go_on() -> None:
    database = Database()
    log = node(database, 5, "here")
    start = log.now()
    for number, call_id in enumerate("abab"):
        database.rows.append(event(6, number, call_id=call_id))
        log.add(database.rows[-1], "there")
    page = await log.read(start, 2, ALL)
    database.rows = [one for one in database.rows if one.call_id != "b"]
    log.forget("b")
    rest, _ = await read_all(log, page.place)
    assert [one.event.call_id for one in (*page.told, *rest)] == ["a", "b", "a"]


@pytest.mark.parametrize("position", ["", "x", "7-", "-7", "7--8", "7-" + "9" * 20])
async def test_what_is_no_position_is_refused(position: str) -> None:
    with pytest.raises(ValueError, match="position"):
        await node(Database(), 5, "here").after(None, position, live=True)
