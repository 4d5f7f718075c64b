# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL goes away while calls stand: nothing waits for it, nothing is lost, nothing is written twice."""

import asyncio
import itertools
import json
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.store import SessionStore, TranscriptEntry, open_store
from gateway.store import presence as presences
from gateway.store import writer as writers
from gateway.telemetry import Metrics
from tests.gateway.test_store import session, turn
from tests.gateway.test_store_campaigns import campaign, claim
from tests.postgresql_server import PostgreSqlServer

_Fault = Callable[[PostgreSqlServer], None]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSqlServer]:
    """One that these tests may stop."""
    with PostgreSqlServer() as own:
        yield own


@pytest.fixture
def url(server: PostgreSqlServer, request: pytest.FixtureRequest) -> str:
    return server.create(f"t{abs(hash(request.node.name)):x}")


def said(number: int) -> TranscriptEntry:
    return TranscriptEntry(role="user", text=f"word {number}", started_ms=number, ended_ms=number + 1)


async def until(so: Callable[[], Awaitable[bool]] | Callable[[], bool], limit_s: float = 15) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            answer = so()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


async def until_back(store: SessionStore) -> None:
    async def is_settled() -> bool:
        with suppress(StoreError):
            await store.flush()
            return store.health.is_up
        return False

    await until(is_settled)


def files(folder: Path) -> list[Path]:
    """With what the database has not taken."""
    return list(folder.glob("unwritten-*"))


def stop(server: PostgreSqlServer) -> None:
    server.stop()


def freeze(server: PostgreSqlServer) -> None:
    server.freeze()


@pytest.mark.parametrize(("away", "back"), [(stop, PostgreSqlServer.start), (freeze, PostgreSqlServer.resume)])
async def test_what_is_said_during_an_outage_is_there_once_and_in_order_afterwards(
    server: PostgreSqlServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: _Fault, back: _Fault
) -> None:
    monkeypatch.setattr(writers, "_QUEUE_RECORDS", 1000)
    monkeypatch.setattr(presences, "_PERIOD_S", 0.2)
    monkeypatch.setattr(presences, "_ANSWER_S", 0.5)
    metrics, told = Metrics(), list[bool]()
    async with open_store(url, tmp_path, metrics) as store:
        store.health.follow(told.append)
        await store.begin(session("c1"))
        waits: list[float] = []
        talking = asyncio.create_task(talk(store, waits))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(away, server)
        await until(lambda: not store.health.is_up)
        assert metrics.registry.get_sample_value("parley_store_up") == 0
        begun = time.monotonic()
        with pytest.raises(StoreError):
            await store.get("c1")
        with pytest.raises(StoreError):
            await store.recent(1)
        with pytest.raises(StoreError):
            await store.campaigns.listed()
        assert time.monotonic() - begun < 0.5, "whoever asks while it is known to be away does not wait"
        await until(lambda: store.writer.depth > 1200)
        assert files(tmp_path), "more than memory holds lies in a file"
        await asyncio.to_thread(back, server)
        await until_back(store)
        talking.cancel()
        await asyncio.wait([talking])
        await store.flush()
        record = await store.get("c1")
        assert metrics.registry.get_sample_value("parley_store_up") == 1
    assert record is not None
    texts = [one.text for one in record.transcript]
    assert texts == [f"word {number}" for number in range(len(texts))]
    assert len(texts) > 1200
    assert told == [False, True], "one alarm, and one all-clear"
    assert max(waits) < 0.5, "no call has waited for the database"
    assert metrics.registry.get_sample_value("parley_store_failed_writes_total") == 0
    assert not files(tmp_path)


async def talk(store: SessionStore, waits: list[float]) -> None:
    """Several hundred sentences a second, until cancelled."""
    for number in itertools.count():
        begun = time.monotonic()
        await asyncio.shield(store.add_transcript("c1", said(number)))
        waits.append(time.monotonic() - begun)
        await asyncio.sleep(0.003)


async def test_a_reader_that_meets_a_silent_server_is_told_within_five_seconds(
    server: PostgreSqlServer, url: str, tmp_path: Path
) -> None:
    async with open_store(url, tmp_path, Metrics()) as store:
        await store.begin(session("c1"))
        await store.flush()
        await asyncio.to_thread(server.freeze)
        begun = time.monotonic()
        try:
            answers = await asyncio.gather(
                store.recent(1), store.get("c1"), store.do_not_call.listed(), return_exceptions=True
            )
            waited_s = time.monotonic() - begun
        finally:
            server.resume()
        assert all(isinstance(answer, StoreError) for answer in answers), answers
        assert waited_s < 5
        await until_back(store)
        assert len(await store.recent(1)) == 1


async def test_a_commit_whose_answer_is_lost_is_not_written_again(
    server: PostgreSqlServer, url: str, tmp_path: Path
) -> None:
    """A relay between gateway and server drops the answer to a COMMIT, and the connection with it."""
    relay = LossyRelay(server.port)
    async with relay, open_store(url.replace(f":{server.port}/", f":{relay.port}/"), tmp_path, Metrics()) as store:
        await store.begin(session("c1"))
        await store.flush()
        for number in range(20):
            relay.drops_commits = number % 4 == 3
            await store.add_transcript("c1", said(number))
            await asyncio.sleep(0.05)
            relay.drops_commits = False
        await until_back(store)
        record = await store.get("c1")
    assert record is not None
    assert relay.dropped >= 4
    assert [one.text for one in record.transcript] == [f"word {number}" for number in range(20)]


class LossyRelay:
    """TCP, byte by byte; cut off when the answer to a COMMIT comes by and it is to be dropped."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.drops_commits = False
        self.dropped = 0

    async def __aenter__(self) -> "LossyRelay":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, family=socket.AF_INET)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *about: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._to)
        with suppress(OSError):
            await asyncio.gather(self._pass_on(reader, upstream, False), self._pass_on(upstream_reader, writer, True))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool) -> None:
        try:
            while data := await reader.read(65536):
                if is_answer and self.drops_commits and b"COMMIT\0" in data:
                    self.dropped += 1
                    self.drops_commits = False
                    return
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


async def test_what_is_left_at_the_end_is_written_by_the_next_gateway_with_the_folder(
    server: PostgreSqlServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "_QUEUE_RECORDS", 5)
    monkeypatch.setattr(writers, "_LAST_TRIES_S", 0.2)
    async with open_store(url, tmp_path, Metrics()) as store:
        await store.begin(session("c1"))
        await store.flush()
        await asyncio.to_thread(server.stop)
        await until(lambda: not store.health.is_up)
        for number in range(20):
            await store.add_transcript("c1", said(number))
        await store.add_turn("c1", turn(0))
        await store.finish("c1", session("c1").started_at, "caller_hung_up")
    (left,) = files(tmp_path)
    assert left.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["number"] for line in left.read_text().splitlines()] == list(range(3, 25))
    await asyncio.to_thread(server.start)
    async with open_store(url, tmp_path, Metrics()) as store:
        record = await store.get("c1")
    assert record is not None
    assert [one.text for one in record.transcript] == [f"word {number}" for number in range(20)]
    assert (record.end_reason, len(record.turns)) == ("caller_hung_up", 1)
    assert not left.exists()


async def test_a_campaign_claims_nobody_while_the_database_is_away_and_goes_on_afterwards(
    server: PostgreSqlServer, url: str, tmp_path: Path
) -> None:
    async with open_store(url, tmp_path, Metrics()) as store:
        await campaign(store, contacts=3)
        first = await claim(store, 1)
        await asyncio.to_thread(server.stop, signal.SIGQUIT)
        await until(lambda: not store.health.is_up)
        with pytest.raises(StoreError):
            await claim(store, 3)
        await asyncio.to_thread(server.start)
        await until_back(store)
        rest = await claim(store, 10)
    numbers = [one.number for one in (*first.attempts, *rest.attempts)]
    assert sorted(numbers) == [f"+49301234{line:04}" for line in (1, 2, 3)]
