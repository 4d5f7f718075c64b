# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations lead to the schema that the code uses."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.errors import StartupError
from gateway.store import open_store
from gateway.store.schema import upgrade_schema
from gateway.store.tables import Table
from gateway.telemetry import Metrics
from tests.postgresql_server import PostgreSqlServer


def test_all_revisions_together_make_the_tables(tmp_path: Path) -> None:
    upgrade_schema(f"sqlite+aiosqlite:///{tmp_path}/parley.db")
    engine = create_engine(f"sqlite:///{tmp_path}/parley.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_they_make_the_same_tables_on_postgresql(postgresql: PostgreSqlServer) -> None:
    url = postgresql.create("all_revisions")
    upgrade_schema(url)

    async def differences() -> list[Any]:
        engine = create_async_engine(url)
        options = {"compare_type": True, "compare_server_default": True}
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(
                    lambda sync: compare_metadata(MigrationContext.configure(sync, opts=options), Table.metadata)
                )
        finally:
            await engine.dispose()

    assert asyncio.run(differences()) == []
    upgrade_schema(url)
    (kept,) = postgresql.execute("all_revisions", "SELECT version_num FROM alembic_version")
    assert kept[0] >= "0014"


def test_events_and_what_webhooks_have_still_to_get_survive_the_upgrade(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/parley.db"
    upgrade_schema(url, to="0008")
    with closing(sqlite3.connect(tmp_path / "parley.db", isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys=ON")
        database.execute(
            'INSERT INTO sessions (call_id, direction, "from", "to", started_at, metadata) '
            "VALUES ('c1', 'inbound', 'a', 'b', '2026-11-23 06:00:00', '{}')"
        )
        database.execute("INSERT INTO events VALUES (7, 'c1', 'call.offered', '2026-11-23 06:00:00', '{}')")
        database.execute("INSERT INTO deliveries VALUES (7, 'crm')")
        upgrade_schema(url)
        database.execute("INSERT INTO events VALUES (8, NULL, 'trunk.state', '2026-11-23 06:00:01', '{}')")
        assert database.execute("SELECT cursor, webhook FROM deliveries").fetchall() == [(7, "crm")]
        database.execute("DELETE FROM sessions")
        assert database.execute("SELECT cursor FROM events").fetchall() == [(8,)]
        assert database.execute("SELECT * FROM deliveries").fetchall() == []


def test_a_process_that_starts_during_another_ones_migration_waits_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    upgrade_schema(f"sqlite+aiosqlite:///{tmp_path}/other.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        migration = [line for line in other.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]
    first = sqlite3.connect(tmp_path / "parley.db", isolation_level=None)
    first.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor() as threads:
        second = threads.submit(upgrade_schema, f"sqlite+aiosqlite:///{tmp_path}/parley.db")
        with pytest.raises(TimeoutError):
            second.result(timeout=0.5)
        for statement in migration:
            first.execute(statement)
        first.execute("COMMIT")
        first.close()
        second.result()


def test_upgrading_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/parley.db"
    upgrade_schema(url)
    before = (tmp_path / "parley.db").read_bytes()
    upgrade_schema(url)
    assert (tmp_path / "parley.db").read_bytes() == before


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/parley.db"
    await asyncio.to_thread(upgrade_schema, url)
    engine = create_engine(f"sqlite:///{tmp_path}/parley.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StartupError, match="9999"):
        async with open_store(url, tmp_path, Metrics()):
            pass
