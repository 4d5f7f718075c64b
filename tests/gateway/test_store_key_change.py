# SPDX-License-Identifier: GPL-3.0-or-later
"""A new encryption key takes an old one's place: nothing is lost on the way, and the old one can be dropped."""

import asyncio
import io
import json
import os
import sqlite3
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.campaigns.outcome import Outcome
from gateway.cli import main
from gateway.errors import StartupError, StoreError
from gateway.events.event import Event
from gateway.sip.signalling import SipMessage
from gateway.store import SessionStore, TranscriptEntry, open_store
from gateway.store.agent_versions import AgentVersion, AgentWords
from gateway.store.key_change import Change, KeyChange
from gateway.store.opening import open_transactions
from gateway.store.records import KeptAnswer, RecordingFacts
from gateway.store.sealed_columns import SEALED_TABLES
from gateway.store.sealing import ColumnSealer, mark_of
from gateway.store.tables import Table
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey
from media.recording_source import RecordingSource
from media.resealing import header_of
from media.sealed import Sealer
from tests.gateway.test_store import NOON, session
from tests.gateway.test_store_campaigns import Listed, add, campaign, claim, ended
from tests.gateway.test_store_memories import ANNA, BEN, PARKING, call
from tests.store_databases import bytes_on_disk, url_of

OLD_TEXT, NEW_TEXT = "b2xk" * 10 + "b2w=", "bmV3" * 10 + "bmU="
OLD, OTHER = EncryptionKey.parse(OLD_TEXT), EncryptionKey(bytes(32))
NEW = EncryptionKey.parse(NEW_TEXT)
BOTH = EncryptionKey.parse(NEW_TEXT, (OLD,))
SAID = TranscriptEntry(role="assistant", text="xylophone", started_ms=0, ended_ms=1, heard_text="xylo")
INVITE = "INVITE sip:desk@192.0.2.2 SIP/2.0\r\nFrom: <sip:anna@192.0.2.1>;tag=1\r\nTo: <sip:desk@192.0.2.2>\r\n\r\n"
BARRED = "+493012349999"


def opened(folder: Path, key: EncryptionKey | None) -> Any:
    return open_store(url_of(folder), folder, Metrics(), key)


async def fill(store: SessionStore, folder: Path) -> None:
    """Something in every sealed column."""
    await call(store, "c1", ANNA, PARKING)
    await store.memories.consent(ANNA, "desk", True, NOON, NOON + timedelta(days=1))
    await store.add_transcript("c1", SAID)
    await store.signalling.add("c1", [SipMessage(1, False, "UDP", "a:1", "b:2", "x", INVITE)])
    await store.events.add(Event(1, "call.answered", "c1", NOON, {"codec": "pcmu"}), (), lambda: None)
    await store.keep_answer(KeptAnswer("k", "f", "c1", '{"a": 1}', NOON), forget_before=NOON - timedelta(days=1))
    words = AgentWords("prompt", "greeting", {})
    await store.agent_versions.add(AgentVersion("desk", 1, NOON, "key_1", "why", words, words))
    await store.do_not_call.add(BARRED, NOON, "api")
    await call(store, "held", BEN)
    await store.retention.hold(["held"], "the case of Ben", "key_1")
    await campaign(store)
    (first, *_) = (await claim(store, 1)).attempts
    await store.attempts.end(first, ended(Outcome.TALKED, answered_at=NOON, awaits_extraction=True))
    await store.attempts.extracted(first.attempt_id, {"comes": True})
    record(folder, "c1")
    await store.recording_began("c1", folder / "recordings" / "c1.ogg.enc")
    facts = RecordingFacts(format="opus", encrypted=True, started_ms=0, duration_ms=1, complete=True)
    await store.recording_ended("c1", facts)
    await store.finish("c1", NOON, "goodbye")
    await store.flush()


def record(folder: Path, call_id: str, *, key: EncryptionKey = OLD, is_whole: bool = True) -> Path:
    path = folder / "recordings" / f"{call_id}.ogg.enc"
    sealer = Sealer(key, ".ogg", call_id)
    path.write_bytes(sealer.header + sealer.seal(b"sound" * 70_000) + sealer.seal(b"more", last=is_whole))
    return path


async def check_all(store: SessionStore) -> None:
    """What `fill` has put there is there."""
    found = await store.get("c1")
    assert found is not None
    assert (found.transcript, found.metadata) == ((SAID,), {"order": "7"})
    assert await store.memories.recall(ANNA, "desk", NOON) == [PARKING]
    assert await store.memories.consented(ANNA, "desk", NOON) is True
    assert (await store.signalling.of_call("c1"))[0].text == INVITE
    assert [dict(one.data) for one in await store.events.read(0, 9, 9, call_id="c1", kinds=None)] == [{"codec": "pcmu"}]
    kept = await store.kept_answer("k", since=NOON - timedelta(days=1))
    assert kept is not None
    assert kept.answer == '{"a": 1}'
    assert [one.note for one in await store.agent_versions.of_agent("desk")] == ["why"]
    assert [one.reason for one in await store.retention.holds(["held"])] == ["the case of Ben"]
    assert await store.do_not_call.bars(BARRED)
    assert await add(store, [Listed(9, BARRED), Listed(10, "+493012340002")]) == ([10], [9])
    (result,) = await store.attempts.results("c", 0, 10)
    assert (result.number, result.metadata, dict(result.disposition)) == (
        "+493012340001",
        {"name": "Name 1"},
        {"comes": True},
    )
    path = await store.recording_file("c1")
    assert path is not None
    with RecordingSource(path, store.key) as source:
        assert b"".join(source.read()) == b"sound" * 70_000 + b"more"


async def change(folder: Path, key: EncryptionKey = BOTH, batch_rows: int = 2) -> Change:
    async with open_transactions(url_of(folder)) as (writing, _):
        return await KeyChange(writing, key, batch_rows=batch_rows).run()


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


async def parley(folder: Path, *arguments: str, new: str = NEW_TEXT, old: str = OLD_TEXT) -> Done:
    """In this process, which takes less than a second."""

    def run() -> Done:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            for name, value in settings_of(folder, new, old).items():
                patch.setenv(name, value)
            try:
                code = main(arguments)
            except SystemExit as exit:
                code = int(str(exit.code))
        return Done(code, out.getvalue(), err.getvalue())

    return await asyncio.to_thread(run)


def settings_of(folder: Path, new: str = NEW_TEXT, old: str = OLD_TEXT) -> dict[str, str]:
    settings = {"PARLEY_STORE__ENCRYPTION_KEY": new, "PARLEY_STORE__OLD_ENCRYPTION_KEYS": old}
    place = {"PARLEY_STORE__DATA_DIR": str(folder), "PARLEY_STORE__URL": url_of(folder)}
    return {**place, **{name: value for name, value in settings.items() if value}}


@pytest.mark.usefixtures("each_database")
async def test_all_of_it_is_read_with_the_old_key_beside_and_with_the_new_one_alone_afterwards(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await fill(store, tmp_path)
    async with opened(tmp_path, BOTH) as store:
        await check_all(store)
    before = await parley(tmp_path, "keys", "check")
    assert before.returncode == 1, before
    assert f"key {OLD.key_id[:6].hex()} (old)" in before.stdout
    done = await parley(tmp_path, "keys", "rotate", "--json")
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["left"] == {}
    assert (await parley(tmp_path, "keys", "check", old="")).returncode == 0
    assert mark_of(OLD.key_id).encode() not in bytes_on_disk(tmp_path)
    assert header_of(tmp_path / "recordings" / "c1.ogg.enc").key_id == NEW.key_id
    async with opened(tmp_path, NEW) as store:
        await check_all(store)


async def test_every_column_with_something_sealed_in_it_is_known(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await fill(store, tmp_path)
    known = {(table.name, column) for table in SEALED_TABLES for column in table.columns}
    found = set()
    with closing(sqlite3.connect(tmp_path / "parley.db")) as database:
        for table in Table.metadata.sorted_tables:
            for column in table.columns:
                query = f'SELECT count(*) FROM "{table.name}" WHERE "{column.name}" LIKE \'%sealed:1:%\''
                if database.execute(query).fetchone()[0]:
                    found.add((table.name, column.name))
    assert found == known


async def test_with_the_new_key_alone_what_is_under_the_old_one_is_refused_as_before(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await fill(store, tmp_path)
    for key in (NEW, None):
        with pytest.raises(StartupError, match="PARLEY_STORE__ENCRYPTION_KEY"):
            async with opened(tmp_path, key):
                pass
    wrong = await parley(tmp_path, "keys", "rotate", old="")
    assert wrong.returncode == 1
    assert "damaged, or encrypted with a key that is not among these" in wrong.stdout
    async with opened(tmp_path, OLD) as store:
        await check_all(store)


async def test_a_gateway_that_runs_meanwhile_reads_and_writes_on(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await fill(store, tmp_path)
        for index in range(300):
            await store.add_transcript("c1", SAID.model_copy(update={"text": f"word {index}"}))
    async with opened(tmp_path, BOTH) as store:
        changing = asyncio.ensure_future(change(tmp_path, batch_rows=5))
        written = 0
        while not changing.done():
            await store.add_transcript("c1", SAID.model_copy(update={"text": f"new {written}"}))
            written += 1
            found = await store.get("c1")
            assert found is not None
            assert len(found.transcript) == 301 + written, "everything can be read at any moment"
            await asyncio.sleep(0)
        await changing
    assert written > 5
    async with opened(tmp_path, NEW) as store:
        found = await store.get("c1")
        assert found is not None
        texts = [one.text for one in found.transcript]
    assert texts == ["xylophone", *(f"word {i}" for i in range(300)), *(f"new {i}" for i in range(written))]


async def test_killed_in_the_middle_again_and_again_it_goes_on_where_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await fill(store, tmp_path)
        await store.begin(session("long"))
        for index in range(3_000):
            await store.add_transcript("long", SAID.model_copy(update={"text": f"word {index}"}))
        await store.flush()
        for index in range(20):
            await store.begin(session(f"r{index}"))
            await store.recording_began(f"r{index}", record(tmp_path, f"r{index}"))
            await store.finish(f"r{index}", NOON, "goodbye")
    for wanted in ("transcript", "recordings"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _KILLED),
            env={**os.environ, **settings_of(tmp_path)},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        while wanted not in (said := (await process.stderr.readline()).decode()):
            assert said, "it was over before it could be killed"
        process.kill()
        await process.wait()
        left = await parley(tmp_path, "keys", "check", "--json")
        assert left.returncode == 1, "something was left to do"
        async with opened(tmp_path, BOTH) as store:
            await check_all(store)
    assert (await parley(tmp_path, "keys", "rotate")).returncode == 0
    assert not list((tmp_path / "recordings").glob("*.resealing"))
    async with opened(tmp_path, NEW) as store:
        await check_all(store)
        for index in range(20):
            path = await store.recording_file(f"r{index}")
            assert path is not None
            with RecordingSource(path, NEW) as source:
                assert b"".join(source.read()).endswith(b"soundmore")


_KILLED = """
import sys
from gateway.commands import key_change
key_change._say_every = lambda steps: lambda what, done, total: print(
    key_change.progress_line(what, done, total, "values"), file=sys.stderr, flush=True
)
from gateway.cli import main
main(["keys", "rotate"])
"""


async def test_recordings_that_break_off_still_do_and_those_of_calls_that_go_on_are_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        for call_id, is_over in (("cut", True), ("running", False)):
            await store.begin(session(call_id))
            await store.recording_began(call_id, record(tmp_path, call_id, is_whole=False))
            if is_over:
                await store.finish(call_id, NOON, "lost")
        record(tmp_path, "stray")
        await store.flush()
        done = await parley(tmp_path, "keys", "rotate", "--json")
        assert json.loads(done.stdout)["recordings"] == {"files": 1, "in_use": 1, "strays": 1, "unreadable": 0}
        assert done.returncode == 1, "the old key is still needed"
    with RecordingSource(tmp_path / "recordings" / "cut.ogg.enc", NEW) as source:
        assert source.is_truncated
        assert b"".join(source.read()) == b"sound" * 70_000 + b"more"


async def test_what_was_kept_before_there_was_a_key_is_sealed_and_its_digests_made_anew(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as store:
        await call(store, "c1", ANNA, PARKING)
        await call(store, "c2", BEN, PARKING)
        await store.signalling.add("c1", [SipMessage(1, False, "UDP", "a:1", "b:2", "x", INVITE)])
        await store.memories.consent(ANNA, "desk", True, NOON, NOON + timedelta(days=1))
        await store.do_not_call.add(BARRED, NOON, "api")
        await campaign(store)
    async with opened(tmp_path, NEW) as store:
        assert await store.do_not_call.bars(BARRED), "whoever sets a key for the first time calls nobody by it"
        await store.do_not_call.add(BARRED, NOON, "api")
        assert len(await store.do_not_call.listed()) == 1
        assert await add(store, [Listed(9, "+493012340002")]) == ([9], [])
    done = await change(tmp_path, NEW)
    assert (done.callers, done.callers_lost, done.unreadable) == (2, 1, 0), "nobody knows who Ben was"
    assert b"+4930" not in bytes_on_disk(tmp_path)
    async with opened(tmp_path, NEW) as store:
        assert await store.memories.recall(ANNA, "desk", NOON) == [PARKING]
        assert await store.memories.consented(ANNA, "desk", NOON) is True
        assert await store.do_not_call.bars(BARRED)


async def test_a_contact_from_before_is_not_called_when_its_number_is_barred_under_the_new_key(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await campaign(store, 2)
    async with opened(tmp_path, BOTH) as store:
        await store.do_not_call.add("+493012340001", NOON, "asked")
        claimed = await claim(store)
        assert [one.number for one in claimed.attempts] == ["+493012340002"]
        assert claimed.barred == 1


async def test_a_number_that_is_barred_under_both_keys_is_barred_once_afterwards(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await store.do_not_call.add(BARRED, NOON, "api")
    async with opened(tmp_path, BOTH) as store:
        rows = store.do_not_call
        rows._keys._key = NEW  # a gateway that knows the new key alone would have written so
        await rows.add(BARRED, NOON, "asked")
    await change(tmp_path)
    async with opened(tmp_path, NEW) as store:
        assert [one.number for one in await store.do_not_call.listed()] == [BARRED]


async def test_an_erased_session_does_not_come_back_with_its_recording(tmp_path: Path) -> None:
    async with opened(tmp_path, OLD) as store:
        await fill(store, tmp_path)
        path = tmp_path / "recordings" / "c1.ogg.enc"
        assert await store.erase("c1")
        record(tmp_path, "c1")  # as a change of the key would put it there, had it begun before
        assert (await parley(tmp_path, "keys", "rotate")).returncode == 1
        assert header_of(path).key_id == OLD.key_id, "a stray is not touched"


_KEYS = st.binary(min_size=32, max_size=32).map(EncryptionKey)


@settings(max_examples=60, deadline=None)
@given(st.lists(_KEYS, min_size=1, max_size=4, unique_by=lambda key: key.key_id), st.text(max_size=200), st.data())
def test_what_any_of_the_keys_sealed_opens_and_nothing_else_does(
    keys: list[EncryptionKey], text: str, data: st.DataObject
) -> None:
    by = data.draw(st.sampled_from(keys))
    sealed = ColumnSealer(by).seal(text, "t.c")
    newest = EncryptionKey(keys[0]._secret, keys[1:])
    assert ColumnSealer(newest).open(sealed, "t.c") == text.encode("utf-8", "replace").decode()
    assert sealed.startswith(mark_of(by.key_id))
    assert EncryptionKey.from_text(newest.to_text()).all == newest.all or [
        one.key_id for one in EncryptionKey.from_text(newest.to_text()).all
    ] == [one.key_id for one in newest.all]
    others = [one for one in keys if one is not by]
    if others:
        with pytest.raises(StoreError, match="another key"):
            ColumnSealer(EncryptionKey(others[0]._secret, others[1:])).open(sealed, "t.c")


async def test_faults_of_the_settings_are_told_at_the_start(tmp_path: Path) -> None:
    for new, old, said in (
        ("", OLD_TEXT, "store.encryption_key: is missing"),
        (NEW_TEXT, NEW_TEXT, "is store.encryption_key, or stands there twice"),
        (NEW_TEXT, "short", "32 random bytes"),
    ):
        refused = await parley(tmp_path, "keys", "check", new=new, old=old)
        assert refused.returncode == 2, refused
        assert said in refused.stderr
        assert "short" not in refused.stderr
