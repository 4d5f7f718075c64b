# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a database to the newest schema: Alembic, inside one write transaction, on a thread of its own.

A second process that starts at the same time waits for that transaction, and finds nothing left to do.
"""

import asyncio
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_TIMEOUT_S = 30.0
"""How long a second process waits for the first one's migration."""


def upgrade_schema(url: str, to: str = "head") -> None:
    """Run the missing revisions. Blocks, and runs an event loop: call it on a thread (`asyncio.to_thread`)."""
    asyncio.run(_upgrade(url, to))


async def _upgrade(url: str, to: str) -> None:
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    engine = create_async_engine(url, connect_args={"timeout": _LOCK_TIMEOUT_S} if is_sqlite else {})
    if is_sqlite:
        # The driver must not begin transactions by itself: it would take the write lock too late (DDL after a read).
        @event.listens_for(engine.sync_engine, "connect")
        def _no_implicit_transactions(connection: Any, record: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine.sync_engine, "begin")
        def _take_the_write_lock(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run_revisions, to)
    finally:
        await engine.dispose()


def _run_revisions(connection: Connection, to: str) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
