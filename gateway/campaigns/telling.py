# SPDX-License-Identifier: GPL-3.0-or-later
"""What the events of campaigns say (`gateway.events.catalogue`)."""

from collections.abc import Mapping

from gateway.campaigns.attempt import AttemptRecord
from gateway.campaigns.outcome import Outcome
from gateway.store.campaign_records import CampaignLoad, CampaignRecord


def named(campaign: CampaignRecord) -> dict[str, object]:
    """Of a campaign that has begun, paused or gone on."""
    return {"campaign_id": campaign.campaign_id, "name": campaign.name}


def ended(campaign: CampaignRecord) -> dict[str, object]:
    """Of one that is over."""
    return {**named(campaign), "reason": campaign.end_reason}


def progressed(campaign_id: str, load: CampaignLoad, outcomes: Mapping[Outcome, int]) -> dict[str, object]:
    """How far it is."""
    return {
        "campaign_id": campaign_id,
        "contacts": load.sums.contacts,
        "done": load.sums.settled,
        "dialing": load.dialing,
        "talking": load.talking,
        "outcomes": {outcome.value: count for outcome, count in outcomes.items()},
    }


def attempted(record: AttemptRecord) -> dict[str, object]:
    """How an attempt ended."""
    return {
        "campaign_id": record.campaign_id,
        "line": record.line,
        "number": record.number,
        "outcome": None if record.outcome is None else record.outcome.value,
        "is_final": record.sequence is not None,
        "attempts": record.attempts,
        "call_id": record.call_id,
        "far_end": record.far_end,
        "duration_s": record.duration_s,
        "disposition": dict(record.disposition),
        "metadata": dict(record.metadata),
    }
