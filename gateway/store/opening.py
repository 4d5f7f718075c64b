# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the store: its folder, its schema, its database, its writer."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from gateway.errors import StartupError
from gateway.store.campaigns import CampaignRows, Writing
from gateway.store.database import Database, cause_of, shown
from gateway.store.folder import DataFolder
from gateway.store.health import Health
from gateway.store.number_keys import NumberKeys
from gateway.store.presence import Presence, open_presence
from gateway.store.repository import SessionStore
from gateway.store.schema import upgrade_schema
from gateway.store.sealing import ColumnSealer
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_store(
    url: str, data_dir: Path, metrics: Metrics, key: EncryptionKey | None = None, *, node: str | None = None
) -> AsyncIterator[SessionStore]:
    """The store, its schema up to date and its writer running; on leaving, what is queued is written.

    With a key, what people said is encrypted before it reaches the database; recordings get the key from here too.
    Sessions that a crash left open get `end_reason` "gateway_restarted": of this gateway (`node`; None: the host and
    the data folder), and of all when no other one uses the database. Raises `StartupError`.
    """
    folder = await asyncio.to_thread(DataFolder, data_dir)
    with folder:
        async with contextlib.AsyncExitStack() as stack:
            presence: Presence | None = None
            database = Database(url)
            stack.push_async_callback(database.dispose)
            try:
                await asyncio.to_thread(upgrade_schema, url)
                if not database.is_sqlite:
                    presence = await stack.enter_async_context(open_presence(url))
                store = SessionStore(
                    database,
                    Health(database, metrics),
                    folder,
                    metrics,
                    key,
                    node=node or f"{socket.gethostname()}/{folder.name}",
                    is_alone=folder.is_alone if presence is None else presence.is_alone,
                )
                await store.check_key()
                await store.writer.begin()
                if store.was_alone or folder.is_alone or node is not None:
                    await store.end_what_a_crash_left_open()
                if folder.is_alone:
                    folder.admit_others()
                if presence is not None:
                    await presence.admit_others()
            except StartupError as error:
                raise StartupError(f"database {shown(url)} cannot be used: {error}") from error
            except Exception as error:  # SQLAlchemy's, Alembic's and the driver's errors have no common root
                raise StartupError(
                    f"database {shown(url)} cannot be opened or brought up to date: {cause_of(error)}"
                ) from None  # what the driver was given, it may repeat
            if store.left_open:
                log.warning("sessions_of_a_crash_ended", sessions=len(store.left_open))
            async with _at_work(store, presence):
                yield store


@asynccontextmanager
async def _at_work(store: SessionStore, presence: Presence | None) -> AsyncIterator[None]:
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(store.writer.run(), name="store-writer")
        watch = None if presence is None else tasks.create_task(presence.watch(store.health), name="store-watch")
        try:
            yield
        except Exception as error:  # the user's own error: kept out of the group, and raised below as it is
            failure = error
        finally:
            store.writer.close()
            await asyncio.wait([writer])
            if watch is not None:
                watch.cancel()
    if failure is not None:
        raise failure


@asynccontextmanager
async def open_campaigns(url: str, key: EncryptionKey | None) -> AsyncIterator[CampaignRows]:
    """The campaigns of a database that a gateway has opened, for another process. Their methods raise `StoreError`."""
    async with open_transactions(url) as (transaction, dialect):
        yield CampaignRows(transaction, transaction, ColumnSealer(key), NumberKeys(key), dialect)


@asynccontextmanager
async def open_transactions(url: str) -> AsyncIterator[tuple[Writing, str]]:
    """Transactions with the write lock, for another process than the gateway's, and the database's dialect. They raise
    `StoreError`."""
    database = Database(url)
    try:
        yield database.lasting, database.dialect
    finally:
        await database.dispose()
