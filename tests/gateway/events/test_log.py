# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever reads on from a cursor misses nothing and gets nothing twice."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import Event, EventBus, EventKind, EventLog, Wanted
from gateway.events import log as log_module

ALL = Wanted()


@dataclass
class Archive:
    """The database's place: what is settled is there, and asked for by cursor."""

    waiting: list[tuple[Event, Callable[[], None]]] = field(default_factory=list)
    rows: list[Event] = field(default_factory=list)
    webhooks: list[Sequence[str]] = field(default_factory=list)

    def write(self, event: Event, webhooks: Sequence[str], settled: Callable[[], None]) -> None:
        self.waiting.append((event, settled))
        self.webhooks.append(webhooks)

    def settle(self, count: int | None = None, *, refuse: bool = False) -> None:
        """The database has written so many."""
        count = len(self.waiting) if count is None else count
        done, self.waiting = self.waiting[:count], self.waiting[count:]
        for event, settled in done:
            if not refuse:
                self.rows.append(event)
            settled()

    async def read(
        self, after: int, up_to: int, limit: int, *, call_id: str | None, kinds: Collection[EventKind] | None
    ) -> list[Event]:
        wanted = Wanted(None if kinds is None else frozenset(kinds), call_id)
        return [event for event in self.rows if after < event.cursor <= up_to and event in wanted][:limit]


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def log(archive: Archive) -> EventLog:
    return EventLog(EventBus(1001), archive, archive.write)


def publish(log: EventLog, count: int = 1, kind: EventKind = "call.held", call_id: str = "a") -> None:
    for _ in range(count):
        log.bus.publish(kind, call_id, {})


async def cursors(log: EventLog, after: int = 0, limit: int = 10_000, wanted: Wanted = ALL) -> list[int]:
    return [event.cursor for event in (await log.read(after, limit, wanted)).events]


async def test_an_event_is_told_when_the_database_has_it_and_not_before(log: EventLog, archive: Archive) -> None:
    waiting = asyncio.ensure_future(log.wait(log.end))
    publish(log, 2)
    await asyncio.sleep(0)
    assert await cursors(log, 1000) == []
    assert not waiting.done()
    archive.settle(1)
    await waiting
    assert await cursors(log, 1000) == [1001]


async def test_an_event_that_is_not_kept_waits_for_those_before_it_and_never_reaches_the_database(
    log: EventLog, archive: Archive
) -> None:
    publish(log)
    publish(log, kind="transcript.partial")
    assert await cursors(log, 1000) == []
    assert len(archive.waiting) == 1
    archive.settle()
    assert await cursors(log, 1000) == [1001, 1002]


async def test_an_event_that_the_database_refuses_is_told_all_the_same(log: EventLog, archive: Archive) -> None:
    publish(log, 2)
    archive.settle(1, refuse=True)
    archive.settle(1)
    assert await cursors(log, 1000) == [1001, 1002]


async def test_a_database_that_does_not_answer_fills_no_memory_with_what_is_not_kept(
    log: EventLog, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_UNSETTLED_EVENTS", 10)
    publish(log, 8)
    publish(log, 100, kind="transcript.partial")
    archive.settle()
    assert len(await cursors(log, 1000)) == 10


async def test_what_came_before_this_run_is_read_from_the_database(archive: Archive) -> None:
    before = EventLog(EventBus(1), archive, archive.write)
    publish(before, 3)
    archive.settle()
    log = EventLog(EventBus(1001), archive, archive.write)
    publish(log, 2)
    archive.settle()
    page = await log.read(1, 10, ALL)
    assert [event.cursor for event in page.events] == [2, 3, 1001, 1002]
    assert page.position == 1002
    page = await log.read(1, 2, ALL)
    assert page.position == 3


async def test_a_page_without_anything_wanted_still_leads_on(log: EventLog, archive: Archive) -> None:
    publish(log, 5)
    archive.settle()
    for after in (0, 1000):
        page = await log.read(after, 10, Wanted(frozenset({"call.ended"})))
        assert (page.events, page.position) == ([], 1005)


async def test_a_reader_may_want_one_call_or_some_kinds(log: EventLog, archive: Archive) -> None:
    publish(log, call_id="a")
    publish(log, call_id="b")
    publish(log, kind="call.ended", call_id="b")
    archive.settle()
    assert await cursors(log, 1000, wanted=Wanted(call_id="b")) == [1002, 1003]
    assert await cursors(log, 1000, wanted=Wanted(frozenset({"call.held"}))) == [1001, 1002]


async def test_a_cursor_from_the_future_gives_nothing(log: EventLog, archive: Archive) -> None:
    publish(log)
    archive.settle()
    assert (await log.read(5000, 10, ALL)).position == 5000


async def test_an_erased_call_is_gone_from_memory_also_while_it_waits_for_the_database(
    log: EventLog, archive: Archive
) -> None:
    publish(log, call_id="a")
    publish(log, call_id="b")
    archive.settle()
    publish(log, call_id="a")
    log.forget("a")
    archive.settle()
    assert await cursors(log, 1000) == [1002]
    assert log.end == 1003


async def test_memory_holds_the_newest_and_the_database_the_rest(
    log: EventLog, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_RECENT_EVENTS", 10)
    publish(log, 95)
    archive.settle()
    assert await cursors(log, 1000) == list(range(1001, 1096))
    archive.rows.clear()
    assert await cursors(log, 1000) == []
    assert 10 <= len(await cursors(log, 1085)) <= 20


def test_each_webhook_is_noted_for_its_kinds(archive: Archive) -> None:
    wanted: dict[str, frozenset[EventKind]] = {
        "ends": frozenset({"call.ended"}),
        "all": frozenset({"call.ended", "call.held"}),
    }
    log = EventLog(EventBus(), archive, archive.write, wanted)
    publish(log)
    publish(log, kind="call.ended")
    assert archive.webhooks == [["all"], ["ends", "all"]]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["publish", "partial", "settle", "read"]), st.integers(1, 7)), max_size=80
    ),
    after=st.integers(995, 1010),
    recent=st.integers(1, 8),
)
def test_however_reading_and_writing_meet_every_kept_event_is_read_once_and_in_order(
    steps: list[tuple[str, int]], after: int, recent: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "_RECENT_EVENTS", recent)
        archive = Archive()
        log = EventLog(EventBus(1001), archive, archive.write)
        position, seen = after, list[int]()

        async def read(limit: int) -> None:
            nonlocal position
            page = await log.read(position, limit, ALL)
            seen.extend(event.cursor for event in page.events)
            position = page.position

        async def scenario() -> None:
            for step, count in steps:
                if step == "read":
                    await read(count)
                elif step == "settle":
                    archive.settle(count)
                else:
                    publish(log, count, kind="call.held" if step == "publish" else "transcript.partial")
            archive.settle()
            while position < log.end:
                await read(3)

        asyncio.run(scenario())
    assert seen == sorted(set(seen))
    kept = {event.cursor for event in archive.rows if event.cursor > after}
    assert kept <= set(seen)
