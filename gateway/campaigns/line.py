# SPDX-License-Identifier: GPL-3.0-or-later
"""What a campaign asks of the telephone, and what it is told: the door to the switchboard."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.campaigns.policy import Policy
from gateway.store.campaign_records import ClaimedAttempt


@dataclass(frozen=True, slots=True)
class CallReport:
    """How a call went. Moments are in UTC."""

    ended_at: datetime
    answered_at: datetime | None = None
    end_reason: str = ""
    """As `gateway.calls.facts.CallFacts.end_reason`."""
    sip_code: int = 0
    """Final response of a call that was not answered; 0: none came."""
    far_end: str | None = None
    """As `agent.far_end.FarEndKind`; None: nobody found out."""
    far_end_confidence: float | None = None
    message_left: bool = False


class PlacedCall(Protocol):
    """A call whose INVITE is out."""

    async def until_answered(self) -> datetime | None:
        """When they answered; None: they never did, and it is over."""
        ...

    async def until_over(self) -> CallReport: ...

    async def give_up(self) -> None:
        """Hang up, unless they have answered: then nothing happens."""
        ...

    async def hang_up(self, reason: str) -> None: ...

    async def abandon(self, message: str) -> None:
        """There is nobody to talk to them: say this in place of the agent, and hang up."""
        ...


class Line(Protocol):
    """Whoever places calls."""

    async def place(self, attempt: ClaimedAttempt, policy: Policy, caller_id: str | None) -> PlacedCall:
        """Send the INVITE; returns while it rings. Raises `gateway.errors.CallError`: then no INVITE is out."""
        ...
