# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end of a call means for whoever was called."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.campaigns.classify import outcome_of
from gateway.campaigns.line import CallReport
from gateway.campaigns.outcome import Outcome

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def ended(**facts: Any) -> Outcome:
    return outcome_of(CallReport(NOON + timedelta(seconds=9), **facts))


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"sip_code": 486, "end_reason": "sip_486"}, Outcome.BUSY),
        ({"sip_code": 600, "end_reason": "sip_600"}, Outcome.BUSY),
        ({"sip_code": 487, "end_reason": "timeout"}, Outcome.NO_ANSWER),
        ({"sip_code": 480, "end_reason": "sip_480"}, Outcome.NO_ANSWER),
        ({"sip_code": 404, "end_reason": "sip_404"}, Outcome.INVALID_NUMBER),
        ({"sip_code": 603, "end_reason": "sip_603"}, Outcome.REJECTED),
        ({"sip_code": 608, "end_reason": "sip_608"}, Outcome.REJECTED),
        ({"sip_code": 503, "end_reason": "sip_503"}, Outcome.FAILED),
        ({"sip_code": 488, "end_reason": "no_codec"}, Outcome.FAILED),
        ({"sip_code": 487, "end_reason": "campaign_cancelled"}, Outcome.CANCELLED),
        ({"sip_code": 487, "end_reason": "not_in_service", "far_end": "failed"}, Outcome.INVALID_NUMBER),
        ({"sip_code": 487, "end_reason": "busy", "far_end": "busy"}, Outcome.BUSY),
        ({"sip_code": 487, "end_reason": "voicemail", "far_end": "voicemail"}, Outcome.MACHINE),
        ({"sip_code": 487, "end_reason": "shutdown"}, Outcome.NO_ANSWER),
    ],
)
def test_calls_that_nobody_answered(facts: dict[str, Any], outcome: Outcome) -> None:
    assert ended(**facts) is outcome


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"end_reason": "callee_hung_up", "far_end": "person"}, Outcome.TALKED),
        ({"end_reason": "callee_hung_up"}, Outcome.TALKED),
        ({"end_reason": "goodbye", "far_end": "unknown"}, Outcome.TALKED),
        ({"end_reason": "voicemail", "far_end": "voicemail"}, Outcome.MACHINE),
        ({"end_reason": "voicemail_message", "far_end": "voicemail", "message_left": True}, Outcome.MESSAGE_LEFT),
        ({"end_reason": "callee_hung_up", "far_end": "menu"}, Outcome.MACHINE),
        ({"end_reason": "fax", "far_end": "fax"}, Outcome.FAX),
        ({"end_reason": "not_in_service", "far_end": "failed"}, Outcome.INVALID_NUMBER),
        ({"end_reason": "no_audio"}, Outcome.FAILED),
        ({"end_reason": "service_failure", "far_end": "person"}, Outcome.TALKED),
    ],
)
def test_calls_that_were_answered(facts: dict[str, Any], outcome: Outcome) -> None:
    assert ended(answered_at=NOON, **facts) is outcome
