# SPDX-License-Identifier: GPL-3.0-or-later
"""What one line says of a campaign."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.client import CampaignInfo, CampaignProgress, ListReport
from gateway.client.models import CampaignState, Policy
from gateway.commands.campaign_display import duration_text, report_lines, standing
from tests.simulators.campaign_gateway import list_report

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOTHING = CampaignProgress(
    contacts=10,
    waiting=10,
    dialing=0,
    talking=0,
    done=0,
    outcomes={},
    attempts=0,
    answered=0,
    people=0,
    abandoned=0,
    answer_rate=None,
    contact_rate=None,
    talked_s=0.0,
    cost=0.0,
    eta_s=None,
    next_at=None,
)


def said(state: CampaignState = "running", **progress: object) -> str:
    campaign = CampaignInfo(
        campaign_id="c1",
        name="winter",
        state=state,
        created_at=NOON,
        started_at=None,
        ended_at=None,
        end_reason=None,
        policy=Policy(),
        progress=NOTHING.model_copy(update=progress),
    )
    return standing(campaign, NOON)


def test_a_campaign_that_has_just_begun_says_only_what_is_known() -> None:
    assert said() == "0/10 done; 0 dialing, 0 talking"


def test_outcomes_come_most_frequent_first_with_rates_cost_and_time_left() -> None:
    told = said(
        done=6,
        outcomes={"busy": 1, "no_answer": 2, "talked": 3, "fax": 0},
        answer_rate=0.615,
        contact_rate=0.5,
        cost=1.239,
        eta_s=7500.0,
    )
    assert told.split("; ")[2:] == [
        "3 talked, 2 no answer, 1 busy",
        "answered 62%",
        "people 50%",
        "cost 1.24",
        "about 2 h 05 min left",
    ]


def test_the_next_call_is_told_while_nobody_is_called_and_only_if_it_lies_ahead() -> None:
    later = NOON + timedelta(hours=20)
    assert f"next call {later.astimezone():%a %H:%M}" in said(next_at=later)
    assert "next call" not in said(next_at=later, talking=1)
    assert "next call" not in said(next_at=NOON - timedelta(seconds=1))
    assert "next call" not in said(state="paused", next_at=later)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.0, "3 s"), (89.0, "89 s"), (90.0, "2 min"), (3599.0, "1 h 00 min"), (36000.0, "10 h 00 min")],
)
def test_durations_are_as_exact_as_they_are_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_thousand_problems_are_fifty_lines_and_a_sum() -> None:
    problems = [{"line": line, "column": "number", "problem": "is empty"} for line in range(2, 1002)]
    lines = report_lines(
        ListReport.model_validate(list_report(5000, 3000, invalid=2000, problems=problems, more_problems=1000))
    )
    assert len(lines) == 52
    assert lines[49:] == [
        "  line 51, number: is empty",
        "  ... and 1950 more (--json shows 1000)",
        "5000 rows: 3000 to call; left out: 2000 invalid",
    ]
