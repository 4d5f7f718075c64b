# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a campaign as one page: no script, nothing from elsewhere, all that people say escaped."""

from collections.abc import Sequence
from html import escape

from gateway.campaigns.attempt import AttemptRecord
from gateway.campaigns.progress import Progress
from gateway.store.campaign_records import CampaignRecord


def campaign_report(campaign: CampaignRecord, progress: Progress, records: Sequence[AttemptRecord]) -> str:
    """HTML. `records`: the contacts that are done."""
    rows = "".join(
        f"<tr><td>{escape(outcome.value)}<td>{count}" for outcome, count in sorted(progress.outcomes.items(), key=str)
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>{escape(campaign.name)}</title><h1>{escape(campaign.name)}</h1>"
        f"<p>{len(records)} of {progress.contacts} contacts are done.<table>{rows}</table>"
    )
