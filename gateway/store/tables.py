# SPDX-License-Identifier: GPL-3.0-or-later
"""The database schema as it is now; `migrations` is how it became so. The same on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    UniqueConstraint,
    false,
)
from sqlalchemy import Text as DatabaseText
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class Text(TypeDecorator[str]):
    """Text as PostgreSQL takes it: what is no character (NUL, half of a surrogate pair) becomes U+FFFD or `?`."""

    impl = DatabaseText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isascii() and "\0" not in value):
            return value
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, in UTC; SQLite keeps no time zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value


class Table(DeclarativeBase):
    """All tables; constraint names are fixed, so that a migration can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class SessionRow(Table):
    """One call, from the first message to the last."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_started_at", "started_at", "call_id"),
        Index("ix_sessions_ended_at", "ended_at", "call_id"),
    )

    call_id: Mapped[str] = mapped_column(Text, primary_key=True)
    direction: Mapped[str] = mapped_column(Text)
    from_: Mapped[str] = mapped_column("from", Text)
    to: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(Text)
    codec: Mapped[str | None] = mapped_column(Text)
    agent: Mapped[str | None] = mapped_column(Text)
    trunk: Mapped[str | None] = mapped_column(Text)
    # `metadata` is SQLAlchemy's own name on a declarative class.
    call_metadata: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    quality: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    recording: Mapped[str | None] = mapped_column(Text)
    recording_facts: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    far_end: Mapped[str | None] = mapped_column(Text)
    far_end_confidence: Mapped[float | None] = mapped_column(Float)
    message_left: Mapped[bool] = mapped_column(server_default=false())
    recording_erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """By the rules of `[retention]`, as with the next."""
    transcript_erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    node: Mapped[str | None] = mapped_column(Text)
    """Which gateway has the call, or had it; null: from before there were several."""


class HoldRow(Table):
    """A session that must not be erased."""

    __tablename__ = "holds"

    call_id: Mapped[str] = mapped_column(ForeignKey("sessions.call_id", ondelete="CASCADE"), primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    """Sealed when there is a key."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Text)


class TranscriptRow(Table):
    """Something that was said."""

    __tablename__ = "transcript"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    call_id: Mapped[str] = mapped_column(ForeignKey("sessions.call_id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    started_ms: Mapped[int] = mapped_column(Integer)
    ended_ms: Mapped[int] = mapped_column(Integer)
    interrupted: Mapped[bool]
    heard_text: Mapped[str | None] = mapped_column(Text)
    sources: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Null: from before there were any."""


class TurnRow(Table):
    """One answered turn with its latency ledger."""

    __tablename__ = "turns"

    call_id: Mapped[str] = mapped_column(ForeignKey("sessions.call_id", ondelete="CASCADE"), primary_key=True)
    index: Mapped[int] = mapped_column("index", Integer, primary_key=True)
    segments_ms: Mapped[dict[str, float]] = mapped_column(JSON)
    response_ms: Mapped[float] = mapped_column(Float)
    speculative: Mapped[bool]
    interrupted: Mapped[bool]


class SignallingRow(Table):
    """The SIP messages of a call that is over."""

    __tablename__ = "signalling"

    call_id: Mapped[str] = mapped_column(ForeignKey("sessions.call_id", ondelete="CASCADE"), primary_key=True)
    messages: Mapped[str] = mapped_column(Text)
    """JSON, sealed when there is a key."""


class CallerRow(Table):
    """Whose call a session was, so that a redial can go on with it; and what is remembered of it."""

    __tablename__ = "callers"
    __table_args__ = (Index("ix_callers_caller", "caller", "agent", "at"),)

    call_id: Mapped[str] = mapped_column(ForeignKey("sessions.call_id", ondelete="CASCADE"), primary_key=True)
    caller: Mapped[str] = mapped_column(Text)
    """Keyed hash of the caller's address (`gateway.store.memories`)."""
    identity: Mapped[str | None] = mapped_column(Text)
    """The address, sealed; null: there was no key, or it is from before this was kept."""
    agent: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    continues: Mapped[str | None] = mapped_column(Text, index=True)
    """The call that this one went on with, when that broke off."""
    memory: Mapped[str | None] = mapped_column(Text)
    """JSON, sealed when there is a key; null: nothing is remembered of this call."""
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When that is forgotten."""


class ConsentRow(Table):
    """What a caller has answered to being remembered."""

    __tablename__ = "consents"

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    agent: Mapped[str] = mapped_column(Text, primary_key=True)
    identity: Mapped[str | None] = mapped_column(Text)
    """As that of `CallerRow`."""
    given: Mapped[bool]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AnswerRow(Table):
    """What a request with an idempotency key was answered."""

    __tablename__ = "answers"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text)
    call_id: Mapped[str] = mapped_column(Text, index=True)
    answer: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ApiKeyRow(Table):
    """A key of the API, without the key."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text)
    """SHA-256 of it, in hex: a key has 256 random bits, so nothing slower is needed."""
    scopes: Mapped[list[str]] = mapped_column(JSON)
    only: Mapped[dict[str, list[str]] | None] = mapped_column(JSON(none_as_null=True))
    """What it is limited to: `agents`, `tags`, `trunks`; null: to nothing."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditRow(Table):
    """What was done to personal data and keys, which calls were barred, and when. The database refuses to change
    or delete these rows."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)


class AuditChainRow(Table):
    """Where a line of the audit log stands in the chain. As append-only as the log."""

    __tablename__ = "audit_chain"
    __table_args__ = (UniqueConstraint("audit_id", name="uq_audit_chain_audit_id"),)

    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    audit_id: Mapped[int] = mapped_column(Integer)
    key_id: Mapped[str] = mapped_column(Text)
    """Of the key with which the hash was made, in hex; empty: without."""
    hash: Mapped[str] = mapped_column(Text)


class AgentVersionRow(Table):
    """What an agent was told to be, by the console; the configuration is version 0, and stands nowhere."""

    __tablename__ = "agent_versions"

    agent: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)


class EventRow(Table):
    """Something that was told (`gateway.events`), for a while."""

    __tablename__ = "events"

    cursor: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    call_id: Mapped[str | None] = mapped_column(ForeignKey("sessions.call_id", ondelete="CASCADE"), index=True)
    """Null: it is of no call."""
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    data: Mapped[str] = mapped_column(Text)
    """JSON, sealed when there is a key."""


class DeliveryRow(Table):
    """An event that a webhook has still to get."""

    __tablename__ = "deliveries"

    cursor: Mapped[int] = mapped_column(ForeignKey("events.cursor", ondelete="CASCADE"), primary_key=True)
    webhook: Mapped[str] = mapped_column(Text, primary_key=True)


class EventLogRow(Table):
    """One row: what must not be forgotten about cursors."""

    __tablename__ = "event_log"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    runs: Mapped[int] = mapped_column(Integer)
    """How often a gateway has begun to use this database: every run has cursors of its own."""
    kept_after: Mapped[int] = mapped_column(BigInteger)
    """Events up to this cursor have been removed for their age or number."""


class WriterRow(Table):
    """How far a run of a gateway has got with writing: what it tries again is not written twice."""

    __tablename__ = "writers"

    writer: Mapped[str] = mapped_column(Text, primary_key=True)
    written: Mapped[int] = mapped_column(BigInteger)
    """Number of the last record that is in the database."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the run began."""
