# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end of a call that we did not end ourselves is called."""

from gateway.calls.facts import CallFacts
from gateway.sip.events import CallEnded
from gateway.sip.reason import end_reason

_ENDED_BY_PJSIP = {408: "session_expired", 406: "no_codec", 415: "no_codec", 488: "no_codec"}
"""Why PJSIP itself hangs up on a call that stands."""


def reason_of_end(facts: CallFacts, event: CallEnded | None, expected: str | None) -> str:
    """As `CallFacts.end_reason` has it. `expected`: what it is called when the far end hangs up; None: by itself."""
    if event is None:
        return "lost"
    if event.because:
        return event.because
    was_answered = facts.answered_at is not None
    # A final response says more than its Reason: most carriers' is Q.850's word for the same.
    if was_answered or facts.direction == "inbound":
        told = end_reason(event.causes, was_answered=was_answered)
        if told is not None:
            return told
    if was_answered and event.code in _ENDED_BY_PJSIP:
        return _ENDED_BY_PJSIP[event.code]
    if event.code >= 300:
        return f"sip_{event.code}"
    if expected is not None:
        return expected
    return "caller_hung_up" if facts.direction == "inbound" else "callee_hung_up"
