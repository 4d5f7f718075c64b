# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been kept long enough goes, with no trace on the disk; what is held stays."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SessionHeld
from gateway.retention import PARTS, Policy, Retention
from gateway.retention_config import RetentionConfig, RetentionRule
from gateway.store import RecordingFacts, SessionStore, SessionSummary, TranscriptEntry, open_store
from gateway.store.retention import OldSession
from gateway.telemetry import Metrics
from tests.store_databases import bytes_on_disk, url_of

pytestmark = pytest.mark.usefixtures("each_database")

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SPOKEN = "my marker is xylophone seventeen"
SOUND = b"RIFF-marker-sound"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SessionStore]:
    async with open_store(url_of(tmp_path), tmp_path, Metrics()) as opened:
        yield opened


async def keep(store: SessionStore, call_id: str, *, days_ago: float, agent: str = "desk", tag: str = "") -> Path:
    """A session that ended so long ago, with a recording; its file."""
    at = NOW - timedelta(days=days_ago)
    await store.begin(
        SessionSummary(
            call_id=call_id,
            direction="inbound",
            from_="+4930123",
            to="100",
            started_at=at - timedelta(minutes=2),
            agent=agent,
            metadata={"tag": tag} if tag else {},
        )
    )
    file = store.recordings_dir / f"{call_id}.wav"
    file.write_bytes(SOUND + call_id.encode())
    await store.recording_began(call_id, file)
    facts = RecordingFacts(format="wav", encrypted=False, started_ms=0, duration_ms=1000, complete=True)
    await store.recording_ended(call_id, facts)
    await store.add_transcript(call_id, TranscriptEntry(role="user", text=SPOKEN, started_ms=0, ended_ms=900))
    await store.finish(call_id, at, "caller_hung_up")
    await store.flush()
    return file


def retention(store: SessionStore, config: RetentionConfig) -> Retention:
    return Retention(config, store, Metrics())


async def test_without_rules_nothing_goes(store: SessionStore) -> None:
    file = await keep(store, "c1", days_ago=1000)
    assert await retention(store, RetentionConfig()).sweep(lambda: NOW) == []
    assert file.exists()


async def test_audio_that_is_kept_for_no_time_goes_with_the_end_of_the_call(store: SessionStore) -> None:
    file = await keep(store, "c1", days_ago=0)
    gone = await retention(store, RetentionConfig(audio_days=0)).sweep(lambda: NOW)
    assert [(one.call_id, one.part) for one in gone] == [("c1", "audio")]
    session = await store.get("c1")
    assert session is not None
    assert not file.exists()
    assert session.recording is None
    assert session.recording_erased_at is not None
    assert [entry.text for entry in session.transcript] == [SPOKEN]


async def test_each_part_goes_in_its_own_time_and_leaves_no_trace(store: SessionStore, tmp_path: Path) -> None:
    config = RetentionConfig(audio_days=1, transcripts_days=10, sessions_days=100)
    work = retention(store, config)
    await keep(store, "c1", days_ago=0)
    assert await work.sweep(lambda: NOW) == []
    assert [one.part for one in await work.sweep(lambda: NOW + timedelta(days=2))] == ["audio"]
    assert SPOKEN.encode() in bytes_on_disk(tmp_path)
    assert [one.part for one in await work.sweep(lambda: NOW + timedelta(days=11))] == ["transcripts"]
    await store.flush()
    session = await store.get("c1")
    assert session is not None
    assert (session.transcript, session.transcript_erased_at is not None) == ((), True)
    assert SOUND not in bytes_on_disk(tmp_path)
    assert await work.sweep(lambda: NOW + timedelta(days=12)) == []
    assert [one.part for one in await work.sweep(lambda: NOW + timedelta(days=101))] == ["sessions"]
    assert await store.get("c1") is None


async def test_looking_changes_nothing(store: SessionStore) -> None:
    file = await keep(store, "c1", days_ago=5)
    work = retention(store, RetentionConfig(audio_days=1, transcripts_days=1))
    assert [one.part for one in await work.sweep(lambda: NOW, only_look=True)] == ["transcripts"]
    assert file.exists()


async def test_more_sessions_than_a_page_go(store: SessionStore) -> None:
    for index in range(250):
        await keep(store, f"c{index}", days_ago=3)
    gone = await retention(store, RetentionConfig(audio_days=1)).sweep(lambda: NOW)
    assert len({one.call_id for one in gone}) == 250


async def test_a_held_session_stays_until_it_is_released(store: SessionStore) -> None:
    file = await keep(store, "c1", days_ago=5)
    work = retention(store, RetentionConfig(audio_days=1, transcripts_days=1, sessions_days=1))
    await store.retention.hold(("c1",), "case 4711", "key_1")
    assert await work.sweep(lambda: NOW) == []
    with pytest.raises(SessionHeld, match="case 4711"):
        await store.erase("c1")
    assert file.exists()
    assert await store.retention.release("c1")
    assert not await store.retention.release("c1")
    assert [one.part for one in await work.sweep(lambda: NOW)] == ["sessions"]
    assert not file.exists()


def old(*, agent: str = "desk", tags: tuple[str, ...] = (), days: float = 5) -> OldSession:
    return OldSession("c", agent, frozenset(tags), NOW - timedelta(days=days), "recordings/c.wav", True)


def test_the_first_rule_that_is_for_a_call_and_says_something_counts() -> None:
    rules = (
        RetentionRule(tag="claim", audio_days=365),
        RetentionRule(agent="desk", audio_days=2, transcripts_days=3),
    )
    policy = Policy(RetentionConfig(audio_days=30, transcripts_days=30, rule=rules))
    assert policy.days("audio", "desk", frozenset(("claim",))) == 365
    assert policy.days("transcripts", "desk", frozenset(("claim",))) == 3
    assert policy.days("audio", "other", frozenset()) == 30
    assert policy.days("sessions", "desk", frozenset()) is None
    assert policy.due(old(), NOW) == "transcripts"
    assert policy.due(old(agent="other"), NOW) is None


_DAYS = st.none() | st.integers(0, 50).map(float)


@given(st.builds(RetentionConfig, audio_days=_DAYS, transcripts_days=_DAYS, sessions_days=_DAYS), st.floats(0, 60))
def test_nothing_is_due_before_its_time_and_nothing_due_is_left(config: RetentionConfig, age: float) -> None:
    policy = Policy(config)
    part = policy.due(old(days=age), NOW)
    times = {name: getattr(config, f"{name}_days") for name in PARTS}
    if part is None:
        assert all(days is None or days > age - 1e-6 for days in times.values())
    else:
        assert times[part] is not None
        assert times[part] <= age + 1e-6
        assert policy.shortest_days is not None
        assert policy.shortest_days <= age + 1e-6
