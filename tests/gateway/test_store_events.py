# SPDX-License-Identifier: GPL-3.0-or-later
"""Events stay as long as they are told to, and go with their session."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.events import Event, EventKind
from gateway.events.reading import CURSORS_PER_RUN
from gateway.store import SessionStore, open_store
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey
from tests.gateway.test_store import NOON, session
from tests.store_databases import bytes_on_disk, url_of

pytestmark = pytest.mark.usefixtures("each_database")

ALL = 2**62


def opened(folder: Path, key: EncryptionKey | None = None) -> Any:
    return open_store(url_of(folder), folder, Metrics(), key)


def event(
    cursor: int, call_id: str = "c1", kind: EventKind = "dtmf.received", data: Mapping[str, object] | None = None
) -> Event:
    return Event(cursor, kind, call_id, NOON + timedelta(minutes=cursor), dict(data or {"digit": "5"}))


async def keep(store: SessionStore, *events: Event, webhooks: tuple[str, ...] = ()) -> None:
    for one in events:
        await store.events.add(one, webhooks, lambda: None)
    await store.flush()


async def read(store: SessionStore, after: int = 0, up_to: int = ALL, limit: int = 100, **wanted: Any) -> list[int]:
    found = await store.events.read(after, up_to, limit, **{"call_id": None, "kinds": None, **wanted})
    return [one.cursor for one in found]


async def test_events_read_back_as_they_were_from_any_cursor_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        await store.begin(session("c2"))
        events = [event(1), event(2, "c2"), event(3, kind="call.ended", data={"reason": "api"}), event(4, "c2")]
        await keep(store, *events)
        assert await store.events.read(0, ALL, 100, call_id=None, kinds=None) == events
        assert await read(store, after=1, up_to=3) == [2, 3]
        assert await read(store, limit=2) == [1, 2]
        assert await read(store, call_id="c2") == [2, 4]
        assert await read(store, kinds={"call.ended"}) == [3]


async def test_whoever_waits_is_told_when_an_event_is_kept_and_when_it_cannot_be(tmp_path: Path) -> None:
    told: list[str] = []
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        await store.events.add(event(1), (), lambda: told.append("kept"))
        await store.events.add(event(2, "a call without a session"), (), lambda: told.append("refused"))
        await store.flush()
        assert sorted(told) == ["kept", "refused"]
        assert await read(store) == [1]


async def test_every_run_has_larger_cursors_whatever_was_erased(tmp_path: Path) -> None:
    firsts = []
    for _ in range(3):
        async with opened(tmp_path) as store:
            first, kept_after = await store.events.begin_run()
            assert kept_after == 0
            firsts.append(first)
            await store.begin(session(f"c{first}"))
            await keep(store, event(first, f"c{first}"))
            await store.erase(f"c{first}")
    assert firsts == [CURSORS_PER_RUN, 2 * CURSORS_PER_RUN, 3 * CURSORS_PER_RUN]


async def test_a_run_that_used_up_its_cursors_does_not_meet_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        await keep(store, Event(5 * CURSORS_PER_RUN + 7, "call.held", "c1", NOON, {}))
        assert (await store.events.begin_run())[0] == 6 * CURSORS_PER_RUN
        assert (await store.events.begin_run())[0] == 7 * CURSORS_PER_RUN


async def test_a_webhook_has_still_to_get_what_it_was_not_taken_off(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        await keep(store, event(1), event(2), event(3), webhooks=("ours", "theirs"))
        await keep(store, event(4))
        await store.events.delivered("ours", 2)
        await store.flush()
        assert [one.cursor for one in await store.events.undelivered("ours", 0, ALL, 100)] == [1, 3]
        assert [one.cursor for one in await store.events.undelivered("ours", 1, 2, 100)] == []
        assert [one.cursor for one in await store.events.undelivered("theirs", 0, ALL, 2)] == [1, 2]
        await store.events.drop_deliveries_except(["ours"])
        await store.flush()
        assert [one.cursor for one in await store.events.undelivered("ours", 0, ALL, 100)] == [1, 3]
        assert await store.events.undelivered("theirs", 0, ALL, 100) == []
        await store.events.drop_deliveries_except([])
        await store.flush()
        assert await store.events.undelivered("ours", 0, ALL, 100) == []


async def test_erasing_a_session_erases_its_events_and_what_was_to_be_delivered(tmp_path: Path) -> None:
    erased: list[str] = []
    async with opened(tmp_path) as store:
        store.on_erased = erased.append
        await store.begin(session("c1"))
        await store.begin(session("c2"))
        said = {"text": "my secret garden"}
        await keep(store, event(1, data=said), event(2, "c2"), webhooks=("ours",))
        assert b"secret garden" in bytes_on_disk(tmp_path)
        await store.erase("c1")
        assert await read(store) == [2]
        assert [one.cursor for one in await store.events.undelivered("ours", 0, ALL, 100)] == [2]
        assert erased == ["c1"]
        assert b"secret garden" not in bytes_on_disk(tmp_path)


async def test_with_a_key_nothing_that_was_said_is_readable_on_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path, EncryptionKey(bytes(32))) as store:
        await store.begin(session("c1"))
        await keep(store, event(1, data={"text": "my secret garden"}), webhooks=("ours",))
        (found,) = await store.events.undelivered("ours", 0, ALL, 100)
        assert found.data == {"text": "my secret garden"}
    assert b"garden" not in bytes_on_disk(tmp_path)


async def test_what_is_too_old_or_too_much_goes_and_its_loss_is_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        await keep(store, *(event(cursor) for cursor in range(1, 11)), webhooks=("ours",))
        await store.events.delivered("ours", 2)
        await store.flush()
        assert await store.events.prune(NOON, 100) == (0, {})
        # Event n happened n minutes after noon.
        assert await store.events.prune(NOON + timedelta(minutes=4), 100) == (3, {"ours": 2})
        assert await read(store) == [4, 5, 6, 7, 8, 9, 10]
        assert await store.events.prune(NOON, 5) == (5, {"ours": 2})
        assert await read(store) == [6, 7, 8, 9, 10]
        assert await store.events.prune(NOON, 5) == (5, {})
    async with opened(tmp_path) as store:
        assert (await store.events.begin_run())[1] == 5


async def test_with_several_nodes_the_oldest_go_first_whatever_their_cursors_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        far, later = 2 * CURSORS_PER_RUN, NOON + timedelta(hours=1)
        await keep(
            store,
            Event(far, "dtmf.received", "c1", NOON, {}),
            Event(CURSORS_PER_RUN + 30, "dtmf.received", "c1", later, {}),
        )
        await store.flush()
        assert await store.events.newest_of_runs() == {1: CURSORS_PER_RUN + 30, 2: far}
        assert await store.events.newest_of_runs(NOON + timedelta(seconds=1)) == {2: far}
        assert await store.events.moment(far + 7) == NOON
        assert await store.events.moment(CURSORS_PER_RUN + 29) is None
        assert await store.events.prune(NOON + timedelta(minutes=1), 100) == (far, {})
        assert await read(store) == [CURSORS_PER_RUN + 30]


async def test_calls_whose_end_was_never_told_are_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for call_id in ("c1", "c2", "c3"):
            await store.begin(session(call_id))
        await keep(store, event(1, "c3"), event(2, "c1"), event(3, "c2"), event(4, "c1", kind="call.ended"))
        assert await store.events.calls_without_end() == ["c3", "c2"]


async def test_kinds_that_this_version_does_not_know_are_left_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        await keep(store, event(1, kind="call.teleported"), event(2))  # type: ignore[arg-type]
        assert await read(store) == [2]


@pytest.mark.parametrize("data", [{"text": 'quoted " and ünï'}, {"nested": {"list": [1, None, 2.5]}}])
async def test_data_is_json(tmp_path: Path, data: dict[str, object]) -> None:
    async with opened(tmp_path) as store:
        await store.begin(session("c1"))
        await keep(store, event(1, data=data))
        (found,) = await store.events.read(0, ALL, 1, call_id=None, kinds=None)
        assert json.loads(found.as_json())["data"] == data
