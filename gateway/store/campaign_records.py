# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store takes and gives of campaigns. Moments are in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.campaigns.outcome import CampaignState, Outcome


class ListedContact(Protocol):
    """Somebody on a list."""

    @property
    def line(self) -> int:
        """Of the list, from 1."""
        ...

    @property
    def number(self) -> str:
        """E.164, or a SIP URI."""
        ...

    @property
    def zone(self) -> str:
        """IANA name of their time zone; several, joined by blanks: any of them."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the list says of them."""
        ...


@dataclass(frozen=True, slots=True)
class Sums:
    """Of a campaign: contacts, and attempts that are over."""

    contacts: int = 0
    settled: int = 0
    attempts: int = 0
    answered: int = 0
    people: int = 0
    """Attempts that a person answered, abandoned ones among them."""
    abandoned: int = 0
    talked_s: float = 0.0
    """From answer to end, whoever answered."""
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """One campaign."""

    campaign_id: str
    name: str
    state: CampaignState
    policy: str
    """JSON."""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    """`completed`, `cancelled`, `drained`, `until` or `budget`."""
    sums: Sums = Sums()


@dataclass(frozen=True, slots=True)
class RecentCalls:
    """The latest attempts of a campaign that are over, all gateways' together."""

    placed: int = 0
    answered: int = 0
    people: int = 0
    abandoned: int = 0
    mean_ring_s: float = 0.0
    """From INVITE to answer, of those that were answered."""
    mean_talk_s: float = 0.0
    """From answer to end, of those that a person answered."""


@dataclass(frozen=True, slots=True)
class CampaignLoad:
    """What a campaign does at this moment, in all gateways."""

    sums: Sums
    dialing: int
    """Attempts that are not answered yet."""
    talking: int
    """Attempts that are answered and not over."""
    recent: RecentCalls


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    """An attempt that has been written down, and is now this gateway's to make."""

    attempt_id: str
    campaign_id: str
    contact_id: int
    index: int
    """The contact's how many-th, from 1."""
    call_id: str
    number: str = field(repr=False)
    zone: str
    metadata: Mapping[str, str] = field(repr=False)
    slot_at: float
    """Wall time, seconds since the epoch: not before then may the INVITE go out."""


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended, and what becomes of its contact."""

    outcome: Outcome
    ended_at: datetime
    next_at: datetime | None = None
    """When the contact is called again; None: it is done."""
    answered_at: datetime | None = None
    far_end: str | None = None
    far_end_confidence: float | None = None
    sip_code: int | None = None
    end_reason: str | None = None
    cost: float = 0.0
    awaits_extraction: bool = False
    """The contact is done when `AttemptRows.extracted` has said what came out of the conversation."""


@dataclass(frozen=True, slots=True)
class PastAttemptRecord:
    """An attempt that is over, for whoever decides when the next one is due."""

    outcome: Outcome
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class DoNotCallEntry:
    """A number that is not to be called."""

    number: str = field(repr=False)
    campaign_id: str
    """Empty: by no campaign."""
    added_at: datetime
    cause: str
    """`api`, or `asked`: the person said so."""
