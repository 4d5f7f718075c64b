# SPDX-License-Identifier: GPL-3.0-or-later
"""The store outlives its process, a second process beside it, and a disk that refuses."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.store import SessionSummary, open_store
from gateway.telemetry import Metrics
from tests.gateway.test_store import NOON, session
from tests.store_databases import url_of

_WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from gateway.store import open_store
from gateway.telemetry import Metrics
from tests.gateway.test_store import session, turn

async def main(folder, url):
    async with open_store(url, Path(folder), Metrics()) as store:
        await store.begin(session("c1"))
        for index in itertools.count():
            await store.add_turn("c1", turn(index))
            await store.flush()
            print(index, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

_FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from gateway.store import open_store
from gateway.telemetry import Metrics
from tests.gateway.test_store import session, turn

async def main(folder):
    metrics = Metrics()
    async with open_store(f"sqlite+aiosqlite:///{folder}/parley.db", Path(folder), metrics) as store:
        await store.begin(session("c1"))
        await store.flush()
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        for index in range(20):
            await store.add_turn("c1", turn(index))
            await store.flush()
            await asyncio.sleep(0.02)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await store.add_turn("c1", turn(99))
        while not store.health.is_up:
            await asyncio.sleep(0.02)
        record = await store.get("c1")
    lost = metrics.registry.get_sample_value("parley_store_failed_writes_total")
    print(json.dumps({"turns": [one.index for one in record.turns], "lost": lost}))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.usefixtures("each_database")
async def test_every_acknowledged_turn_survives_kill_9(tmp_path: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITER, str(tmp_path), url_of(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged = [await writer.stdout.readline() for _ in range(25)]
    writer.kill()
    acknowledged += (await writer.stdout.read()).splitlines()
    await writer.wait()
    last = int(acknowledged[-1])
    async with open_store(url_of(tmp_path), tmp_path, Metrics()) as store:
        record = await store.get("c1")
    assert record is not None
    assert [one.index for one in record.turns][: last + 1] == list(range(last + 1))
    assert record.end_reason == "gateway_restarted"
    assert record.ended_at is not None


@pytest.mark.usefixtures("each_database")
async def test_sessions_of_a_gateway_that_still_runs_are_left_open(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    async with open_store(url, tmp_path, Metrics()) as running:
        await running.begin(session("c1"))
        await running.flush()
        async with open_store(url, tmp_path, Metrics()) as second:
            record = await second.get("c1")
    assert record is not None
    assert record.ended_at is None


@pytest.mark.usefixtures("each_database")
async def test_sessions_that_ended_keep_their_reason_after_a_restart(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    async with open_store(url, tmp_path, Metrics()) as store:
        await store.begin(session("c1"))
        await store.finish("c1", NOON, "caller_hung_up")
    async with open_store(url, tmp_path, Metrics()) as store:
        sessions: list[SessionSummary] = await store.recent(10)
    assert [(one.ended_at, one.end_reason) for one in sessions] == [(NOON, "caller_hung_up")]


def test_a_full_disk_costs_neither_the_call_nor_a_record_of_it_once_there_is_room_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result == {"turns": [*range(20), 99], "lost": 0.0}
    assert done.stdout.count("store_lost") == 1
    assert done.stdout.count("store_back") == 1


@pytest.mark.parametrize("server", [None, "postgresql"])
async def test_three_processes_may_open_a_new_store_at_once(
    tmp_path: Path, server: str | None, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/parley.db"
    if server is not None:
        url = request.getfixturevalue(server).create("started_by_three")
    script = "import sys; from gateway.store.schema import upgrade_schema; upgrade_schema(sys.argv[1])"
    starters = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", script, url, stderr=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    outcomes = await asyncio.gather(*(starter.communicate() for starter in starters))
    assert [starter.returncode for starter in starters] == [0, 0, 0], outcomes
    async with open_store(url, tmp_path, Metrics()) as store:
        assert await store.recent(1) == []
