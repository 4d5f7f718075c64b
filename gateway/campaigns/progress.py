# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a campaign is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.campaigns.outcome import Outcome
from gateway.store.campaign_records import CampaignRecord

_ETA_LEAST = 10
"""Contacts that must be done before anything is said of when the rest will be."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is."""

    contacts: int
    waiting: int
    dialing: int
    """Calls that are not answered yet."""
    talking: int
    """Calls that are."""
    done: int
    outcomes: Mapping[Outcome, int]
    """Contacts that are done, by outcome."""
    attempts: int
    answered: int
    """Attempts that anything answered."""
    people: int
    """Attempts that a person answered."""
    abandoned: int
    talked_s: float
    cost: float
    eta_s: float | None
    """At the pace so far; None: nobody can tell."""
    next_at: datetime | None
    """When the first of those who wait is due; None: nobody waits."""


def eta_s(campaign: CampaignRecord, done: int, contacts: int, now: datetime) -> float | None:
    """Seconds left, at the pace so far; None: nobody can tell."""
    if campaign.started_at is None or campaign.ended_at is not None or done < _ETA_LEAST:
        return None
    return (now - campaign.started_at) / timedelta(seconds=1) / done * (contacts - done)
