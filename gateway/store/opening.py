# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the store: its folder, its schema, its engine, its writer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.errors import StartupError, StoreError
from gateway.store.campaigns import CampaignRows, Writing
from gateway.store.folder import DataFolder
from gateway.store.number_keys import NumberKeys
from gateway.store.repository import SessionStore
from gateway.store.schema import upgrade_schema
from gateway.store.sealing import ColumnSealer
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey

_BUSY_TIMEOUT_S = 30.0
"""How long a write waits for those of other gateways on the same database."""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_store(
    url: str, data_dir: Path, metrics: Metrics, key: EncryptionKey | None = None
) -> AsyncIterator[SessionStore]:
    """The store, its schema up to date and its writer running; on leaving, what is queued is written.

    With a key, what people said is encrypted before it reaches the database; recordings get the key from here too.
    Sessions that a crash left open get `end_reason` "gateway_restarted". Raises `StartupError`.
    """
    folder = await asyncio.to_thread(DataFolder, data_dir)
    with folder:
        try:
            await asyncio.to_thread(upgrade_schema, url)
        except Exception as error:  # SQLAlchemy's, Alembic's and the driver's errors have no common root
            raise StartupError(f"database {url} cannot be opened or brought up to date: {error}") from error
        engine, lasting = _engine(url), _lasting_engine(url)
        store = SessionStore(engine, lasting, folder, metrics, key)
        try:
            await store.check_key()
            if folder.is_alone:
                left_open = await store.end_what_a_crash_left_open()
                if left_open:
                    log.warning("sessions_of_a_crash_ended", sessions=left_open)
                folder.admit_others()
            failure: Exception | None = None
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(store.write_until_closed(), name="store-writer")
                try:
                    yield store
                except Exception as error:  # the user's own error: kept out of the group, and raised below as it is
                    failure = error
                finally:
                    await store.close()
                    await asyncio.wait([writer])
            if failure is not None:
                raise failure
        finally:
            await engine.dispose()
            await lasting.dispose()


@asynccontextmanager
async def open_campaigns(url: str, key: EncryptionKey | None) -> AsyncIterator[CampaignRows]:
    """The campaigns of a database that a gateway has opened, for another process. Their methods raise `StoreError`."""
    async with open_transactions(url) as (transaction, dialect):
        yield CampaignRows(transaction, transaction, ColumnSealer(key), NumberKeys(key), dialect)


@asynccontextmanager
async def open_transactions(url: str) -> AsyncIterator[tuple[Writing, str]]:
    """Transactions with the write lock, for another process than the gateway's, and the database's dialect. They raise
    `StoreError`."""
    engine = _lasting_engine(url)

    @asynccontextmanager
    async def transaction() -> AsyncIterator[AsyncConnection]:
        try:
            async with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"the database refused: {getattr(error, 'orig', None) or error}") from error

    try:
        yield transaction, engine.dialect.name
    finally:
        await engine.dispose()


def _engine(url: str) -> AsyncEngine:
    engine = create_async_engine(url)
    _set_up(engine, "NORMAL")
    return engine


def _lasting_engine(url: str) -> AsyncEngine:
    """Its transactions outlive a power failure, and hold the write lock from their beginning: what they have read is
    still so when they write."""
    engine = create_async_engine(url)
    _set_up(engine, "FULL")
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def _no_implicit_transactions(connection: Any, record: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine.sync_engine, "begin")
        def _take_the_write_lock(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _set_up(engine: AsyncEngine, synchronous: str) -> None:
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine.sync_engine, "connect")
    def _set_pragmas(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={int(_BUSY_TIMEOUT_S * 1e3)}",
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
