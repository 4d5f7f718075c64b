# SPDX-License-Identifier: GPL-3.0-or-later
"""The two databases that a store may be in, and what is different about them.

    SQLite       one file, one writer at a time; what is durable is a matter of `PRAGMA synchronous`
    PostgreSQL   a server that other machines use too, and that may go away while calls stand

Everything else in `gateway.store` is written once for both. Nothing waits for a server that is known to be away.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.errors import StoreError

PATIENCE_S = 2.0
"""For a connection, or a place in the pool: somebody waits for the answer."""
_STATEMENT_S = 30.0
"""For what is slow. A server that is silent is noticed by `gateway.store.presence`, which has all connections cut."""
_BUSY_TIMEOUT_S = 30.0
"""How long a write of SQLite waits for those of other gateways on the same file."""
_POOL = 10
_SQLITE_OUTAGES = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    )
)
_OUTAGE_CLASSES = ("08", "53", "57", "58", "28")
"""Of SQLSTATE: connections, resources (a full disk), shutdown and cancelled statements, the system; a login that is
refused was accepted at the start."""
_OUTAGES = frozenset(("25006", "40001", "40P01", "55P03", "3D000"))
"""A standby takes no writes; conflicts between transactions; a lock that nobody released; the database is being
restored."""
_ABOUT_VALUES = ("22", "23")
"""Of SQLSTATE: messages that repeat what was to be written."""


def shown(url: str) -> str:
    """For messages: without the password."""
    return _without_secrets(make_url(url)).render_as_string(hide_password=True)


def _without_secrets(url: URL) -> URL:
    return url.difference_update_query(("password", "passfile", "sslpassword"))


def cause_of(error: BaseException) -> str:
    """What the database said, without what was to be written: that is what people said."""
    orig = getattr(error, "orig", None) or error
    state = sqlstate(error)
    if state is None:
        return str(orig) if isinstance(orig, sqlite3.Error) else f"{type(orig).__name__}: {_reason(orig)}"
    driver = getattr(orig, "__cause__", None) or orig
    if state.startswith(_ABOUT_VALUES):
        return f"{type(driver).__name__} (SQLSTATE {state})"
    return str(driver).partition("\n")[0]


def _reason(error: BaseException) -> str:
    if isinstance(error, UnicodeError):
        return "text that is no Unicode"
    if isinstance(error, OSError):
        return error.strerror or ("no answer" if isinstance(error, TimeoutError) else "the connection failed")
    return "the driver failed" if sqlstate(error) is None and not str(error) else str(error).partition("\n")[0][:200]


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code; None: it is not PostgreSQL that speaks."""
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return state if isinstance(state, str) else None


def is_outage(error: BaseException) -> bool:
    """The same may work later; False: the database refuses this very thing."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, exc.TimeoutError | OSError):  # the pool's; the clock's and the network's
        return True
    if (state := sqlstate(error)) is not None:
        return state.startswith(_OUTAGE_CLASSES) or state in _OUTAGES
    orig = getattr(error, "orig", None)
    if isinstance(orig, sqlite3.Error):
        return (getattr(orig, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_OUTAGES
    return isinstance(error, exc.InterfaceError | exc.OperationalError)


class Database:
    """Connections to the store's database. Its contexts raise `StoreError`, `writing` what the driver raises."""

    def __init__(self, url: str) -> None:
        self.dialect = make_url(url).get_backend_name()
        self.engine = _engine(url, "NORMAL", "local")
        self._lasting = _engine(url, "FULL", "on")
        if self.is_sqlite:
            lock_at_once(self._lasting)
        self._in_use: set[Any] = set()
        """The driver's connections."""
        self.is_up = True
        """A server that is known not to answer is asked nothing: whoever wants to read hears so at once."""

    @property
    def is_sqlite(self) -> bool:
        return self.dialect == "sqlite"

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that outlives the process, and the server, but not a power failure at SQLite."""
        async with self._transaction(self.engine) as connection:
            yield connection

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that outlives a power failure. At SQLite it holds the write lock from its beginning: what it
        has read is still so when it writes. At PostgreSQL whoever reads first locks the row (`locked_campaign`)."""
        self._expect_it_up()
        try:
            async with self._transaction(self._lasting) as connection:
                yield connection
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            raise StoreError(f"the database cannot be written: {cause_of(error)}") from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        self._expect_it_up()
        try:
            async with self._connection(self.engine) as connection:
                yield connection
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            raise StoreError(f"the database cannot be read: {cause_of(error)}") from error

    def _expect_it_up(self) -> None:
        if not self.is_up and not self.is_sqlite:
            raise StoreError("the database does not answer")

    def cut(self) -> None:
        """End what is asked of a server that has fallen silent: whoever waits hears so."""
        for driver in self._in_use:
            driver.terminate()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with self._connection(engine) as connection:
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with engine.connect() as connection:  # which is given back even if we are cancelled while that goes on
            driver = None if self.is_sqlite else (await connection.get_raw_connection()).driver_connection
            try:
                if driver is not None:
                    self._in_use.add(driver)
                yield connection
            finally:
                self._in_use.discard(driver)

    async def dispose(self) -> None:
        await self.engine.dispose()
        await self._lasting.dispose()


async def abort(connection: AsyncConnection) -> None:
    """Close a connection whose server is silent: what is usually said in parting would wait for an answer."""
    with contextlib.suppress(SQLAlchemyError):
        raw = await connection.get_raw_connection()
        terminate = getattr(raw.driver_connection, "terminate", None)
        if terminate is not None:
            terminate()
            await connection.invalidate()


def bare_engine(
    url: str,
    *,
    command_timeout: float | None = _STATEMENT_S,
    settings: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> AsyncEngine:
    """An engine whose connections wait no longer than that, with these settings of PostgreSQL."""
    if make_url(url).get_backend_name() == "sqlite":
        return create_async_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S}, **options)
    connect_args = {
        "timeout": PATIENCE_S,
        "command_timeout": command_timeout,
        "server_settings": {"application_name": "parley", "timezone": "UTC", **settings},
    }
    return create_async_engine(url, connect_args=connect_args, **options)


def _engine(url: str, synchronous: str, synchronous_commit: str) -> AsyncEngine:
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_async_engine(url)
        _set_pragmas(engine, synchronous)
        return engine
    engine = bare_engine(
        url,
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_timeout=PATIENCE_S,
        settings={"synchronous_commit": synchronous_commit},
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _leave_the_dead(connection: Any, record: Any, proxy: object) -> None:
        if record.driver_connection.is_closed():  # while it lay in the pool: the server was restarted
            raise exc.DisconnectionError

    return engine


def _set_pragmas(engine: AsyncEngine, synchronous: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _set(connection: Any, record: object) -> None:
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


def lock_at_once(engine: AsyncEngine) -> None:
    """Have every transaction of SQLite begin with the write lock."""

    @event.listens_for(engine.sync_engine, "connect")
    def _no_implicit_transactions(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def _take_the_write_lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
