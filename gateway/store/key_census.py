# SPDX-License-Identifier: GPL-3.0-or-later
"""How much lies under which key: `parley keys check`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.sealed_columns import SEALED_TABLES
from gateway.store.sealing import MARK_CHARACTERS, marked_key
from gateway.store.tables import AuditRow, CallerRow, ConsentRow

CLEAR = "clear"


@dataclass(slots=True)
class KeyCensus:
    """Values by the beginning of their key's id in hex, or `CLEAR`."""

    columns: dict[str, Counter[str]] = field(default_factory=dict)
    """By table and column."""
    recordings: Counter[str] = field(default_factory=Counter)
    bare_digests: int = 0
    """Callers that are kept as a digest alone: `parley keys rotate` looks for who they are."""
    audited_digests: int = 0
    """Entries of the audit log that name a caller by a digest. The log is never rewritten."""

    @property
    def total(self) -> Counter[str]:
        """Of all of them."""
        return sum(self.columns.values(), start=self.recordings.copy())

    def not_under(self, key_id: str) -> Mapping[str, int]:
        """What another key is needed for."""
        return {key: count for key, count in self.total.items() if key not in (key_id, CLEAR)}


async def count_columns(connection: AsyncConnection) -> KeyCensus:
    """All of the database; a scan of each table."""
    census = KeyCensus()
    for table in SEALED_TABLES:
        for name in table.columns:
            beginning = table.beginning(name, MARK_CHARACTERS)
            counted = select(beginning, func.count()).where(table.table.c[name].is_not(None)).group_by(beginning)
            found: Counter[str] = Counter()
            for begins, count in await connection.execute(counted):
                found[marked_key(begins) or CLEAR] += count
            census.columns[f"{table.name}.{name}"] = found
    for row in (CallerRow, ConsentRow):
        census.bare_digests += (
            await connection.scalar(select(func.count()).select_from(row).where(row.identity.is_(None))) or 0
        )
    forgotten = select(func.count()).select_from(AuditRow).where(AuditRow.action == "caller_forgotten")
    census.audited_digests = await connection.scalar(forgotten) or 0
    return census
