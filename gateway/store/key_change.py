# SPDX-License-Identifier: GPL-3.0-or-later
"""Seals the database anew with the key in force, while gateways use it: `parley keys rotate`.

    rows that are not under the key > open (old key, or clear) > seal, digest > one short transaction per batch

There is nothing to resume from: what is done is known by the key's id beside each value, so whoever begins again goes
on. Between two batches others get the write lock.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, BindParameter, Row, bindparam, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import StoreError
from gateway.store.number_keys import NumberKeys
from gateway.store.sealed_columns import SEALED_TABLES, Digest, SealedTable
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import CallerRow, ConsentRow
from gateway.store.whose_digest import addresses_of
from media.encryption import EncryptionKey

BATCH_ROWS = 200
_SHORTEST_PAUSE_S = 0.005

Told = Callable[[str, int, int], None]
"""What is worked on, how much of it is done, and of how much."""
Opening = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


@dataclass(slots=True)
class Change:
    """What came of it."""

    rows: int = 0
    unreadable: int = 0
    """Rows under a key that is none of ours, or damaged: left as they are."""
    callers: int = 0
    """Digests of callers that were made anew."""
    callers_lost: int = 0
    """Digests of callers that cannot be: nobody has written down whose they are. Under the old key they are found."""


class _Changes:
    """Of rows of one table; what is alike is executed together, which takes a fraction of the time."""

    def __init__(self, table: SealedTable) -> None:
        self._table = table
        self._rows: dict[tuple[str, ...], list[dict[str, object]]] = {}

    def add(self, row: Row[Any], values: Mapping[str, object]) -> None:
        """`row` begins with its primary key."""
        key = {f"key_{index}": row[index] for index in range(len(self._table.key))}
        new = {f"new_{name}": value for name, value in values.items()}
        self._rows.setdefault(tuple(sorted(values)), []).append({**key, **new})

    async def write(self, connection: AsyncConnection) -> None:
        rows, self._rows = self._rows, {}
        for columns, parameters in rows.items():
            this = [column == bindparam(f"key_{index}") for index, column in enumerate(self._table.key)]
            values: dict[str, BindParameter[Any]] = {name: bindparam(f"new_{name}") for name in columns}
            await connection.execute(update(self._table.table).where(*this).values(values), parameters)


class KeyChange:
    """Of one database."""

    def __init__(self, writing: Opening, key: EncryptionKey, *, batch_rows: int = BATCH_ROWS) -> None:
        """`writing`: a transaction with the write lock."""
        self._writing = writing
        self._sealer = ColumnSealer(key)
        self._key = key
        self._batch_rows = batch_rows
        self.change = Change()

    async def run(self, told: Told = lambda what, done, total: None) -> Change:
        """All of it. Raises `StoreError`; what was done until then stays done."""
        for row in (ConsentRow, CallerRow):
            await self._name_callers(row, told)
        for table in SEALED_TABLES:
            await self._table(table, told)
        return self.change

    # What is sealed

    async def _table(self, table: SealedTable, told: Told) -> None:
        wanted = table.is_not_under(self._sealer.mark)
        async with self._writing() as connection:
            total = await connection.scalar(select(func.count()).select_from(table.table).where(wanted)) or 0
        done, last = 0, None
        while total:
            began = time.monotonic()
            texts = [table.as_text(name).label(f"text_{name}") for name in table.columns]
            batch = select(*table.key, *texts).where(wanted).order_by(*table.key).limit(self._batch_rows)
            if table.digest is not None and table.digest.unique_with is not None:
                batch = batch.add_columns(table.table.c[table.digest.unique_with].label("scope"))
            if last is not None:
                batch = batch.where(tuple_(*table.key) > tuple_(*last))
            async with self._writing() as connection:
                rows = (await connection.execute(batch.with_for_update())).all()
                changes = _Changes(table)
                for row in rows:
                    await self._row(connection, table, row, changes)
                await changes.write(connection)
            if not rows:
                return
            last = rows[-1][: len(table.key)]
            done += len(rows)
            told(table.name, done, max(total, done))
            await self._let_others_write(began)

    async def _row(self, connection: AsyncConnection, table: SealedTable, row: Row[Any], changes: "_Changes") -> None:
        values: dict[str, object] = {}
        clear: dict[str, str] = {}
        try:
            for name, bound_to in table.columns.items():
                kept = row._mapping[f"text_{name}"]
                if kept is None:
                    continue
                if isinstance(table.table.c[name].type, JSON):
                    parsed = json.loads(kept)
                    kept = parsed if isinstance(parsed, str) else kept
                clear[name] = self._sealer.open(kept, bound_to)
                if not kept.startswith(self._sealer.mark):
                    values[name] = self._sealer.seal(clear[name], bound_to)
        except (StoreError, ValueError):
            self.change.unreadable += 1
            return
        this = [column == value for column, value in zip(table.key, row, strict=False)]
        digest = table.digest
        if digest is not None and clear.get(digest.of) is not None:
            new = NumberKeys(self._key, digest.purpose).of(clear[digest.of])
            await changes.write(connection)  # a twin may be among them
            if not await self._has_twin(connection, table, digest, new, row):
                values[digest.column] = new
            elif digest.twin == "drop":
                await connection.execute(delete(table.table).where(*this))
                self.change.rows += 1
                return
        changes.add(row, values)
        self.change.rows += 1

    async def _has_twin(
        self, connection: AsyncConnection, table: SealedTable, digest: Digest, new: str, row: Row[Any]
    ) -> bool:
        """Whether another row has this digest already: a number that was added under both keys."""
        if digest.unique_with is None:
            return False
        columns = table.table.c
        there = select(*table.key).where(columns[digest.column] == new, columns[digest.unique_with] == row.scope)
        found = (await connection.execute(there.limit(1))).first()
        return found is not None and tuple(found) != tuple(row[: len(table.key)])

    # Whose digests those are that were kept alone

    async def _name_callers(self, row: type[CallerRow] | type[ConsentRow], told: Told) -> None:
        """Callers used to be kept as digests and nothing else: look for their addresses in what else is kept of their
        calls. A guess counts only when it gives the digest."""
        table = row.__table__
        hashes = NumberKeys(self._key, "parley callers 1")
        sealed = next(one for one in SEALED_TABLES if one.table is table)
        last: Sequence[Any] | None = None
        done = 0
        while True:
            began = time.monotonic()
            query = select(*sealed.key, row.caller.label("digest")).where(row.identity.is_(None))
            query = query.order_by(*sealed.key).limit(self._batch_rows)
            if last is not None:
                query = query.where(tuple_(*sealed.key) > tuple_(*last))
            async with self._writing() as connection:
                found = (await connection.execute(query)).all()
                for one in found:
                    await self._name(connection, sealed, one, hashes)
            if not found:
                return
            last = found[-1][: len(sealed.key)]
            done += len(found)
            told(f"{sealed.name}: digests", done, done)
            await self._let_others_write(began)

    async def _name(self, connection: AsyncConnection, sealed: SealedTable, row: Row[Any], hashes: NumberKeys) -> None:
        for address in await addresses_of(connection, self._sealer, row.digest):
            if row.digest in hashes.all_of(address):
                break
        else:
            self.change.callers_lost += 1
            return
        values = {"caller": hashes.of(address), "identity": self._sealer.seal(address, sealed.columns["identity"])}
        this = [column == value for column, value in zip(sealed.key, row, strict=False)]
        digest = sealed.digest
        if digest is not None and digest.unique_with is not None and values["caller"] != row.digest:
            twin = select(sealed.table.c.caller).where(
                sealed.table.c.caller == values["caller"], sealed.table.c.agent == row.agent
            )
            if await connection.scalar(twin.limit(1)) is not None:  # they have answered again since
                await connection.execute(delete(sealed.table).where(*this))
                return
        await connection.execute(update(sealed.table).where(*this).values(values))
        self.change.callers += 1

    async def _let_others_write(self, began: float) -> None:
        await asyncio.sleep(max(_SHORTEST_PAUSE_S, time.monotonic() - began))
