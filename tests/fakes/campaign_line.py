# SPDX-License-Identifier: GPL-3.0-or-later
"""A telephone for campaigns whose far ends are scripted by number: `gateway.campaigns.line.Line` without calls."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gateway.campaigns.line import CallReport
from gateway.campaigns.policy import Policy
from gateway.errors import CallError
from gateway.store.campaign_records import ClaimedAttempt

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
Answer = CallReport | CallError | None
"""How a call ends at once; an error: it cannot be placed; None: it rings until somebody gives up."""


@dataclass
class ScriptedCall:
    """A call that was placed."""

    attempt: ClaimedAttempt
    caller_id: str | None
    report: CallReport | None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    was_abandoned: bool = False

    async def until_answered(self) -> datetime | None:
        if self.report is None:
            await self.over.wait()
        assert self.report is not None
        return self.report.answered_at

    async def until_over(self) -> CallReport:
        if self.report is None:
            await self.over.wait()
        assert self.report is not None
        return self.report

    async def give_up(self) -> None:
        if self.report is None:
            await self.hang_up("campaign_cancelled")

    async def hang_up(self, reason: str) -> None:
        self.report = CallReport(datetime.now(UTC), end_reason=reason, sip_code=487)
        self.over.set()

    async def abandon(self, message: str) -> None:
        self.was_abandoned = True
        if self.report is not None:
            self.report = replace(self.report, end_reason="abandoned")


@dataclass
class ScriptedLine:
    """Remembers its calls. `answer` says how each ends; by default everybody talks for a moment."""

    answer: Callable[[ClaimedAttempt], Answer] = lambda attempt: talked()
    calls: list[ScriptedCall] = field(default_factory=list)

    async def place(self, attempt: ClaimedAttempt, policy: Policy, caller_id: str | None) -> ScriptedCall:
        answer = self.answer(attempt)
        if isinstance(answer, CallError):
            raise answer
        self.calls.append(ScriptedCall(attempt, caller_id, answer))
        return self.calls[-1]

    @property
    def dialled(self) -> Counter[str]:
        """How often each number was."""
        return Counter(call.attempt.number for call in self.calls)


def talked() -> CallReport:
    """A person, who hung up."""
    now = datetime.now(UTC)
    return CallReport(now, answered_at=now, end_reason="callee_hung_up", far_end="person")


def refused(code: int) -> CallReport:
    """A final response."""
    return CallReport(datetime.now(UTC), end_reason=f"sip_{code}", sip_code=code)
