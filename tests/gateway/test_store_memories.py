# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of callers stays as long as it may, is found by nobody else, and goes away for good."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.recollection import Exchange, Recollection
from gateway.store import SessionStore, TranscriptEntry, open_store
from gateway.store.memories import LastCall, Said
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey
from tests.gateway.test_store import NOON, session
from tests.store_databases import bytes_on_disk, query, url_of

pytestmark = pytest.mark.usefixtures("each_database")

ANNA, BEN = "sip:anna@192.0.2.1", "sip:ben@192.0.2.1"
PARKING = Recollection("Anna", (Exchange("where can I park", "behind the house"),), ("call me",), "prose")
HOURS = Recollection("", (Exchange("when do you open", "at nine"),))
TOMORROW = NOON + timedelta(days=1)
KEY = EncryptionKey(bytes(range(32)))


def opened(folder: Path, key: EncryptionKey | None = None) -> Any:
    return open_store(url_of(folder), folder, Metrics(), key)


async def call(
    store: SessionStore,
    call_id: str,
    identity: str = ANNA,
    what: Recollection | None = None,
    *,
    minutes: int = 0,
    continues: str | None = None,
    expires_at: datetime = TOMORROW,
) -> None:
    """A call of this caller, of which this is remembered."""
    await store.begin(session(call_id, minutes=minutes))
    await store.memories.began(call_id, identity, "desk", NOON + timedelta(minutes=minutes), continues)
    if what is not None:
        await store.memories.remember(call_id, "desk", what, expires_at)
    await store.flush()


@pytest.mark.parametrize("key", [None, KEY])
async def test_what_is_remembered_comes_back_newest_first_for_this_caller_and_agent_alone(
    tmp_path: Path, key: EncryptionKey | None
) -> None:
    async with opened(tmp_path, key) as store:
        await call(store, "c1", what=PARKING)
        await call(store, "c2", what=HOURS, minutes=5)
        await call(store, "c3", BEN, PARKING, minutes=6)
    async with opened(tmp_path, key) as store:
        assert await store.memories.recall(ANNA, "desk", NOON) == [HOURS, PARKING]
        assert await store.memories.recall(ANNA, "desk", NOON, limit=1) == [HOURS]
        assert await store.memories.recall(ANNA, "night", NOON) == []
        assert await store.memories.recall("sip:anna@192.0.2.9", "desk", NOON) == []


async def test_with_a_key_neither_caller_nor_words_can_be_read_or_tried_out(tmp_path: Path) -> None:
    async with opened(tmp_path, KEY) as store:
        await call(store, "c1", what=PARKING)
        keyed = store.memories.hash_of(ANNA)
    kept = bytes_on_disk(tmp_path)
    assert b"behind the house" not in kept
    assert keyed.encode() in kept
    async with opened(tmp_path / "other") as store:
        assert store.memories.hash_of(ANNA) != keyed


async def test_what_was_kept_before_there_was_a_key_is_found_and_forgotten_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await call(store, "c1", what=PARKING)
    async with opened(tmp_path, KEY) as store:
        assert await store.memories.recall(ANNA, "desk", NOON) == [PARKING]
        await store.memories.forget((ANNA,), wait=True)
        assert await store.memories.recall(ANNA, "desk", NOON) == []


async def test_memories_and_consents_end_when_they_expire(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await call(store, "c1", what=PARKING)
        await store.memories.consent(ANNA, "desk", True, NOON, TOMORROW)
        await store.flush()
        assert await store.memories.consented(ANNA, "desk", NOON) is True
        assert await store.memories.consented(ANNA, "desk", TOMORROW) is None
        assert await store.memories.recall(ANNA, "desk", TOMORROW) == []
        await store.memories.forget_expired(TOMORROW)
        await store.flush()
        assert query(tmp_path, "SELECT memory FROM callers") == [(None,)]
        assert query(tmp_path, "SELECT * FROM consents") == []


async def test_the_last_answer_to_being_remembered_counts(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await store.memories.consented(ANNA, "desk", NOON) is None
        await store.memories.consent(ANNA, "desk", True, NOON, TOMORROW)
        await store.memories.consent(ANNA, "desk", False, NOON, TOMORROW)
        await store.flush()
        assert await store.memories.consented(ANNA, "desk", NOON) is False
        assert await store.memories.consented(BEN, "desk", NOON) is None


async def test_who_is_forgotten_leaves_nothing_but_a_line_in_the_audit_log(tmp_path: Path) -> None:
    told: list[frozenset[str]] = []
    async with opened(tmp_path) as store:
        await call(store, "c1", what=PARKING)
        await call(store, "c2", BEN, HOURS)
        await store.memories.consent(ANNA, "desk", True, NOON, TOMORROW)
        store.memories.on_forgotten = told.append
        await store.memories.forget((ANNA,), wait=True)
        assert await store.memories.of_caller((ANNA,), "", NOON) == []
        assert await store.memories.consents((ANNA,), "", NOON) == []
        assert len(await store.memories.of_caller((BEN,), "", NOON)) == 1
        assert store.memories.hash_of(ANNA) in told[0]
        assert query(tmp_path, "SELECT action FROM audit") == [("caller_forgotten",)]


async def test_a_bare_number_means_every_address_that_has_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:  # the sessions say "sip:ann@192.0.2.1"
        await call(store, "c1", "sip:ann@192.0.2.1", PARKING)
        (record,) = await store.memories.of_caller(("tel:ann",), "sip:ann@192.0.2.1", NOON)
        assert (record.call_id, record.caller_name, record.left) == ("c1", "Anna", ("call me",))
        await store.memories.consent("sip:ann@192.0.2.1", "desk", True, NOON, TOMORROW)
        assert len(await store.memories.consents((), "sip:ann@192.0.2.1", NOON)) == 1
        await store.memories.forget((), "sip:ann@192.0.2.1", wait=True)
        assert await store.memories.recall("sip:ann@192.0.2.1", "desk", NOON) == []
        assert await store.memories.consented("sip:ann@192.0.2.1", "desk", NOON) is None


async def test_erasing_a_session_takes_its_memory_and_that_of_calls_that_went_on_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await call(store, "c1", what=PARKING)
        await call(store, "c2", what=PARKING, minutes=1, continues="c1")
        await call(store, "c3", what=PARKING, minutes=2, continues="c2")
        await call(store, "c4", what=HOURS, minutes=3)
        await store.erase("c1")
        assert await store.memories.recall(ANNA, "desk", NOON) == [HOURS]


async def test_the_last_call_tells_how_it_ended_and_what_was_heard(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await call(store, "c1")
        await store.answered("c1", NOON, "PCMU")
        for entry in (
            TranscriptEntry(role="user", text="where can I park", started_ms=0, ended_ms=900),
            TranscriptEntry(
                role="assistant", text="behind the", heard_text="behind", interrupted=True, started_ms=1, ended_ms=2_000
            ),
        ):
            await store.add_transcript("c1", entry)
        await store.finish("c1", TOMORROW, "media_timeout")
        await call(store, "c2", minutes=1, continues="c1")
        last = await store.memories.last_call(ANNA, "desk", before="c2")
        assert last == LastCall("c1", TOMORROW, "media_timeout", NOON, None)
        assert await store.memories.said("c1", 10) == [
            Said("user", "where can I park", False, 900),
            Said("assistant", "behind", True, 2_000),
        ]
        assert [one.text for one in await store.memories.said("c1", 1)] == ["behind"]
        assert await store.memories.continued("c2", "desk") == "c1"
        assert await store.memories.last_call(BEN, "desk", before="c2") is None


async def test_an_agent_that_gets_a_call_twice_has_one_line_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await call(store, "c1")
        await store.memories.began("c1", ANNA, "desk", NOON, None)
        await store.memories.began("c1", ANNA, "night", NOON, None)
        await store.flush()
        assert query(tmp_path, "SELECT agent FROM callers ORDER BY agent") == [("desk",), ("night",)]
