# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt of a campaign, from its claim to its outcome. Nothing here is decided twice: the store says what counts.

claimed > its slot > INVITE > answered > a slot of an agent? > over > outcome > retry? > extraction > settled
             └─ not any more: withdrawn          └─ none: abandoned
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from gateway.campaigns.budget import cost_of
from gateway.campaigns.caller_ids import CallerIds
from gateway.campaigns.classify import outcome_of
from gateway.campaigns.line import CallReport, Line, PlacedCall
from gateway.campaigns.outcome import Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.retry import PastAttempt, next_attempt
from gateway.errors import BadAddress, CallError, DestinationBarred, StoreError
from gateway.store import SessionStore
from gateway.store.campaign_records import AttemptEnd, ClaimedAttempt

log = structlog.get_logger(__name__)

_STORE_PAUSE_S = 1.0
"""Before the database is asked again to write down what must not be lost."""
_LAST_WRITE_S = 3.0
"""For what is written as we end."""
Written = TypeVar("Written")
Settled = Callable[[ClaimedAttempt, AttemptEnd], Awaitable[None]]
"""Told when an attempt is over and written down."""


class Calling:
    """One attempt. `run` is its life."""

    def __init__(
        self,
        attempt: ClaimedAttempt,
        policy: Policy,
        caller_ids: CallerIds,
        store: SessionStore,
        line: Line,
        settled: Settled,
    ) -> None:
        self.attempt = attempt
        self._policy = policy
        self._caller_ids = caller_ids
        self._store = store
        self._line = line
        self._settled = settled
        self._call: PlacedCall | None = None
        self._is_abandoned = False
        self._is_cancelled = False
        self._sending = asyncio.Event()
        """It is too late to withdraw it."""
        self.could_not_send = False
        """The INVITE is not out, since we are full, or the trunk is not to be found: the campaign takes a breath."""

    @property
    def is_sent(self) -> bool:
        """The INVITE is out, or about to be."""
        return self._sending.is_set()

    async def cancel(self, *, hang_up: bool = False) -> None:
        """The campaign is over: do not send the INVITE, or give up while it rings; `hang_up`: who talks, too."""
        self._is_cancelled = True
        if self._call is not None:
            await (self._call.hang_up("campaign_cancelled") if hang_up else self._call.give_up())

    async def run(
        self, until_slot: Callable[[ClaimedAttempt], Awaitable[bool]], receive_sent: Callable[[], None]
    ) -> None:
        """Everything. `until_slot` returns when the INVITE may go out; False: it may not any more. `receive_sent` is
        told when it is out, or never will be."""
        try:
            may_leave = await until_slot(self.attempt)
            if self._is_cancelled or not may_leave:
                receive_sent()
                await self._withdraw()
                return
            await self._dial(receive_sent)
        except asyncio.CancelledError:
            # The gateway ends. An attempt whose INVITE is not out is nobody's; of others a restart says `UNKNOWN`.
            # Tried once: a database that has failed must not keep us.
            if self._call is None and not self.is_sent:
                with contextlib.suppress(StoreError, TimeoutError):
                    async with asyncio.timeout(_LAST_WRITE_S):
                        await self._store.attempts.withdraw(self.attempt, _now())
            raise

    async def give_up_on_it(self) -> None:
        """After a fault of ours: nobody knows how it ended."""
        if self._call is not None:
            with contextlib.suppress(CallError):  # over already
                await self._call.hang_up("failed")
        await self._end(AttemptEnd(Outcome.UNKNOWN, _now(), end_reason="failed"))

    async def _dial(self, receive_sent: Callable[[], None]) -> None:
        attempt, policy = self.attempt, self._policy
        self._sending.set()
        try:
            try:
                self._call = call = await self._line.place(
                    attempt, policy, self._caller_ids.choose(attempt.number, attempt.index)
                )
            finally:
                receive_sent()
        except (BadAddress, DestinationBarred) as fault:
            outcome = Outcome.INVALID_NUMBER if isinstance(fault, BadAddress) else Outcome.REJECTED
            reason = "bad_address" if isinstance(fault, BadAddress) else "barred"
            await self._end(AttemptEnd(outcome, _now(), end_reason=reason))
            return
        except CallError as fault:
            log.warning("campaign_call_not_sent", campaign_id=attempt.campaign_id, cause=type(fault).__name__)
            self.could_not_send = True
            await self._withdraw()
            return
        if self._is_cancelled:
            await call.give_up()
        answered_at = await call.until_answered()
        if answered_at is not None:
            talking = await self._persist(lambda: self._store.attempts.answered(attempt, answered_at))
            if policy.pacing.mode == "predictive" and talking > policy.agent_slots:
                self._is_abandoned = True
                await call.abandon(policy.pacing.abandon_message)
        await self._end(await self._ended(await call.until_over()))

    async def _ended(self, report: CallReport) -> AttemptEnd:
        outcome = outcome_of(report)
        if self._is_abandoned and outcome is Outcome.TALKED:
            outcome = Outcome.ABANDONED
        talked_s = None if report.answered_at is None else (report.ended_at - report.answered_at).total_seconds()
        past = await self._persist(lambda: self._store.attempts.past(self.attempt.contact_id))
        history = [PastAttempt(one.outcome, one.ended_at) for one in past]
        history.append(PastAttempt(outcome, report.ended_at))
        return AttemptEnd(
            outcome=outcome,
            ended_at=report.ended_at,
            next_at=None if self._is_cancelled else next_attempt(self._policy, history, self.attempt.zone),
            answered_at=report.answered_at,
            far_end=report.far_end,
            far_end_confidence=report.far_end_confidence,
            sip_code=report.sip_code or None,
            end_reason=report.end_reason or None,
            cost=cost_of(self._policy.budget, talked_s),
            awaits_extraction=outcome is Outcome.TALKED and bool(self._policy.extract),
        )

    async def _end(self, end: AttemptEnd) -> None:
        attempt = self.attempt
        is_ours = await self._persist(lambda: self._store.attempts.end(attempt, end))
        if not is_ours:
            log.warning("campaign_attempt_ended_elsewhere", campaign_id=attempt.campaign_id, call_id=attempt.call_id)
            return
        await self._settled(attempt, end)

    async def _withdraw(self) -> None:
        await self._persist(lambda: self._store.attempts.withdraw(self.attempt, _now()))

    async def _persist(self, write: Callable[[], Awaitable[Written]]) -> Written:
        """Until the database takes it: an outcome must not be lost to a full disk."""
        while True:
            try:
                return await write()
            except StoreError as fault:
                log.error("campaign_store_failed", campaign_id=self.attempt.campaign_id, cause=str(fault))
                await asyncio.sleep(_STORE_PAUSE_S)


def _now() -> datetime:
    return datetime.now(UTC)
