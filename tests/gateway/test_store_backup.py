# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup by the book (docs/postgresql.md) of a gateway at work, restored: what was said, and whom campaigns call."""

import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.campaigns.outcome import Outcome
from gateway.errors import StartupError
from gateway.store import TranscriptEntry, open_store
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey
from tests.gateway.test_store import NOON, session
from tests.gateway.test_store_campaigns import campaign, claim
from tests.postgresql_server import PASSWORD, USER, PostgreSqlServer, programs

_BOOK = (Path(__file__).parents[2] / "docs/postgresql.md").read_text()
KEY = EncryptionKey(bytes(range(32)))


def by_the_book(what: str) -> str:
    """The command that has this in it."""
    (found,) = [block for block in re.findall(r"```(?:sh|sql)\n(.*?)```", _BOOK, re.DOTALL) if what in block]
    return str(found)


def run(command: str, folder: Path, **environment: str) -> None:
    path = f"{programs()}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env={"PATH": path, **environment}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_backup_made_at_work_has_what_was_said_and_calls_nobody_who_was_being_called(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    after.mkdir()
    url, restored = f"sqlite+aiosqlite:///{before}/parley.db", f"sqlite+aiosqlite:///{after}/parley.db"
    server: PostgreSqlServer | None = None
    if kind == "postgresql":
        server = request.getfixturevalue("postgresql")
        set_up = (
            by_the_book("CREATE ROLE")
            .replace("ROLE parley ", "ROLE backed_up ")
            .replace("OWNER parley", "OWNER backed_up")
        )
        server.execute("postgres", *(one for one in set_up.split(";") if one.strip()))
        url = restored = server.url("parley", user="backed_up", password="CHANGE-ME")
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port if server else 0), "PGUSER": USER, "PGPASSWORD": PASSWORD}
    async with open_store(url, before, Metrics(), KEY) as store:
        await store.begin(session("c1"))
        await store.add_transcript("c1", TranscriptEntry(role="user", text="xylophone", started_ms=0, ended_ms=1))
        recording = store.recordings_dir / "c1.wav"
        recording.write_bytes(b"RIFF")
        await store.recording_began("c1", recording)
        await campaign(store, contacts=3)
        (in_flight,) = (await claim(store, 1, node="folder/run")).attempts
        await store.flush()
        if server is None:
            run(by_the_book("VACUUM INTO"), tmp_path, DATA_DIR=str(before))
            shutil.copy(tmp_path / "parley-backup.db", after / "parley.db")
        else:
            run(by_the_book("pg_dump"), tmp_path, **where)
        shutil.copytree(before / "recordings", after / "recordings")
        assert (await claim(store, 2, node="folder/run")).attempts, "and it went on"
    if server is not None:
        server.execute("postgres", "DROP DATABASE parley", "CREATE DATABASE parley OWNER backed_up TEMPLATE template0")
        run(by_the_book("pg_restore"), tmp_path, **where | {"PGUSER": "backed_up", "PGPASSWORD": "CHANGE-ME"})
    with pytest.raises(StartupError, match=r"store\.encryption_key is not set"):
        async with open_store(restored, after, Metrics()):
            pass
    async with open_store(restored, after, Metrics(), KEY) as store:
        record = await store.get("c1")
        assert record is not None
        assert ([one.text for one in record.transcript], record.end_reason) == (["xylophone"], "gateway_restarted")
        found = await store.recording_file("c1")
        assert found is not None
        assert found.read_bytes() == b"RIFF"
        later = NOON + timedelta(minutes=5)
        assert await store.attempts.recover("folder/next", later, later - timedelta(minutes=1)) == [
            in_flight.attempt_id
        ]
        assert await store.campaigns.outcomes("c") == {Outcome.UNKNOWN: 1}
        rest = (await claim(store, 10, node="folder/next", now=later)).attempts
        assert in_flight.contact_id not in {one.contact_id for one in rest}
        assert len(rest) == 2
        if server is not None:
            with pytest.raises(Exception, match="append-only"):
                server.execute("parley", "DELETE FROM audit")
