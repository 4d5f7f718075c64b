# SPDX-License-Identifier: GPL-3.0-or-later
"""One campaign, as this gateway has a share in it: claims contacts as its policy says, and sees their calls through.

Several gateways may drive the same campaign: what they have in common (who is due, who is being called, when the next
INVITE may leave, in what state the campaign is) is in the store, and asked there each time.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import assert_never

import structlog

from gateway.campaigns.budget import affordable
from gateway.campaigns.caller_ids import CallerIds
from gateway.campaigns.calling import Calling, Settled
from gateway.campaigns.line import Line
from gateway.campaigns.outcome import CampaignState, Outcome
from gateway.campaigns.pacing import Load, wanted
from gateway.campaigns.policy import Policy
from gateway.campaigns.slots import SendPermits, gap_s
from gateway.campaigns.windows import CallingWindows
from gateway.errors import StoreError, WrongCampaignState
from gateway.store import SessionStore
from gateway.store.attempts import Claim
from gateway.store.campaign_records import CampaignLoad, CampaignRecord, ClaimedAttempt

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
"""How often it is looked what other gateways have done."""
_SHORTEST_LOOK_S = 0.05
"""While all calls that there may be stand: each look takes the database's write lock."""
_HORIZON_S = 0.1
"""So far ahead INVITEs are claimed: a campaign that is cancelled has at most so many to withdraw."""
_LATE_S = 0.03
"""An INVITE that leaves more than so long after its slot takes another one."""
_BREATH_S = 2.0
"""Without calls, after one that could not be sent."""
Spawn = Callable[[Coroutine[object, object, None], str], object]


class Drive:
    """One campaign's. `run` ends when the campaign is over, or `leave` has been said, and its calls here are."""

    def __init__(
        self,
        campaign: CampaignRecord,
        store: SessionStore,
        line: Line,
        node: str,
        new_call_id: Callable[[], str],
        spawn: Spawn,
        settled: Settled,
        ended: Callable[[CampaignRecord], None],
        share: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """`settled` is told of each attempt that is over, `ended` of the campaign when this gateway finds it so.
        `share`: which part of all free places is here."""
        self._share = share
        self.campaign_id = campaign.campaign_id
        self.policy = Policy.model_validate_json(campaign.policy)
        self._state = campaign.state
        self._store = store
        self._line = line
        self._node = node
        self._new_call_id = new_call_id
        self._spawn = spawn
        self._settled = settled
        self._ended = ended
        self._windows = CallingWindows(self.policy)
        self._caller_ids = CallerIds(self.policy)
        self._sends = SendPermits(self.policy.cps)
        self._callings: dict[str, Calling] = {}
        self._changed = asyncio.Event()
        self._is_leaving = False
        self._rests_until = 0.0
        self._cancels_talks = False

    @property
    def is_idle(self) -> bool:
        """It has no call here."""
        return not self._callings

    def receive_state(self, state: CampaignState, *, hang_up: bool = False) -> None:
        """The campaign's state is this now; `hang_up`: cancelled, and who talks is to be hung up on."""
        if state is self._state and not hang_up:
            return
        self._state = state
        self._cancels_talks = self._cancels_talks or hang_up
        if state is CampaignState.CANCELLED:
            for calling in list(self._callings.values()):
                self._spawn(self._cancel(calling), f"cancel:{calling.attempt.call_id}")
        self._changed.set()

    def leave(self) -> None:
        """Claim nobody any more: this gateway ends."""
        self._is_leaving = True
        self._changed.set()

    async def run(self) -> None:
        """Until it is over here."""
        while not (self._is_leaving and self.is_idle):
            pause_s = _LOOK_S
            try:
                if (next_s := await self._go_on()) is None:
                    return
                pause_s = next_s
            except StoreError as fault:
                log.error("campaign_store_failed", campaign_id=self.campaign_id, cause=str(fault))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause_s)
            self._changed.clear()

    async def _go_on(self) -> float | None:
        """Do what there is to do; in how many seconds to look again. None: it is over."""
        if self._is_leaving:
            return _LOOK_S
        match self._state:
            case CampaignState.RUNNING:
                return await self._claim_some()
            case CampaignState.PAUSED | CampaignState.DRAFT:
                return _LOOK_S
            case CampaignState.DRAINING:
                return await self._wind_up(Outcome.NOT_CALLED)
            case CampaignState.CANCELLED:
                return await self._wind_up(Outcome.CANCELLED)
            case CampaignState.DONE:
                return None if self.is_idle else _LOOK_S
            case _:
                assert_never(self._state)

    async def _claim_some(self) -> float | None:
        now = datetime.now(UTC)
        if self.policy.until is not None and now >= self.policy.until:
            return await self._end_early("until")
        if time.monotonic() < self._rests_until:
            return self._rests_until - time.monotonic()
        unaffordable = False

        def most(load: CampaignLoad) -> int:
            nonlocal unaffordable
            standing = load.dialing + load.talking
            number = min(wanted(self.policy, _load(load)), self.policy.concurrency - standing)
            left = affordable(self.policy.budget, self.policy.max_duration_s, load.sums, standing)
            unaffordable = left == 0 and standing == 0
            number = number if left is None else min(number, left)
            # The others claim theirs in the same moment; who is full claims none.
            return number if number <= 0 else math.ceil(number * self._share())

        claim = await self._store.attempts.claim(
            self.campaign_id,
            self._node,
            now,
            most,
            lambda zone: self._windows.is_open(zone, now),
            self._new_call_id,
            gap_s=gap_s(self.policy.cps),
            horizon_s=_HORIZON_S,
        )
        for attempt in claim.attempts:
            self._begin(attempt)
        for zone in claim.closed_zones:
            await self._store.campaigns.postpone(self.campaign_id, zone, now, self._windows.next_open(zone, now))
        if unaffordable:
            return await self._end_early("budget")
        return await self._until_next(claim)

    async def _until_next(self, claim: Claim) -> float | None:
        if claim.attempts:
            # The next slot comes a gap after the last one; be there when it is within the horizon.
            return max(0.01, claim.attempts[-1].slot_at + gap_s(self.policy.cps) - _HORIZON_S / 2 - time.time())
        if claim.closed_zones or claim.barred:
            return 0.0
        if claim.is_exhausted and await self._maybe_finish():
            return None
        return min(_LOOK_S, max(_SHORTEST_LOOK_S, gap_s(self.policy.cps)))

    async def _maybe_finish(self) -> bool:
        """If every contact is done, so is the campaign."""
        campaign = await self._store.campaigns.get(self.campaign_id)
        if campaign.sums.settled < campaign.sums.contacts or not self.is_idle:
            return False
        return await self._finish(CampaignState.DONE, "completed")

    async def _end_early(self, reason: str) -> float:
        """No new calls: those that stand go on."""
        with contextlib.suppress(WrongCampaignState):  # another gateway, or somebody, was faster
            await self._store.campaigns.move(
                self.campaign_id,
                CampaignState.DRAINING,
                datetime.now(UTC),
                allowed=[CampaignState.RUNNING],
                end_reason=reason,
            )
            self._state = CampaignState.DRAINING
        return 0.0

    async def _wind_up(self, outcome: Outcome) -> float | None:
        """Those who wait are done with this outcome; then, when nobody is being called any more, it is over."""
        if await self._store.campaigns.settle_waiting(self.campaign_id, outcome):
            return 0.0
        campaign = await self._store.campaigns.get(self.campaign_id)
        if campaign.sums.settled < campaign.sums.contacts or not self.is_idle:
            return _LOOK_S / 4
        if self._state is CampaignState.DRAINING:
            await self._finish(CampaignState.DONE, "drained")
        return None

    async def _finish(self, state: CampaignState, reason: str) -> bool:
        try:
            campaign = await self._store.campaigns.move(
                self.campaign_id,
                state,
                datetime.now(UTC),
                allowed=[CampaignState.RUNNING, CampaignState.DRAINING],
                end_reason=reason,
            )
        except WrongCampaignState:  # another gateway, or somebody, was faster
            return False
        self._state = state
        self._ended(campaign)
        return True

    def _begin(self, attempt: ClaimedAttempt) -> None:
        calling = Calling(attempt, self.policy, self._caller_ids, self._store, self._line, self._settled)
        self._callings[attempt.attempt_id] = calling
        self._spawn(self._see_through(calling), f"campaign:{attempt.call_id}")

    async def _see_through(self, calling: Calling) -> None:
        try:
            await calling.run(self._until_slot, self._sends.receive_sent)
        except Exception:
            # A fault of ours on one attempt must not end the others, which share a task group.
            log.exception("campaign_attempt_fault", campaign_id=self.campaign_id, call_id=calling.attempt.call_id)
            try:
                await calling.give_up_on_it()
            except Exception:
                # Not even that (the campaign was removed): then `AttemptRows.recover` ends it.
                log.exception("campaign_attempt_lost", campaign_id=self.campaign_id, call_id=calling.attempt.call_id)
        finally:
            self._callings.pop(calling.attempt.attempt_id, None)
            if calling.could_not_send:
                self._rests_until = time.monotonic() + _BREATH_S
            self._changed.set()

    async def _cancel(self, calling: Calling) -> None:
        try:
            await calling.cancel(hang_up=self._cancels_talks)
        except Exception:
            log.exception("campaign_cancel_fault", campaign_id=self.campaign_id, call_id=calling.attempt.call_id)

    async def _until_slot(self, attempt: ClaimedAttempt) -> bool:
        """Until the INVITE may go out; False: the campaign stands still, or the hour has passed."""
        if (delay_s := attempt.slot_at - time.time()) > 0:
            await asyncio.sleep(delay_s)
        await self._sends.take()
        slot_at = attempt.slot_at
        ahead_s = 0.0
        with contextlib.suppress(StoreError):  # then it leaves late
            while time.time() - slot_at > _LATE_S and self._state is CampaignState.RUNNING:
                # Another gateway may have the slots since then. The next one lies so far ahead that it is not past
                # when a database as slow as the last time has written it down.
                asked_at = datetime.now(UTC)
                ahead = asked_at + timedelta(seconds=ahead_s)
                slot_at = await self._store.attempts.later_slot(self.campaign_id, ahead, gap_s(self.policy.cps))
                ahead_s = 2 * max(ahead_s, time.time() - asked_at.timestamp())
                await asyncio.sleep(max(0.0, slot_at - time.time()))
        return self._state is CampaignState.RUNNING and self._windows.is_open(attempt.zone, datetime.now(UTC))

    def held(self) -> list[str]:
        """The attempts that are in our hands: their ids."""
        return list(self._callings)


def _load(load: CampaignLoad) -> Load:
    return Load(
        dialing=load.dialing,
        talking=load.talking,
        placed=load.recent.placed,
        answered_by_people=load.recent.people,
        abandoned=load.recent.abandoned,
        people_in_all=load.sums.people,
        abandoned_in_all=load.sums.abandoned,
        mean_ring_s=load.recent.mean_ring_s,
        mean_talk_s=load.recent.mean_talk_s,
    )
