# SPDX-License-Identifier: GPL-3.0-or-later
"""What people said, in a database that others may see."""

import base64
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from gateway.errors import StartupError, StoreError
from gateway.store import SessionStore, TranscriptEntry, open_store
from gateway.store.sealing import ColumnSealer
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey
from tests.gateway.test_store import session
from tests.media.decoder import KEY, OTHER_KEY
from tests.store_databases import bytes_on_disk, query, url_of

pytestmark = pytest.mark.usefixtures("each_database")

SAID = TranscriptEntry(role="assistant", text="xylophone", started_ms=0, ended_ms=1, heard_text="xylo")


def opened(folder: Path, key: EncryptionKey | None) -> AbstractAsyncContextManager[SessionStore]:
    return open_store(url_of(folder), folder, Metrics(), key)


async def test_transcripts_and_metadata_come_back_and_are_nowhere_in_clear(tmp_path: Path) -> None:
    async with opened(tmp_path, KEY) as store:
        await store.begin(session("c1").model_copy(update={"metadata": {"order": "glockenspiel"}}))
        await store.add_transcript("c1", SAID)
        await store.flush()
        for word in (b"xylo", b"glockenspiel", b"order"):
            assert word not in bytes_on_disk(tmp_path)
    async with opened(tmp_path, KEY) as store:
        record = await store.get("c1")
        assert record is not None
        assert (record.transcript, record.metadata) == ((SAID,), {"order": "glockenspiel"})
        assert [one.metadata for one in await store.recent(5)] == [{"order": "glockenspiel"}]


async def test_what_was_kept_before_there_was_a_key_stays_readable(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as store:
        await store.begin(session("c1"))
        await store.add_transcript("c1", SAID)
    async with opened(tmp_path, KEY) as store:
        record = await store.get("c1")
    assert record is not None
    assert (record.transcript, record.metadata) == ((SAID,), {"order": "7"})


@pytest.mark.parametrize(("key", "said"), [(None, "store.encryption_key is not set"), (OTHER_KEY, "another key")])
async def test_a_missing_or_other_key_prevents_the_start(tmp_path: Path, key: EncryptionKey | None, said: str) -> None:
    async with opened(tmp_path, KEY) as store:
        await store.begin(session("c1"))
    with pytest.raises(StartupError, match=said) as caught:
        async with opened(tmp_path, key):
            pass
    assert "PARLEY_STORE__ENCRYPTION_KEY" in str(caught.value)


async def test_a_text_that_was_changed_or_moved_to_another_column_is_noticed(tmp_path: Path) -> None:
    async with opened(tmp_path, KEY) as store:
        await store.begin(session("c1"))
        await store.add_transcript("c1", SAID)
        await store.flush()
        query(tmp_path, "UPDATE transcript SET heard_text = text")
        with pytest.raises(StoreError, match=r"transcript\.heard_text is damaged"):
            await store.get("c1")


def test_without_a_key_texts_stay_as_they_are_and_the_same_text_is_never_sealed_alike() -> None:
    assert ColumnSealer(None).seal("hello", "t.c") == "hello"
    assert ColumnSealer(None).open("sealed:1:of what?", "t.c") == "sealed:1:of what?"
    sealer = ColumnSealer(KEY)
    assert sealer.seal("hello", "t.c") != sealer.seal("hello", "t.c")
    assert sealer.open(sealer.seal("", "t.c"), "t.c") == ""


def test_a_text_in_clear_that_begins_like_a_sealed_one_is_still_that_text() -> None:
    sealer = ColumnSealer(None)
    for text in ("sealed:1:AAAA", "sealed:0:AAAA", "sealed:1:", "sealed:0:"):
        assert sealer.open(sealer.seal(text, "t.c"), "t.c") == text
        assert ColumnSealer(KEY).open(sealer.seal(text, "t.c"), "t.c") == text


def test_half_of_a_character_is_sealed_as_a_question_mark() -> None:
    sealer = ColumnSealer(KEY)
    assert sealer.open(sealer.seal("one \ud83d two", "t.c"), "t.c") == "one ? two"


def test_a_sealed_text_that_breaks_off_is_damaged() -> None:
    raw = base64.b64decode(ColumnSealer(KEY).seal("hello", "t.c").removeprefix("sealed:1:"))
    for length in (len(KEY.key_id), len(KEY.key_id) + 5, len(KEY.key_id) + 12, len(raw) - 1):
        with pytest.raises(StoreError):
            ColumnSealer(KEY).open("sealed:1:" + base64.b64encode(raw[:length]).decode(), "t.c")
