# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is not to be called, by one campaign or by any. As `gateway.store.campaigns` on transactions and errors."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store.campaign_records import DoNotCallEntry
from gateway.store.campaign_tables import DoNotCallRow
from gateway.store.campaigns import Writing, barred_keys
from gateway.store.number_keys import NumberKeys
from gateway.store.sealing import ColumnSealer

_SEALED = "do_not_call.number"


class DoNotCallRows:
    """Part of `SessionStore`."""

    def __init__(
        self, writing: Writing, reading: Writing, sealer: ColumnSealer, keys: NumberKeys, dialect: str
    ) -> None:
        self._writing = writing
        self._reading = reading
        self._sealer = sealer
        self._keys = keys
        new = sqlite.insert(DoNotCallRow) if dialect == "sqlite" else postgresql.insert(DoNotCallRow)
        self._add = new.on_conflict_do_nothing()

    async def add(self, number: str, now: datetime, cause: str, campaign_id: str = "") -> None:
        """From now on this number is not called, by this campaign, or by any. Again is as good as once."""
        async with self._writing() as connection:
            there = select(DoNotCallRow.number_key).where(
                DoNotCallRow.number_key.in_(self._keys.all_of(number)), DoNotCallRow.campaign_id == campaign_id
            )
            if await connection.scalar(there.limit(1)) is None:
                row = {
                    "number_key": self._keys.of(number),
                    "campaign_id": campaign_id,
                    "number": self._sealer.seal(number, _SEALED),
                    "added_at": now,
                    "cause": cause,
                }
                await connection.execute(self._add, row)

    async def remove(self, number: str, campaign_id: str = "") -> bool:
        """False: it was not on the list."""
        async with self._writing() as connection:
            gone = await connection.execute(
                delete(DoNotCallRow).where(
                    DoNotCallRow.number_key.in_(self._keys.all_of(number)), DoNotCallRow.campaign_id == campaign_id
                )
            )
            return gone.rowcount > 0

    async def bars(self, number: str, campaign_id: str = "") -> bool:
        """Whether this number must not be called."""
        async with self._reading() as connection:
            return bool(await barred_keys(connection, campaign_id, self._keys.all_of(number)))

    async def listed(self, *, after: int = 0, limit: int = 1000) -> list[DoNotCallEntry]:
        """Oldest first, without the first `after`."""
        query = select(DoNotCallRow.__table__).order_by(DoNotCallRow.added_at, DoNotCallRow.number_key)
        async with self._reading() as connection:
            return [
                DoNotCallEntry(self._sealer.open(row.number, _SEALED), row.campaign_id, row.added_at, row.cause)
                for row in await connection.execute(query.offset(after).limit(limit))
            ]
