# SPDX-License-Identifier: GPL-3.0-or-later
"""Of whoever wants to be forgotten nothing is left, wherever it was kept; of everybody else everything."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.recollection import Recollection
from gateway.campaigns.outcome import Outcome
from gateway.events import Event
from gateway.store import RecordingFacts, SessionStore, SessionSummary, TranscriptEntry
from gateway.store.erasure import erase_caller
from media.encryption import EncryptionKey
from tests.gateway.test_store_campaigns import Listed, add, campaign, claim, opened
from tests.store_databases import bytes_on_disk, place

pytestmark = pytest.mark.usefixtures("each_database")

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NUMBER, OTHER = "+49305550173", "+49305550999"
MARKS = (NUMBER.encode(), b"Zebulon", b"xylophone seventeen", b"marker-sound", b"marker-invite")


async def keep(store: SessionStore, call_id: str, number: str, *, outbound: bool = False, over: bool = True) -> Path:
    """A call of this person, with all that can be kept of one; its recording."""
    ours = "100"
    await store.begin(
        SessionSummary(
            call_id=call_id,
            direction="outbound" if outbound else "inbound",
            from_=ours if outbound else number,
            to=number if outbound else ours,
            started_at=NOON,
            agent="desk",
            metadata={"caller_name": "Zebulon" if number == NUMBER else "Ann"},
        )
    )
    said = "my marker is xylophone seventeen" if number == NUMBER else "something else"
    await store.add_transcript(call_id, TranscriptEntry(role="user", text=said, started_ms=0, ended_ms=900))
    await store.events.add(Event(1, "transcript.final", call_id, NOON, {"text": said}), (), lambda: None)
    file = store.recordings_dir / f"{call_id}.wav"
    file.write_bytes(b"RIFF marker-sound" if number == NUMBER else b"RIFF other")
    await store.recording_began(call_id, file)
    facts = RecordingFacts(format="wav", encrypted=False, started_ms=0, duration_ms=1000, complete=True)
    await store.recording_ended(call_id, facts)
    await store.memories.began(call_id, f"tel:{number}", "desk", NOON, None)
    name = "Zebulon" if number == NUMBER else "Ann"
    await store.memories.remember(call_id, "desk", Recollection(caller_name=name), NOON + timedelta(days=900))
    if over:
        await store.finish(call_id, NOON + timedelta(minutes=1), "caller_hung_up")
    await store.flush()
    return file


def left(folder: Path) -> list[bytes]:
    """Which of the marks can still be found, byte by byte."""
    files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    everything = files + (bytes_on_disk(folder) if place.server is not None else b"")
    return [mark for mark in MARKS if mark in everything]


@pytest.mark.parametrize("key", [None, EncryptionKey.parse("b2xk" * 10 + "b2w=")])
async def test_no_byte_of_somebody_is_left(tmp_path: Path, key: EncryptionKey | None) -> None:
    async with opened(tmp_path, key) as store:
        await keep(store, "c1", NUMBER)
        await keep(store, "c2", NUMBER, outbound=True)
        file = await keep(store, "c3", OTHER)
        await campaign(store, 2)
        await add(store, [Listed(9, NUMBER, metadata={"name": "Zebulon"})])
        event = Event(2, "campaign.outcome", "", NOON, {"number": NUMBER, "metadata": {"name": "Zebulon"}})
        await store.events.add(event, (), lambda: None)
        await store.flush()
        if key is None:
            assert left(tmp_path)
        proof = await erase_caller(store, NUMBER)
        assert (proof.sessions, proof.recordings, proof.contacts) == (2, 2, 1)
        assert (proof.held, proof.standing) == ((), ())
        assert left(tmp_path) == []
        assert await store.get("c3") is not None
        assert file.exists()
        assert await store.memories.recall(f"tel:{OTHER}", "desk", NOON) == [Recollection(caller_name="Ann")]
        again = await erase_caller(store, NUMBER)
        assert (again.sessions, again.contacts, again.digest) == (0, 0, proof.digest)
    assert left(tmp_path) == []


async def test_who_waits_in_a_campaign_is_not_called_any_more_and_the_sums_stay_right(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store, 2)
        await add(store, [Listed(9, NUMBER)])
        await erase_caller(store, NUMBER)
        claimed = await claim(store)
        assert NUMBER not in {attempt.number for attempt in claimed.attempts}
        assert len(claimed.attempts) == 2
        assert await store.campaigns.outcomes("c") == {Outcome.NOT_CALLED: 1}


async def test_what_is_held_or_goes_on_is_named_and_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await keep(store, "c1", NUMBER)
        await keep(store, "c2", NUMBER, over=False)
        await store.retention.hold(("c1",), "case 4711", "key_1")
        proof = await erase_caller(store, NUMBER)
        assert (proof.sessions, proof.held, proof.standing) == (0, ("c1",), ("c2",))
        assert await store.get("c1") is not None
        await store.retention.release("c1")
        await store.finish("c2", NOON + timedelta(minutes=9), "caller_hung_up")
        assert (await erase_caller(store, NUMBER)).sessions == 2
