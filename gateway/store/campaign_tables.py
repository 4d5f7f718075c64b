# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of campaigns. Numbers, what lists say of people and what they answered are sealed when there is a key."""

from datetime import datetime

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store.tables import Table, Text, UtcDateTime

_NUMBER = BigInteger().with_variant(Integer, "sqlite")


class CampaignRow(Table):
    """A list, a policy and an agent; with sums, so that progress need not be counted."""

    __tablename__ = "campaigns"

    campaign_id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, index=True)
    policy: Mapped[str] = mapped_column(Text)
    """JSON."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(Text)
    slot_at: Mapped[float] = mapped_column(Float)
    """Not before then, seconds since the epoch, may the next INVITE go out: of all gateways."""
    contacts: Mapped[int] = mapped_column(Integer)
    settled: Mapped[int] = mapped_column(Integer)
    """Contacts that are done: the last of their sequence numbers."""
    attempts: Mapped[int] = mapped_column(Integer)
    """Of these columns on: of attempts that are over."""
    answered: Mapped[int] = mapped_column(Integer)
    people: Mapped[int] = mapped_column(Integer)
    abandoned: Mapped[int] = mapped_column(Integer)
    talked_s: Mapped[float] = mapped_column(Float)
    cost: Mapped[float] = mapped_column(Float)


class ContactRow(Table):
    """Somebody to be called, once the campaign runs."""

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("campaign_id", "number_key", name="uq_contacts_number"),
        Index("ix_contacts_due", "campaign_id", "state", "due_at"),
        Index("ix_contacts_settled", "campaign_id", "sequence"),
    )

    contact_id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.campaign_id", ondelete="CASCADE"))
    line: Mapped[int] = mapped_column(Integer)
    number: Mapped[str] = mapped_column(Text)
    number_key: Mapped[str] = mapped_column(Text)
    """Digest: a number is found by it, though the column beside it is sealed."""
    zone: Mapped[str] = mapped_column(Text)
    contact_metadata: Mapped[str] = mapped_column("metadata", Text)
    """JSON."""
    state: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str | None] = mapped_column(Text)
    sequence: Mapped[int | None] = mapped_column(_NUMBER)
    """In which order contacts became done, from 1 without gaps; null: not yet."""


class AttemptRow(Table):
    """A call to a contact: written down before its INVITE."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_ended_at", "campaign_id", "ended_at"),)

    attempt_id: Mapped[str] = mapped_column(Text, primary_key=True)
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.campaign_id", ondelete="CASCADE"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.contact_id", ondelete="CASCADE"), index=True)
    index: Mapped[int] = mapped_column("index", Integer)
    call_id: Mapped[str] = mapped_column(Text, unique=True)
    node: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(Text)
    """Null: it is not over, or its process died and nobody has noticed yet."""
    far_end: Mapped[str | None] = mapped_column(Text)
    far_end_confidence: Mapped[float | None] = mapped_column(Float)
    sip_code: Mapped[int | None] = mapped_column(Integer)
    end_reason: Mapped[str | None] = mapped_column(Text)
    disposition: Mapped[str | None] = mapped_column(Text)
    """JSON; null: there is none, or not yet."""
    is_extracted: Mapped[bool]
    """Nothing is to be extracted from it any more."""
    cost: Mapped[float] = mapped_column(Float)


class OutcomeCountRow(Table):
    """How many contacts of a campaign are done with this outcome."""

    __tablename__ = "campaign_outcomes"

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.campaign_id", ondelete="CASCADE"), primary_key=True)
    outcome: Mapped[str] = mapped_column(Text, primary_key=True)
    contacts: Mapped[int] = mapped_column(Integer)


class DoNotCallRow(Table):
    """A number that is not to be called, by one campaign or by any."""

    __tablename__ = "do_not_call"

    number_key: Mapped[str] = mapped_column(Text, primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Text, primary_key=True)
    """Empty: any."""
    number: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cause: Mapped[str] = mapped_column(Text)
    """`api`, or `asked`: the person said so."""


class RunnerRow(Table):
    """A gateway that dials for campaigns, and when it last was alive."""

    __tablename__ = "runners"

    node: Mapped[str] = mapped_column(Text, primary_key=True)
    beat_at: Mapped[datetime] = mapped_column(UtcDateTime)
