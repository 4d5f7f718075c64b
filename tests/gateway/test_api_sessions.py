# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions over HTTP."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store import TranscriptEntry
from tests.gateway.test_api_calls import Api, running_api
from tests.gateway.test_store import NOON, session, turn


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        await running.store.begin(session("c1"))
        await running.store.answered("c1", NOON, "PCMU")
        entry = TranscriptEntry(role="user", text="Hello", started_ms=1, ended_ms=2)
        await running.store.add_transcript("c1", entry)
        await running.store.add_turn("c1", turn(0))
        yield running


async def finish(api: Api, call_id: str = "c1", *, recording: bytes | None = None) -> None:
    path = api.store.recordings_dir / f"{call_id}.wav"
    if recording is not None:
        path.write_bytes(recording)
        await api.store.recording_began(call_id, path)
    await api.store.finish(call_id, NOON, "caller_hung_up")


async def test_a_session_has_everything_that_others_rely_on(api: Api) -> None:
    await finish(api, recording=b"RIFF")
    record = (await api.client.get("/api/v1/sessions/c1")).json()
    relied_on = "call_id direction from to started_at answered_at ended_at end_reason codec metadata transcript turns"
    assert set(relied_on.split()) | {"quality", "recording"} <= set(record)
    assert {"role", "text", "started_ms", "ended_ms", "interrupted", "heard_text", "sources"} == set(
        record["transcript"][0]
    )
    (only_turn,) = record["turns"]
    assert {"index", "segments_ms", "response_ms", "speculative", "interrupted"} == set(only_turn)
    assert abs(sum(only_turn["segments_ms"].values()) - only_turn["response_ms"]) < 1
    assert record["recording"] == "/api/v1/sessions/c1/recording"


async def test_a_session_that_was_kept_as_it_was_said_can_be_had_redacted(api: Api) -> None:
    for text in ("my card is 4111 1111", "1111 1111"):
        await api.store.add_transcript("c1", TranscriptEntry(role="user", text=text, started_ms=3, ended_ms=4))
    for query, texts in (
        ("?redact=true", ["Hello", "my card is [card]", "[card]"]),
        ("", ["Hello", "my card is 4111 1111", "1111 1111"]),
    ):
        answer = (await api.client.get(f"/api/v1/sessions/c1{query}")).json()
        assert [entry["text"] for entry in answer["transcript"]] == texts
    assert (await api.client.get("/api/v1/sessions/c1?redact=perhaps")).status_code == 422


async def test_the_recording_link_leads_to_the_recording(api: Api) -> None:
    await finish(api, recording=b"RIFF and so on")
    link = (await api.client.get("/api/v1/sessions/c1")).json()["recording"]
    answer = await api.client.get(link)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content == b"RIFF and so on"
    assert (await api.stranger.get(link)).status_code == 401


async def test_a_session_without_a_recording_says_so(api: Api) -> None:
    await finish(api)
    assert (await api.client.get("/api/v1/sessions/c1")).json()["recording"] is None
    answer = await api.client.get("/api/v1/sessions/c1/recording")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "session c1 has no recording"


async def test_a_session_can_be_erased_once_it_is_over(api: Api) -> None:
    refused = await api.client.delete("/api/v1/sessions/c1")
    assert (refused.status_code, refused.json()["detail"]) == (409, "hang up first")
    await finish(api)
    assert (await api.client.delete("/api/v1/sessions/c1")).status_code == 204
    assert (await api.client.delete("/api/v1/sessions/c1")).status_code == 404
    assert (await api.client.get("/api/v1/sessions/c1")).status_code == 404


async def test_pages_lead_from_the_newest_session_to_the_oldest(api: Api) -> None:
    for number in range(2, 6):
        await api.store.begin(session(f"c{number}", minutes=number))
    seen: list[str] = []
    before: str | None = None
    for _ in range(3):
        parameters = {"limit": "2"} | ({"before": before} if before else {})
        page = (await api.client.get("/api/v1/sessions", params=parameters)).json()
        seen += [one["call_id"] for one in page["sessions"]]
        before = page["next"]
    assert seen == ["c5", "c4", "c3", "c2", "c1"]
    assert before is None
    assert "transcript" not in page["sessions"][0], "a list does not repeat what was said"


async def test_a_limit_out_of_range_is_named(api: Api) -> None:
    answer = await api.client.get("/api/v1/sessions", params={"limit": "0"})
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == ["query.limit"]


async def test_a_database_that_fails_is_a_503(api: Api, tmp_path: Path) -> None:
    await api.store.flush()
    with sqlite3.connect(tmp_path / "parley.db") as database:
        database.execute("DROP TABLE turns")
    answer = await api.client.get("/api/v1/sessions/c1")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:parley:problem:store-failed"
    assert "SELECT" not in answer.text
