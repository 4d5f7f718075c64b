# SPDX-License-Identifier: GPL-3.0-or-later
"""Every column that is sealed, and every digest that a key makes: what a change of the key is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import JSON, ColumnElement, Table, Text, and_, func, or_
from sqlalchemy import cast as sql_cast

from gateway.store.campaign_tables import AttemptRow, ContactRow, DoNotCallRow
from gateway.store.number_keys import Purpose
from gateway.store.tables import (
    AgentVersionRow,
    AnswerRow,
    CallerRow,
    ConsentRow,
    EventRow,
    HoldRow,
    SessionRow,
    SignallingRow,
    TranscriptRow,
)


@dataclass(frozen=True, slots=True)
class Digest:
    """A column by which rows are found, made with the key from what lies sealed in another."""

    column: str
    of: str
    purpose: Purpose
    unique_with: str | None = None
    """Within one value of this column no two rows have the same; None: they may."""
    twin: Literal["keep", "drop"] = "keep"
    """What becomes of a row whose digest another one has already: it keeps the old one, or goes."""


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table with something sealed in it."""

    table: Table
    columns: Mapping[str, str]
    """Names of columns, and what their content is bound to."""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def key(self) -> Sequence[ColumnElement[Any]]:
        """The primary key."""
        return list(self.table.primary_key.columns)

    def as_text(self, column: str) -> ColumnElement[str]:
        """What lies in the column: of JSON its text."""
        of_table = self.table.c[column]
        return sql_cast(of_table, Text) if isinstance(of_table.type, JSON) else cast("ColumnElement[str]", of_table)

    def beginning(self, column: str, characters: int) -> ColumnElement[str]:
        """Of what lies there, without the quotation mark of JSON."""
        is_json = isinstance(self.table.c[column].type, JSON)
        return func.substr(self.as_text(column), 2 if is_json else 1, characters)

    def is_not_under(self, mark: str) -> ColumnElement[bool]:
        """Rows in which something lies that does not begin with this."""
        return or_(
            *(and_(self.table.c[name].is_not(None), self.beginning(name, len(mark)) != mark) for name in self.columns)
        )


def _table(row: type[Any], *columns: str, digest: Digest | None = None, bound_to: str = "") -> SealedTable:
    table: Table = row.__table__
    return SealedTable(table, {name: f"{table.name}.{bound_to or name}" for name in columns}, digest)


SEALED_TABLES: Sequence[SealedTable] = (
    _table(SessionRow, "metadata"),
    _table(TranscriptRow, "text", "heard_text"),
    _table(SignallingRow, "messages"),
    _table(EventRow, "data"),
    _table(ConsentRow, "identity", digest=Digest("caller", "identity", "parley callers 1", "agent", "drop")),
    _table(CallerRow, "memory", "identity", digest=Digest("caller", "identity", "parley callers 1")),
    _table(AnswerRow, "answer"),
    _table(AgentVersionRow, "note", "content", bound_to="content"),
    _table(ContactRow, "number", "metadata", digest=Digest("number_key", "number", "parley numbers 1", "campaign_id")),
    _table(AttemptRow, "disposition"),
    _table(HoldRow, "reason"),
    _table(DoNotCallRow, "number", digest=Digest("number_key", "number", "parley numbers 1", "campaign_id", "drop")),
)
"""Who adds a sealed column adds it here; a test looks for those that are missing."""
