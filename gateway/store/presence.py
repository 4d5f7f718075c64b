# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to PostgreSQL that says for as long as it lives that a gateway uses the database, and that it answers.

    exclusive lock: nobody else uses it > what looks open was left by gateways that are gone > shared lock
    SELECT 1 every second               > lost when it takes longer than 1.5 > asked again until it is back

What the lock on the data folder is for one machine (`gateway.store.folder`), the advisory lock is for all of them: the
server drops it when the connection breaks, however the process dies.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from gateway.store.database import abort, bare_engine, cause_of
from gateway.store.health import Health

_IN_USE = "1885434476, 2"
"""Of the advisory locks: "parl", and which of ours. (1 is the migration's.)"""
_PERIOD_S = 1.0
_AWAY_PERIOD_S = 0.3
_ANSWER_S = 1.5
_START_S = 30.0
"""For another gateway to end what it alone may do."""
_FAULTS = (SQLAlchemyError, TimeoutError, OSError)


class Presence:
    """Made by `open_presence`."""

    def __init__(self, url: str, connection: AsyncConnection, *, is_alone: bool) -> None:
        self._engine = bare_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._connection: AsyncConnection | None = connection
        self.is_alone = is_alone
        """No other gateway used the database when we began."""

    async def admit_others(self) -> None:
        """What only a gateway that is alone may do is done."""
        assert self._connection is not None
        if self.is_alone:
            await self._connection.execute(text(f"SELECT pg_advisory_lock_shared({_IN_USE})"))
            await self._connection.execute(text(f"SELECT pg_advisory_unlock({_IN_USE})"))

    async def watch(self, health: Health) -> None:
        """Until cancelled: tell whether the database answers."""
        while True:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if self._connection is None:
                        self._connection = await self._engine.connect()
                        await self._connection.execute(text(f"SELECT pg_advisory_lock_shared({_IN_USE})"))
                    await self._connection.execute(text("SELECT 1"))
                health.back()
            except _FAULTS as fault:
                health.lost(cause_of(fault))
                await self._let_go()
            await asyncio.sleep(_PERIOD_S if health.is_up else _AWAY_PERIOD_S)

    async def _let_go(self) -> None:
        if (connection := self._connection) is None:
            return
        self._connection = None
        await abort(connection)
        with suppress(*_FAULTS):
            await connection.close()

    async def aclose(self) -> None:
        await self._let_go()
        await self._engine.dispose()


@asynccontextmanager
async def open_presence(url: str) -> AsyncIterator[Presence]:
    """Use the database. Waits while another gateway does what only one may do that is alone. Raises what the driver
    raises."""
    engine = bare_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", command_timeout=_START_S)
    connection = await engine.connect()
    is_alone = bool(await connection.scalar(text(f"SELECT pg_try_advisory_lock({_IN_USE})")))
    if not is_alone:
        await connection.execute(text(f"SELECT pg_advisory_lock_shared({_IN_USE})"))
    presence = Presence(url, connection, is_alone=is_alone)
    try:
        yield presence
    finally:
        await presence.aclose()
        await engine.dispose()
