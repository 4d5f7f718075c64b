# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of an attempt at a contact, or of a contact that is done: a row of the results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.campaigns.outcome import Outcome

Extracted = str | float | bool | None
"""Value of a field of the policy's `extract`; None: the conversation does not say."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """Of a contact that was never dialled, what an attempt has is empty. Moments are in UTC."""

    campaign_id: str
    contact_id: int
    line: int
    """Of the list."""
    number: str = field(repr=False)
    zone: str
    metadata: Mapping[str, str] = field(repr=False)
    """The columns of the list."""
    outcome: Outcome | None
    """None: the attempt is not over."""
    attempts: int
    """Of the contact so far."""
    sequence: int | None = None
    """In which order contacts became done, from 1 without gaps; None: it is not done."""
    attempt_id: str | None = None
    index: int | None = None
    """The contact's how many-th, from 1."""
    call_id: str | None = None
    node: str | None = None
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    far_end: str | None = None
    """As `agent.far_end.FarEndKind`."""
    far_end_confidence: float | None = None
    sip_code: int | None = None
    end_reason: str | None = None
    """As of the session."""
    disposition: Mapping[str, Extracted] = field(default_factory=dict, repr=False)
    """What was extracted, by the names of the policy's fields."""
    response_ms: tuple[float, ...] = ()
    """Of each turn."""
    has_session: bool = False
    """There is a session of the call: it was placed, and has not been erased."""
    recording: bool = False
    """There is one."""
    cost: float = 0.0

    @property
    def duration_s(self) -> float | None:
        """From answer to end; None: it was not answered, or is not over."""
        if self.answered_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.answered_at).total_seconds())
