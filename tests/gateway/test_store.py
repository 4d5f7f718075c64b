# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions come back as they went in, and go away when asked to."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import StartupError, StoreError
from gateway.store import (
    DataFolder,
    Quality,
    RecordingFacts,
    SessionStore,
    SessionSummary,
    TranscriptEntry,
    TurnRecord,
    open_store,
)
from gateway.telemetry import Metrics
from tests.store_databases import bytes_on_disk, place, query, url_of

pytestmark = pytest.mark.usefixtures("each_database")

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

OpenStore = Callable[[], AbstractAsyncContextManager[SessionStore]]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def open_here(tmp_path: Path, metrics: Metrics) -> OpenStore:
    """Opens the store of this test's folder; again after closing, it is the same one."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[SessionStore]:
        async with open_store(url_of(tmp_path), tmp_path, metrics) as store:
            yield store

    return opened


def session(call_id: str, *, minutes: int = 0) -> SessionSummary:
    return SessionSummary(
        call_id=call_id,
        direction="inbound",
        from_="sip:ann@192.0.2.1",
        to="sip:desk@192.0.2.2",
        started_at=NOON + timedelta(minutes=minutes),
        agent="receptionist",
        metadata={"order": "7"},
    )


def turn(index: int, response_ms: float = 420.0) -> TurnRecord:
    return TurnRecord(index=index, segments_ms={"arrival": 20.0, "rest": response_ms - 20.0}, response_ms=response_ms)


async def test_a_session_reads_back_in_the_shape_of_the_api(open_here: OpenStore) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.answered("c1", NOON + timedelta(seconds=1), "PCMU", "carrier")
        await store.add_transcript("c1", TranscriptEntry(role="user", text="Hello", started_ms=100, ended_ms=500))
        await store.add_transcript(
            "c1",
            TranscriptEntry(
                role="assistant",
                text="Hi there",
                started_ms=900,
                ended_ms=1200,
                interrupted=True,
                heard_text="Hi",
                sources=("hours.md:12", "prices.csv:3"),
            ),
        )
        await store.add_turn("c1", turn(0))
        await store.finish(
            "c1",
            NOON + timedelta(seconds=9),
            "caller_hung_up",
            quality=Quality(rx_lost=1, rx_jitter_ms=2.5, rtt_ms=30.0),
            far_end="voicemail",
            far_end_confidence=0.97,
            message_left=True,
        )
        await store.recording_began("c1", store.recordings_dir / "c1.wav")
        await store.recording_ended(
            "c1",
            RecordingFacts(
                format="wav", encrypted=False, started_ms=20, duration_ms=9000, complete=True, paused_ms=((1000, 2500),)
            ),
        )
        record = await store.get("c1")
    assert record is not None
    assert json.loads(record.model_dump_json(by_alias=True)) == {
        "call_id": "c1",
        "direction": "inbound",
        "from": "sip:ann@192.0.2.1",
        "to": "sip:desk@192.0.2.2",
        "started_at": "2026-11-22T12:00:00Z",
        "answered_at": "2026-11-22T12:00:01Z",
        "ended_at": "2026-11-22T12:00:09Z",
        "end_reason": "caller_hung_up",
        "codec": "PCMU",
        "trunk": "carrier",
        "agent": "receptionist",
        "metadata": {"order": "7"},
        "quality": {**dict.fromkeys(Quality.model_fields), "rx_lost": 1, "rx_jitter_ms": 2.5, "rtt_ms": 30.0},
        "recording": "recordings/c1.wav",
        "recording_erased_at": None,
        "transcript_erased_at": None,
        "recording_facts": {
            "format": "wav",
            "encrypted": False,
            "started_ms": 20,
            "duration_ms": 9000,
            "complete": True,
            "paused_ms": [[1000, 2500]],
        },
        "far_end": "voicemail",
        "far_end_confidence": 0.97,
        "message_left": True,
        "transcript": [
            {
                "role": "user",
                "text": "Hello",
                "started_ms": 100,
                "ended_ms": 500,
                "interrupted": False,
                "heard_text": None,
                "sources": [],
            },
            {
                "role": "assistant",
                "text": "Hi there",
                "started_ms": 900,
                "ended_ms": 1200,
                "interrupted": True,
                "heard_text": "Hi",
                "sources": ["hours.md:12", "prices.csv:3"],
            },
        ],
        "sip": [],
        "turns": [
            {
                "index": 0,
                "segments_ms": {"arrival": 20.0, "rest": 400.0},
                "response_ms": 420.0,
                "speculative": False,
                "interrupted": False,
            }
        ],
    }


async def test_what_was_queued_is_there_after_closing_and_opening_again(open_here: OpenStore) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        for index in range(700):
            await store.add_turn("c1", turn(index))
    async with open_here() as store:
        record = await store.get("c1")
    assert record is not None
    assert [one.index for one in record.turns] == list(range(700))


async def test_a_turn_recorded_again_replaces_the_first_record(open_here: OpenStore) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.add_turn("c1", turn(0, 400.0))
        await store.add_turn("c1", turn(0, 500.0))
        record = await store.get("c1")
    assert record is not None
    assert [one.response_ms for one in record.turns] == [500.0]


async def test_sessions_are_listed_newest_first_and_page_by_page(open_here: OpenStore) -> None:
    async with open_here() as store:
        for number in (1, 3, 2):
            await store.begin(session(f"c{number}", minutes=number))
        await store.begin(session("c9", minutes=3))
        first = await store.recent(2)
        second = await store.recent(2, before=first[-1].call_id)
        nothing = await store.recent(2, before="unknown")
    assert [one.call_id for one in first] == ["c9", "c3"]
    assert [one.call_id for one in second] == ["c2", "c1"]
    assert nothing == []


async def test_erasing_leaves_neither_rows_nor_recording_nor_a_trace_of_the_words(
    open_here: OpenStore, tmp_path: Path
) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.add_transcript("c1", TranscriptEntry(role="user", text="xylophone", started_ms=0, ended_ms=1))
        await store.add_turn("c1", turn(0))
        recording = store.recordings_dir / "c1.wav"
        recording.write_bytes(b"RIFF")
        await store.recording_began("c1", recording)
        await store.finish("c1", NOON, "caller_hung_up")
    assert b"xylophone" in bytes_on_disk(tmp_path)
    async with open_here() as store:
        assert await store.recording_file("c1") == recording
        assert await store.erase("c1") is True
        assert await store.get("c1") is None
        assert await store.erase("c1") is False
        assert not recording.exists()
        assert b"xylophone" not in bytes_on_disk(tmp_path)
    assert query(tmp_path, "SELECT count(*) FROM transcript") == [(0,)]
    assert query(tmp_path, "SELECT count(*) FROM turns") == [(0,)]
    assert query(tmp_path, "SELECT action, subject FROM audit") == [("session_erased", "c1")]


async def test_words_erased_soon_after_they_were_written_are_gone_too(open_here: OpenStore, tmp_path: Path) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.add_transcript("c1", TranscriptEntry(role="user", text="xylophone", started_ms=0, ended_ms=1))
        await store.flush()
        assert b"xylophone" in bytes_on_disk(tmp_path)
        assert await store.erase("c1") is True
        assert b"xylophone" not in bytes_on_disk(tmp_path)


async def test_a_recording_outside_the_recordings_folder_is_never_served_or_deleted(
    open_here: OpenStore, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"RIFF")
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.recording_began("c1", store.recordings_dir / ".." / "outside.wav")
        await store.finish("c1", NOON, "x")
        assert await store.recording_file("c1") is None
        assert await store.erase("c1") is True
    assert outside.exists()


async def test_the_audit_log_can_neither_be_changed_nor_shortened(open_here: OpenStore, tmp_path: Path) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.erase("c1")
    statements = ["UPDATE audit SET subject = 'x'", "DELETE FROM audit"]
    for statement in statements if place.server is None else [*statements, "TRUNCATE audit"]:
        with pytest.raises(Exception, match="append-only"):
            query(tmp_path, statement)


async def test_a_record_the_database_refuses_is_counted_and_the_others_are_kept(
    open_here: OpenStore, metrics: Metrics
) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.add_turn("no such call", turn(0))
        await store.add_turn("c1", turn(0))
        record = await store.get("c1")
        assert record is not None
        assert len(record.turns) == 1
    assert metrics.registry.get_sample_value("parley_store_failed_writes_total") == 1


async def test_somebody_who_waits_for_a_write_is_told_when_it_fails(open_here: OpenStore, tmp_path: Path) -> None:
    async with open_here() as store:
        await store.begin(session("c1"))
        await store.flush()
        query(tmp_path, "DROP TABLE audit")
        with pytest.raises(StoreError, match=r'no such table: audit|"audit" does not exist'):
            await store.erase("c1")
        assert await store.get("c1") is not None, "a failed erasure erases nothing"


async def test_an_error_of_the_stores_user_comes_out_as_it_is(open_here: OpenStore) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_here():
            raise KeyError("mine")


async def test_a_data_folder_that_cannot_be_used_is_one_clear_message(tmp_path: Path, metrics: Metrics) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    with pytest.raises(StartupError) as caught:
        async with open_store(f"sqlite+aiosqlite:///{folder}/parley.db", folder, metrics):
            pass
    assert str(caught.value) == (
        f"data folder {folder} cannot be written: Not a directory. "
        "Make it writable, or name another one: store.data_dir or PARLEY_STORE__DATA_DIR"
    )


async def test_a_damaged_database_is_one_clear_message(tmp_path: Path, metrics: Metrics) -> None:
    (tmp_path / "parley.db").write_text("this is no database" * 100)
    with pytest.raises(StartupError, match="file is not a database"):
        async with open_store(f"sqlite+aiosqlite:///{tmp_path}/parley.db", tmp_path, metrics):
            pass


def test_the_data_folder_is_private(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_the_recordings_folder_is_private_also_when_somebody_else_made_it(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir(mode=0o755)
    with DataFolder(tmp_path) as folder:
        assert folder.recordings.stat().st_mode & 0o777 == 0o700


async def test_minutes_of_a_trunk_are_those_of_its_outgoing_calls_since_midnight(open_here: OpenStore) -> None:
    midnight = NOON.replace(hour=0)
    async with open_here() as store:
        for call_id, direction, trunk, from_s, to_s in (
            ("over midnight", "outbound", "one", -600, 120),
            ("today", "outbound", "one", 3600, 3660),
            ("another trunk", "outbound", "two", 3600, 3630),
            ("came in", "inbound", "one", 3600, 3660),
            ("of nobody's", "outbound", None, 3600, 3660),
            ("yesterday", "outbound", "one", -900, -600),
        ):
            began = midnight + timedelta(seconds=from_s)
            await store.begin(session(call_id).model_copy(update={"direction": direction, "started_at": began}))
            await store.answered(call_id, began, "PCMU", trunk)
            await store.finish(call_id, midnight + timedelta(seconds=to_s), "callee_hung_up")
        await store.begin(session("unanswered").model_copy(update={"direction": "outbound", "trunk": "one"}))
        assert await store.trunk_minutes(midnight) == {"one": 3.0, "two": 0.5}


async def test_an_entry_of_the_audit_log_stays(open_here: OpenStore, tmp_path: Path) -> None:
    async with open_here() as store:
        await store.audit("call_barred", "trunk=one bar=calls way=order")
    assert query(tmp_path, "SELECT action, subject FROM audit") == [("call_barred", "trunk=one bar=calls way=order")]
