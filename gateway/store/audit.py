# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log as a chain: who changes, removes, reorders or cuts off what was noted is found out.

    hash n = H(hash n-1 | position | id | at | action | subject), keyed when there is a key

Lines are noted with what they are about, in its transaction, and chained within a second, by whichever gateway comes
first. What is noted and not chained yet could still be changed; `head` tells how far the chain goes. Keep it somewhere
else now and then: only with it can an end be told from one that was cut off.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import StoreError
from gateway.store.database import Database
from gateway.store.tables import AuditChainRow, AuditRow
from media.encryption import EncryptionKey

_PURPOSE = "parley audit 1"
_PERIOD_S = 1.0
_PAGE = 500
_BEGIN = "0" * 64

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One note."""

    audit_id: int
    at: datetime
    action: str
    subject: str
    position: int | None
    """In the chain, from 1; None: not chained yet."""
    hash: str | None


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the chain is whole."""

    lines: int
    """Of the chain."""
    waiting: int
    """Noted, and not chained yet."""
    head: str
    """Hash of the last line: keep it elsewhere."""
    problems: tuple[str, ...]
    """What is wrong, the first ten."""


class AuditRows:
    """Part of `SessionStore`."""

    def __init__(self, database: Database, key: EncryptionKey | None) -> None:
        self._database = database
        self._keys = {"": None, **({} if key is None else {one.key_id.hex(): one for one in key.all})}
        self._key_id = "" if key is None else key.key_id.hex()

    async def run(self) -> None:
        """Chain what is noted, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_S)
            try:
                await self.chain()
            except StoreError as fault:
                log.warning("audit_chain_waits", cause=str(fault))

    async def chain(self) -> int:
        """Chain what is noted and not chained yet; how many lines. Raises `StoreError`."""
        if not await self._waiting():
            return 0
        async with self._database.lasting() as connection:
            if not self._database.is_sqlite:
                await connection.execute(text("LOCK TABLE audit_chain IN EXCLUSIVE MODE"))
            newest = select(AuditChainRow.position, AuditChainRow.hash).order_by(AuditChainRow.position.desc()).limit(1)
            last = (await connection.execute(newest)).first()
            position, before = (0, _BEGIN) if last is None else (last.position, last.hash)
            rows = []
            for line in (await connection.execute(_unchained())).all():
                position += 1
                before = self._hash(before, position, line, self._key_id)
                rows.append({"position": position, "audit_id": line.id, "key_id": self._key_id, "hash": before})
            if rows:
                await connection.execute(insert(AuditChainRow), rows)
        return len(rows)

    async def lines(self, after: int, limit: int) -> list[AuditLine]:
        """In the order of their ids. Raises `StoreError`."""
        query = (
            select(AuditRow.__table__, AuditChainRow.position, AuditChainRow.hash)
            .join(AuditChainRow, AuditChainRow.audit_id == AuditRow.id, isouter=True)
            .where(AuditRow.id > after)
            .order_by(AuditRow.id)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return [AuditLine(row.id, row.at, row.action, row.subject, row.position, row.hash) for row in rows]

    async def verify(self, head: str = "") -> Verification:
        """Compute the whole chain again. `head`: one that was kept elsewhere, which must be in it. Raises
        `StoreError`."""
        problems: list[str] = []
        position, before, seen_head = 0, _BEGIN, not head
        waiting = await self._waiting()
        async with self._database.reading() as connection:
            while page := await self._page(connection, position):
                for row in page:
                    if row.position != position + 1:
                        problems.append(f"lines {position + 1} to {row.position - 1} are missing")
                    position = row.position
                    if row.id is None:
                        problems.append(f"line {position} has been removed from the log")
                    elif row.key_id not in self._keys:
                        problems.append(f"line {position} was chained with key {row.key_id}, which is not configured")
                    elif not hmac.compare_digest(self._hash(before, position, row, row.key_id), row.hash):
                        problems.append(f"line {position} (id {row.id}) has been changed, or one before it removed")
                    before = row.hash
                    seen_head = seen_head or before == head
        if not seen_head:
            problems.append(
                "the head that was kept is not in the chain: its end has been cut off, or it is another log"
            )
        return Verification(position, waiting, before if position else "", tuple(problems[:10]))

    async def _page(self, connection: AsyncConnection, after: int) -> Sequence[Any]:
        query = (
            select(
                AuditChainRow.position,
                AuditChainRow.hash,
                AuditChainRow.key_id,
                AuditRow.id,
                AuditRow.at,
                AuditRow.action,
                AuditRow.subject,
            )
            .join(AuditRow, AuditRow.id == AuditChainRow.audit_id, isouter=True)
            .where(AuditChainRow.position > after)
            .order_by(AuditChainRow.position)
            .limit(_PAGE)
        )
        return (await connection.execute(query)).all()

    async def _waiting(self) -> int:
        async with self._database.reading() as connection:
            return len((await connection.execute(_unchained())).all())

    def _hash(self, before: str, position: int, line: Any, key_id: str) -> str:
        at = line.at.astimezone(UTC).isoformat(timespec="microseconds")
        content = "\x1f".join((before, str(position), str(line.id), at, line.action, line.subject)).encode()
        key = self._keys[key_id]
        return hashlib.sha256(content).hexdigest() if key is None else key.digest(_PURPOSE, content).hex()


def _unchained() -> Any:
    """Lines that are in no place of the chain, the oldest first: at most a page of them."""
    return (
        select(AuditRow.id, AuditRow.at, AuditRow.action, AuditRow.subject)
        .join(AuditChainRow, AuditChainRow.audit_id == AuditRow.id, isouter=True)
        .where(AuditChainRow.audit_id.is_(None))
        .order_by(AuditRow.id)
        .limit(_PAGE)
    )
