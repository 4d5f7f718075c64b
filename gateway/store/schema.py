# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a database to the newest schema: Alembic, inside one write transaction, on a thread of its own.

A second process that starts at the same time waits for that transaction (SQLite: the write lock; PostgreSQL: an
advisory lock), and finds nothing left to do.
"""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, text

from gateway.errors import StartupError
from gateway.store.database import bare_engine, lock_at_once

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_TIMEOUT_S = 30.0
"""How long a second process waits for the first one's migration."""
_MIGRATION_LOCK = (1885434476, 1)
"""Of PostgreSQL's advisory locks: "parl", and which of ours."""
OLDEST_SERVER = 140_000
"""`server_version_num`: older ones are not looked after by their makers any more."""


def upgrade_schema(url: str, to: str = "head") -> None:
    """Run the missing revisions. Blocks, and runs an event loop: call it on a thread (`asyncio.to_thread`)."""
    asyncio.run(_upgrade(url, to))


async def _upgrade(url: str, to: str) -> None:
    engine = bare_engine(url, command_timeout=None)
    if engine.dialect.name == "sqlite":
        # The driver must not begin transactions by itself: it would take the write lock too late (DDL after a read).
        lock_at_once(engine)
    try:
        async with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                await connection.run_sync(_take_the_lock)
            await connection.run_sync(_run_revisions, to)
    finally:
        await engine.dispose()


def _take_the_lock(connection: Connection) -> None:
    version = int(connection.scalar(text("SELECT current_setting('server_version_num')")) or 0)
    if version < OLDEST_SERVER:
        raise StartupError(
            f"the server is PostgreSQL {version // 10_000}; at least {OLDEST_SERVER // 10_000} is needed"
        )
    encoding = connection.scalar(text("SELECT current_setting('server_encoding')"))
    if encoding != "UTF8":
        raise StartupError(f"its encoding is {encoding}: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0")
    connection.execute(text(f"SET LOCAL lock_timeout = '{int(_LOCK_TIMEOUT_S)}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:family, :one)"), _as_parameters(_MIGRATION_LOCK))


def _as_parameters(lock: tuple[int, int]) -> dict[str, int]:
    return {"family": lock[0], "one": lock[1]}


def _run_revisions(connection: Connection, to: str) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
