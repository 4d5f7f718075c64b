# SPDX-License-Identifier: GPL-3.0-or-later
"""All campaigns of this gateway: begins to drive those that run, notices what others do to them, and what they leave.

beat (this gateway is alive) ── recover (another one is not: its attempts are UNKNOWN) ── look (states) > Drive
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog
from pydantic import ValidationError

from gateway.campaigns import telling
from gateway.campaigns.attempt import AttemptRecord, Extracted
from gateway.campaigns.drive import Drive
from gateway.campaigns.line import Line
from gateway.campaigns.outcome import CampaignState
from gateway.campaigns.policy import Policy
from gateway.errors import NoSuchCampaign, StoreError, WrongCampaignState
from gateway.events import EventBus, EventKind
from gateway.store import SessionStore
from gateway.store.campaign_records import AttemptEnd, CampaignRecord, ClaimedAttempt

log = structlog.get_logger(__name__)

_LOOK_S, _IDLE_LOOK_S = 0.1, 1.0
"""How often it is looked whether somebody has stopped, or begun, a campaign elsewhere; without campaigns seldom."""
_BEAT_S = 4.0
_LEASE_S = 30.0
"""A gateway that has not been heard of for so long is dead, and so are its calls."""
_FORGET_S = 86_400.0
_EXTRACTIONS = 4
"""Conversations that are read at once."""
_PROGRESS_S = 1.0
Extract = Callable[[Policy, AttemptRecord], Awaitable[Mapping[str, Extracted]]]
"""What came of a conversation, by the policy's `extract`. `StoreError`: it is asked again."""


class Runner:
    """One for the process. `run` is its life; `changed` and the verbs are for the API."""

    def __init__(
        self,
        store: SessionStore,
        line: Line,
        events: EventBus,
        extract: Extract,
        new_call_id: Callable[[], str],
        share: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """`share`: which part of all free places is here, when several gateways work on the same campaigns."""
        self.node = f"{store.folder_name}/{uuid4().hex}"
        """Of this run of this gateway: what one with another name has left is not ours."""
        self._store = store
        self._line = line
        self._events = events
        self._extract = extract
        self._new_call_id = new_call_id
        self._share = share
        self._drives: dict[str, Drive] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._extractions = asyncio.Semaphore(_EXTRACTIONS)
        self._is_leaving = False
        self._news = asyncio.Event()
        """A campaign has been started here."""
        self._driving: set[asyncio.Task[None]] = set()
        self._extracting: set[str] = set()
        """Attempts whose conversations are being read, or will be."""
        self._unreadable: set[str] = set()
        """Campaigns whose policies this version does not understand."""

    async def run(self) -> None:
        """Until cancelled; `leave` first, so that nothing is left UNKNOWN."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            # Until others see us alive they would take our attempts for a dead one's.
            while not await self._beat():  # noqa: ASYNC110
                await asyncio.sleep(_IDLE_LOOK_S)
            # When nobody else used the folder as we opened it, whoever did before, and has not been heard of since, is
            # dead. Those with other folders may live on other machines.
            await self._recover(self._store.opened_at if self._store.had_folder_alone else None)
            tasks.create_task(self._keep_alive(), name="campaign-beat")
            tasks.create_task(self._tell_progress(), name="campaign-progress")
            while True:
                await self._look()
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), _LOOK_S if self._drives else _IDLE_LOOK_S)

    async def leave(self, limit_s: float) -> None:
        """Claim nobody any more, and wait until our calls are over and written down, at most `limit_s`."""
        self.stop_claiming()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*self._driving)
                await self._store.attempts.leave(self.node)

    def stop_claiming(self) -> None:
        """The gateway is draining."""
        self._is_leaving = True
        for drive in self._drives.values():
            drive.leave()

    # What the API asks for

    async def start(self, campaign_id: str) -> CampaignRecord:
        """From draft or paused. Raises `NoSuchCampaign`, `WrongCampaignState`, `StoreError`; so do the others."""
        before = await self._store.campaigns.get(campaign_id)
        if before.sums.contacts == 0:
            raise WrongCampaignState("the campaign has no contacts: add some first")
        kind: EventKind = "campaign.started" if before.started_at is None else "campaign.resumed"
        campaign = await self._move(
            campaign_id, CampaignState.RUNNING, (CampaignState.DRAFT, CampaignState.PAUSED), None
        )
        self._events.publish(kind, "", telling.named(campaign))
        return campaign

    async def pause(self, campaign_id: str) -> CampaignRecord:
        """No new calls; those that stand go on."""
        campaign = await self._move(campaign_id, CampaignState.PAUSED, (CampaignState.RUNNING,), None)
        self._events.publish("campaign.paused", "", telling.named(campaign))
        return campaign

    async def drain(self, campaign_id: str) -> CampaignRecord:
        """No new calls, ever; those that stand go on, and then it is over."""
        states = (CampaignState.RUNNING, CampaignState.PAUSED)
        return await self._move(campaign_id, CampaignState.DRAINING, states, "drained")

    async def cancel(self, campaign_id: str, *, hang_up: bool = False) -> CampaignRecord:
        """No new calls, and those that ring are ended; `hang_up`: those who talk are hung up on, too."""
        states = (CampaignState.DRAFT, CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.DRAINING)
        if (drive := self._drives.get(campaign_id)) is not None:
            drive.receive_state(CampaignState.PAUSED)  # nothing leaves while the database is asked
        try:
            campaign = await self._move(campaign_id, CampaignState.CANCELLED, states, "cancelled", hang_up=hang_up)
        finally:
            await self._look()
        self._tell_end(campaign)
        return campaign

    async def _move(
        self,
        campaign_id: str,
        to: CampaignState,
        allowed: Collection[CampaignState],
        end_reason: str | None,
        *,
        hang_up: bool = False,
    ) -> CampaignRecord:
        campaign = await self._store.campaigns.move(
            campaign_id, to, datetime.now(UTC), allowed=allowed, end_reason=end_reason
        )
        if (drive := self._drives.get(campaign_id)) is not None:
            drive.receive_state(to, hang_up=hang_up)
        self._news.set()
        return campaign

    # What goes on

    async def _look(self) -> None:
        try:
            states = await self._store.campaigns.states()
        except StoreError as fault:
            log.error("campaign_store_failed", cause=str(fault))
            return
        for campaign_id, drive in self._drives.items():
            drive.receive_state(states.get(campaign_id, CampaignState.DONE))
        if self._is_leaving:
            return
        for campaign_id, state in states.items():
            is_known = campaign_id in self._drives or campaign_id in self._unreadable
            if not is_known and state is not CampaignState.PAUSED:
                await self._begin(campaign_id)

    async def _begin(self, campaign_id: str) -> None:
        try:
            campaign = await self._store.campaigns.get(campaign_id)
        except (NoSuchCampaign, StoreError):  # removed in this moment; or it is looked again soon
            return
        if campaign_id in self._drives:
            return
        assert self._tasks is not None
        tasks = self._tasks
        try:
            drive = Drive(
                campaign,
                self._store,
                self._line,
                self.node,
                self._new_call_id,
                lambda work, name: tasks.create_task(work, name=name),
                self._receive_end,
                self._tell_end,
                self._share,
            )
        except ValidationError as fault:  # another version has written it
            self._unreadable.add(campaign_id)
            log.error("campaign_policy_unreadable", campaign_id=campaign_id, faults=fault.error_count())
            return
        self._drives[campaign_id] = drive
        task = tasks.create_task(self._see_through(drive), name=f"campaign:{campaign_id}")
        self._driving.add(task)
        task.add_done_callback(self._driving.discard)

    async def _see_through(self, drive: Drive) -> None:
        try:
            while True:
                try:
                    return await drive.run()
                except NoSuchCampaign:
                    log.info("campaign_removed", campaign_id=drive.campaign_id)
                    return
                except Exception:
                    # A fault of ours in one campaign must not end the others, which share a task group. It goes on as
                    # it is, for the calls that stand can be cancelled through it alone.
                    log.exception("campaign_fault", campaign_id=drive.campaign_id)
                    await asyncio.sleep(_LEASE_S)
        finally:
            self._drives.pop(drive.campaign_id, None)

    async def _receive_end(self, attempt: ClaimedAttempt, end: AttemptEnd) -> None:
        if end.awaits_extraction:
            self._extract_soon(attempt.attempt_id)
        else:
            await self._tell_outcome(attempt.attempt_id)

    def _extract_soon(self, attempt_id: str) -> None:
        assert self._tasks is not None
        if attempt_id not in self._extracting:
            self._extracting.add(attempt_id)
            self._tasks.create_task(self._extract_one(attempt_id), name=f"extract:{attempt_id}")

    async def _extract_one(self, attempt_id: str) -> None:
        try:
            async with self._extractions:
                with contextlib.suppress(StoreError, NoSuchCampaign):  # `_recover` finds it once more
                    await self._store.flush()  # what was said
                    record = await self._store.attempts.record(attempt_id)
                    if record is None:
                        return
                    campaign = await self._store.campaigns.get(record.campaign_id)
                    if await self._store.attempts.extracted(attempt_id, await self._extracted(campaign, record)):
                        await self._tell_outcome(attempt_id)
        finally:
            self._extracting.discard(attempt_id)

    async def _extracted(self, campaign: CampaignRecord, record: AttemptRecord) -> Mapping[str, Extracted]:
        try:
            policy = Policy.model_validate_json(campaign.policy)
        except ValidationError:  # another version has written it
            return {}
        try:
            return await self._extract(policy, record)
        except StoreError:
            raise
        except Exception:
            # A fault of ours in reading one conversation must neither end the campaigns nor hold this one up for ever.
            log.exception("campaign_extraction_fault", call_id=record.call_id)
            return await extract_nothing(policy, record)

    async def _keep_alive(self) -> None:
        # Who could not write its beat looks as dead as who is dead: after an outage of the database everybody gets the
        # time to say that they live.
        silent_until = 0.0
        while True:
            await asyncio.sleep(_BEAT_S)
            now = asyncio.get_running_loop().time()
            if not await self._beat():
                silent_until = now + _LEASE_S
            elif now >= silent_until:
                await self._recover(None)

    async def _beat(self) -> bool:
        now = datetime.now(UTC)
        try:
            await self._store.attempts.beat(self.node, now, now - timedelta(seconds=_FORGET_S))
        except StoreError:  # the next beat may be written
            return False
        return True

    async def _recover(self, alone_since: datetime | None) -> None:
        """What dead gateways have left; and of ours what a failing database has made us lose."""
        alive_since = _lease_began()
        held = [attempt_id for drive in self._drives.values() for attempt_id in drive.held()]
        try:
            unknown = await self._store.attempts.recover(
                self.node, datetime.now(UTC), alive_since, held=held, alone_since=alone_since
            )
            unread = await self._store.attempts.awaiting_extraction(self.node, alive_since, alone_since=alone_since)
        except StoreError as fault:
            log.error("campaign_store_failed", cause=str(fault))
            return
        if unknown:
            log.warning("campaign_attempts_unknown", attempts=len(unknown))
        for attempt_id in unknown:
            await self._tell_outcome(attempt_id)
        for attempt_id in unread:
            self._extract_soon(attempt_id)

    # What is told

    async def _tell_outcome(self, attempt_id: str) -> None:
        with contextlib.suppress(StoreError):
            await self._store.flush()  # the session, of which the event is to be one
            record = await self._store.attempts.record(attempt_id)
            if record is not None:
                call_id = record.call_id if record.has_session else None
                self._events.publish("campaign.outcome", call_id or "", telling.attempted(record))

    def _tell_end(self, campaign: CampaignRecord) -> None:
        self._events.publish("campaign.ended", "", telling.ended(campaign))

    async def _tell_progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_S)
            for campaign_id in list(self._drives) if self._events.is_watched else ():
                with contextlib.suppress(StoreError, NoSuchCampaign):
                    load = await self._store.attempts.load(campaign_id)
                    outcomes = await self._store.campaigns.outcomes(campaign_id)
                    data = telling.progressed(campaign_id, load, outcomes)
                    self._events.publish("campaign.progress", "", data)


async def extract_nothing(policy: Policy, record: AttemptRecord) -> Mapping[str, Extracted]:
    """For gateways that cannot: every field is empty."""
    return {field.name: None for field in policy.extract}


def _lease_began() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=_LEASE_S)
