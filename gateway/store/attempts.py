# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts in the database: claimed and written down before the INVITE, ended once, and never forgotten.

claim (contact: waiting > dialing; attempt written) > INVITE > answered > end > extracted
    └─ withdrawn, if the INVITE was not sent       its gateway died ──> recover: UNKNOWN

A contact with an attempt that is not over is in no other gateway's reach, and one whose attempt ended as UNKNOWN never
comes back: nobody is called twice, whenever a gateway dies. As `gateway.store.campaigns` on transactions and errors.
"""

import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, Select, and_, delete, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.campaigns.attempt import AttemptRecord, Extracted
from gateway.campaigns.outcome import DIALLED, CampaignState, ContactState, Outcome
from gateway.errors import NoSuchCampaign
from gateway.store.campaign_records import (
    AttemptEnd,
    CampaignLoad,
    ClaimedAttempt,
    PastAttemptRecord,
    RecentCalls,
)
from gateway.store.campaign_tables import AttemptRow, CampaignRow, ContactRow, RunnerRow
from gateway.store.campaigns import (
    SEALED_METADATA,
    SEALED_NUMBER,
    CampaignRows,
    Writing,
    locked_campaign,
    standing,
)
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import SessionRow, TurnRow

_RECENT_ATTEMPTS = 200
"""By which pacing goes."""
_SEALED_DISPOSITION = "attempts.disposition"
_PEOPLE = (Outcome.TALKED, Outcome.ABANDONED)

_RECORD: Select[Any] = select(  # type: ignore[assignment]  # more columns than its overloads know
    ContactRow.campaign_id,
    ContactRow.contact_id,
    ContactRow.line,
    ContactRow.number,
    ContactRow.zone,
    ContactRow.contact_metadata.label("about"),
    ContactRow.attempts,
    ContactRow.sequence,
    ContactRow.outcome.label("contact_outcome"),
    AttemptRow.attempt_id,
    AttemptRow.index.label("attempt_index"),
    AttemptRow.call_id,
    AttemptRow.node,
    AttemptRow.started_at,
    AttemptRow.answered_at,
    AttemptRow.ended_at,
    AttemptRow.outcome,
    AttemptRow.far_end,
    AttemptRow.far_end_confidence,
    AttemptRow.sip_code,
    AttemptRow.end_reason,
    AttemptRow.disposition,
    AttemptRow.cost,
    SessionRow.call_id.label("session_id"),
    SessionRow.recording,
)
_LAST_ATTEMPT = and_(AttemptRow.contact_id == ContactRow.contact_id, AttemptRow.index == ContactRow.attempts)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a gateway got, and why not more."""

    attempts: tuple[ClaimedAttempt, ...] = ()
    closed_zones: frozenset[str] = frozenset()
    """Time zones of contacts that are due, and must not be called now."""
    barred: int = 0
    """Contacts that turned out to be on the do-not-call list, and are done."""
    is_exhausted: bool = False
    """Nobody else is due."""


class AttemptRows:
    """Part of `SessionStore`."""

    def __init__(self, writing: Writing, reading: Writing, sealer: ColumnSealer, campaigns: CampaignRows) -> None:
        self._writing = writing
        self._reading = reading
        self._sealer = sealer
        self._campaigns = campaigns

    async def load(self, campaign_id: str) -> CampaignLoad:
        """What the campaign does now. Raises `NoSuchCampaign`."""
        campaign = await self._campaigns.get(campaign_id)
        async with self._reading() as connection:
            dialing, talking = await standing(connection, campaign_id)
            return CampaignLoad(campaign.sums, dialing, talking, await _recent(connection, campaign_id))

    async def claim(
        self,
        campaign_id: str,
        node: str,
        now: datetime,
        wanted: Callable[[CampaignLoad], int],
        is_open: Callable[[str], bool],
        new_call_id: Callable[[], str],
        *,
        gap_s: float,
        horizon_s: float,
    ) -> Claim:
        """Write down attempts at contacts that are due: as many as `wanted` says of the campaign's load, and as may go
        out until `horizon_s` from now, `gap_s` apart. None unless the campaign is running.

        `is_open`: whether contacts of a time zone may be called now. Raises `NoSuchCampaign`.
        """
        async with self._writing() as connection:
            campaign = await locked_campaign(connection, campaign_id)
            if campaign.state is not CampaignState.RUNNING:
                return Claim()
            dialing, talking = await standing(connection, campaign_id)
            recent = await _recent(connection, campaign_id)
            slot_at: float = (
                await connection.scalar(select(CampaignRow.slot_at).where(CampaignRow.campaign_id == campaign_id))
                or 0.0
            )
            slots = _slots(max(slot_at, now.timestamp()), now.timestamp() + horizon_s, gap_s)
            most = min(wanted(CampaignLoad(campaign.sums, dialing, talking, recent)), len(slots))
            if most <= 0:
                return Claim()
            due = (
                select(ContactRow.__table__)
                .where(
                    ContactRow.campaign_id == campaign_id,
                    ContactRow.state == ContactState.WAITING.value,
                    ContactRow.due_at <= now,
                )
                .order_by(ContactRow.due_at, ContactRow.contact_id)
                .limit(most)
            )
            contacts = (await connection.execute(due)).all()
            barred = await self._campaigns.barred(connection, campaign_id, contacts)
            closed = frozenset(one.zone for one in contacts if one.contact_id not in barred and not is_open(one.zone))
            await self._campaigns.settle(
                connection,
                campaign_id,
                [(one.contact_id, Outcome.DO_NOT_CALL) for one in contacts if one.contact_id in barred],
            )
            callable_now = [one for one in contacts if one.contact_id not in barred and one.zone not in closed]
            claimed = [self._claimed(one, slot, new_call_id()) for one, slot in zip(callable_now, slots, strict=False)]
            if claimed:
                await self._write_down(connection, campaign_id, node, now, claimed, slots[len(claimed) - 1] + gap_s)
        return Claim(tuple(claimed), closed, len(barred), len(contacts) < most)

    def _claimed(self, contact: Row[Any], slot_at: float, call_id: str) -> ClaimedAttempt:
        return ClaimedAttempt(
            attempt_id=uuid4().hex,
            campaign_id=contact.campaign_id,
            contact_id=contact.contact_id,
            index=contact.attempts + 1,
            call_id=call_id,
            number=self._sealer.open(contact.number, SEALED_NUMBER),
            zone=contact.zone,
            metadata=json.loads(self._sealer.open(contact._mapping["metadata"], SEALED_METADATA)),
            slot_at=slot_at,
        )

    async def _write_down(
        self,
        connection: AsyncConnection,
        campaign_id: str,
        node: str,
        now: datetime,
        claimed: Sequence[ClaimedAttempt],
        slot_at: float,
    ) -> None:
        rows = [
            {
                "attempt_id": one.attempt_id,
                "campaign_id": campaign_id,
                "contact_id": one.contact_id,
                "index": one.index,
                "call_id": one.call_id,
                "node": node,
                "started_at": now,
                "is_extracted": True,
                "cost": 0.0,
            }
            for one in claimed
        ]
        await connection.execute(insert(AttemptRow), rows)
        await connection.execute(
            update(ContactRow)
            .where(ContactRow.contact_id.in_([one.contact_id for one in claimed]))
            .values(state=ContactState.DIALING.value, attempts=ContactRow.attempts + 1)
        )
        await connection.execute(
            update(CampaignRow).where(CampaignRow.campaign_id == campaign_id).values(slot_at=slot_at)
        )

    async def later_slot(self, campaign_id: str, now: datetime, gap_s: float) -> float:
        """Another moment for an INVITE that has missed its own, as `ClaimedAttempt.slot_at`."""
        async with self._writing() as connection:
            await locked_campaign(connection, campaign_id)
            of_campaign = CampaignRow.campaign_id == campaign_id
            next_at: float = await connection.scalar(select(CampaignRow.slot_at).where(of_campaign)) or 0.0
            slot_at = max(next_at, now.timestamp())
            await connection.execute(update(CampaignRow).where(of_campaign).values(slot_at=slot_at + gap_s))
        return slot_at

    async def withdraw(self, attempt: ClaimedAttempt, now: datetime) -> None:
        """Its INVITE was not sent, and will not be: it is as if it had never been claimed."""
        async with self._writing() as connection:
            await locked_campaign(connection, attempt.campaign_id)
            gone = await connection.execute(
                delete(AttemptRow).where(AttemptRow.attempt_id == attempt.attempt_id, AttemptRow.ended_at.is_(None))
            )
            if gone.rowcount:
                await connection.execute(
                    update(ContactRow)
                    .where(ContactRow.contact_id == attempt.contact_id)
                    .values(state=ContactState.WAITING.value, attempts=ContactRow.attempts - 1, due_at=now)
                )

    async def answered(self, attempt: ClaimedAttempt, answered_at: datetime) -> int:
        """How many attempts of the campaign are answered and not over, this one among them."""
        async with self._writing() as connection:
            # Two gateways that count at once would each miss the other's, and both give the last slot away.
            await locked_campaign(connection, attempt.campaign_id)
            await connection.execute(
                update(AttemptRow)
                .where(AttemptRow.attempt_id == attempt.attempt_id, AttemptRow.ended_at.is_(None))
                .values(answered_at=answered_at)
            )
            return (await standing(connection, attempt.campaign_id))[1]

    async def past(self, contact_id: int) -> list[PastAttemptRecord]:
        """The contact's attempts that are over, oldest first."""
        query = (
            select(AttemptRow.outcome, AttemptRow.ended_at)
            .where(AttemptRow.contact_id == contact_id, AttemptRow.outcome.is_not(None))
            .order_by(AttemptRow.index)
        )
        async with self._reading() as connection:
            return [PastAttemptRecord(Outcome(row.outcome), row.ended_at) for row in await connection.execute(query)]

    async def end(self, attempt: ClaimedAttempt, end: AttemptEnd) -> bool:
        """The attempt is over. False: somebody has ended it before, since we were taken for dead; nothing changes."""
        async with self._writing() as connection:
            await locked_campaign(connection, attempt.campaign_id)
            return await self._end(connection, attempt.campaign_id, attempt.contact_id, attempt.attempt_id, end)

    async def _end(
        self, connection: AsyncConnection, campaign_id: str, contact_id: int, attempt_id: str, end: AttemptEnd
    ) -> bool:
        done = await connection.execute(
            update(AttemptRow)
            .where(AttemptRow.attempt_id == attempt_id, AttemptRow.ended_at.is_(None))
            .values(
                outcome=end.outcome.value,
                ended_at=end.ended_at,
                answered_at=end.answered_at,
                far_end=end.far_end,
                far_end_confidence=end.far_end_confidence,
                sip_code=end.sip_code,
                end_reason=end.end_reason,
                cost=end.cost,
                is_extracted=not end.awaits_extraction,
            )
        )
        if not done.rowcount:
            return False
        talked_s = 0.0 if end.answered_at is None else (end.ended_at - end.answered_at).total_seconds()
        await connection.execute(
            update(CampaignRow)
            .where(CampaignRow.campaign_id == campaign_id)
            .values(
                attempts=CampaignRow.attempts + int(end.outcome in DIALLED),
                answered=CampaignRow.answered + int(end.answered_at is not None),
                people=CampaignRow.people + int(end.outcome in _PEOPLE),
                abandoned=CampaignRow.abandoned + int(end.outcome is Outcome.ABANDONED),
                talked_s=CampaignRow.talked_s + talked_s,
                cost=CampaignRow.cost + end.cost,
            )
        )
        if end.next_at is not None:
            await connection.execute(
                update(ContactRow)
                .where(ContactRow.contact_id == contact_id)
                .values(state=ContactState.WAITING.value, due_at=end.next_at)
            )
        elif not end.awaits_extraction:
            await self._campaigns.settle(connection, campaign_id, [(contact_id, end.outcome)])
        return True

    async def extracted(self, attempt_id: str, disposition: Mapping[str, Extracted]) -> bool:
        """This came out of the conversation; its contact is done. False: somebody has said so before."""
        sealed = self._sealer.seal(json.dumps(dict(disposition), ensure_ascii=False), _SEALED_DISPOSITION)
        async with self._writing() as connection:
            found = select(AttemptRow.campaign_id, AttemptRow.contact_id, AttemptRow.outcome)
            row = (await connection.execute(found.where(AttemptRow.attempt_id == attempt_id))).first()
            if row is None:
                return False
            await locked_campaign(connection, row.campaign_id)
            done = await connection.execute(
                update(AttemptRow)
                .where(AttemptRow.attempt_id == attempt_id, AttemptRow.is_extracted.is_(False))
                .values(disposition=sealed, is_extracted=True)
            )
            if not done.rowcount:
                return False
            await self._campaigns.settle(connection, row.campaign_id, [(row.contact_id, Outcome(row.outcome))])
        return True

    # Gateways that come and go

    async def beat(self, node: str, now: datetime, forget_before: datetime) -> None:
        """This gateway is alive; those that have not been since then are forgotten."""
        async with self._writing() as connection:
            await connection.execute(
                delete(RunnerRow).where((RunnerRow.node == node) | (RunnerRow.beat_at < forget_before))
            )
            await connection.execute(insert(RunnerRow), {"node": node, "beat_at": now})

    async def leave(self, node: str) -> None:
        """This gateway dials no more, and has no attempt that is not over."""
        async with self._writing() as connection:
            await connection.execute(delete(RunnerRow).where(RunnerRow.node == node))

    async def recover(
        self,
        node: str,
        now: datetime,
        alive_since: datetime,
        *,
        held: Collection[str] = (),
        alone_since: datetime | None = None,
    ) -> list[str]:
        """End what gateways have left that are gone, as `UNKNOWN`; the attempts' ids. Gone are those that have not been
        alive since then. This one (`node`) never is; but attempts of its own from before then that it does not hold
        it has lost: a claim whose COMMIT was not answered. `alone_since`: since then no other gateway with our data
        folder (the first part of `node`, before a slash) can live but those heard of."""
        dropped = and_(AttemptRow.node == node, AttemptRow.started_at < alive_since, AttemptRow.attempt_id.not_in(held))
        left_behind = and_(AttemptRow.ended_at.is_(None), or_(_of_the_dead(node, alive_since, alone_since), dropped))
        left = select(AttemptRow.campaign_id).where(left_behind).distinct()
        async with self._reading() as connection:
            campaign_ids = list(await connection.scalars(left))
        recovered = []
        for campaign_id in campaign_ids:
            async with self._writing() as connection:
                with contextlib.suppress(NoSuchCampaign):  # removed meanwhile, and the attempts with it
                    await locked_campaign(connection, campaign_id)
                rows = await connection.execute(
                    select(AttemptRow.attempt_id, AttemptRow.contact_id, AttemptRow.answered_at).where(
                        AttemptRow.campaign_id == campaign_id, left_behind
                    )
                )
                for row in rows.all():
                    # How long it stood nobody knows: neither talk nor cost is counted.
                    end = AttemptEnd(Outcome.UNKNOWN, row.answered_at or now, answered_at=row.answered_at)
                    if await self._end(connection, campaign_id, row.contact_id, row.attempt_id, end):
                        recovered.append(row.attempt_id)
        return recovered

    async def awaiting_extraction(
        self, node: str, alive_since: datetime, *, alone_since: datetime | None = None
    ) -> list[str]:
        """Attempts whose gateway died before it had extracted anything: their ids. As `recover`; of this one those that
        ended before then."""
        own = and_(AttemptRow.node == node, AttemptRow.ended_at < alive_since)
        query = select(AttemptRow.attempt_id).where(
            AttemptRow.is_extracted.is_(False),
            AttemptRow.ended_at.is_not(None),
            or_(_of_the_dead(node, alive_since, alone_since), own),
        )
        async with self._reading() as connection:
            return list(await connection.scalars(query))

    # Results

    async def record(self, attempt_id: str) -> AttemptRecord | None:
        """One attempt; None: there is none."""
        query = _RECORD.join(AttemptRow, AttemptRow.contact_id == ContactRow.contact_id).outerjoin(
            SessionRow, SessionRow.call_id == AttemptRow.call_id
        )
        found = await self._records(query.where(AttemptRow.attempt_id == attempt_id))
        return found[0] if found else None

    async def attempts(
        self, campaign_id: str, *, before: str | None, outcomes: Collection[Outcome], limit: int
    ) -> list[AttemptRecord]:
        """Newest first; `before`, an attempt's id, continues after that one. `outcomes`: none: all."""
        query = _RECORD.join(AttemptRow, AttemptRow.contact_id == ContactRow.contact_id).outerjoin(
            SessionRow, SessionRow.call_id == AttemptRow.call_id
        )
        query = query.where(AttemptRow.campaign_id == campaign_id)
        if before is not None:
            anchor = select(AttemptRow.started_at, AttemptRow.attempt_id).where(AttemptRow.attempt_id == before)
            place = tuple_(AttemptRow.started_at, AttemptRow.attempt_id)
            query = query.where(place < anchor.scalar_subquery())
        if outcomes:
            query = query.where(AttemptRow.outcome.in_([one.value for one in outcomes]))
        return await self._records(
            query.order_by(AttemptRow.started_at.desc(), AttemptRow.attempt_id.desc()).limit(limit)
        )

    async def results(self, campaign_id: str, after: int, limit: int) -> list[AttemptRecord]:
        """Contacts that are done, in the order in which they became so, from the sequence number after this one on;
        with their last attempts."""
        query = (
            _RECORD.outerjoin(AttemptRow, _LAST_ATTEMPT)
            .outerjoin(SessionRow, SessionRow.call_id == AttemptRow.call_id)
            .where(ContactRow.campaign_id == campaign_id, ContactRow.sequence > after)
            .order_by(ContactRow.sequence)
            .limit(limit)
        )
        return await self._records(query, is_result=True)

    async def _records(self, query: Select[Any], *, is_result: bool = False) -> list[AttemptRecord]:
        async with self._reading() as connection:
            rows = (await connection.execute(query)).all()
            call_ids = [row.call_id for row in rows if row.call_id is not None]
            responses: dict[str, list[float]] = {}
            for begin in range(0, len(call_ids), 500):
                turns = (
                    select(TurnRow.call_id, TurnRow.response_ms)
                    .where(TurnRow.call_id.in_(call_ids[begin : begin + 500]))
                    .order_by(TurnRow.index)
                )
                for call_id, response_ms in await connection.execute(turns):
                    responses.setdefault(call_id, []).append(response_ms)
        return [self._attempt_record(row, responses.get(row.call_id, []), is_result=is_result) for row in rows]

    def _attempt_record(self, row: Row[Any], response_ms: Sequence[float], *, is_result: bool) -> AttemptRecord:
        outcome = row.contact_outcome if is_result else row.outcome
        disposition = "{}" if row.disposition is None else self._sealer.open(row.disposition, _SEALED_DISPOSITION)
        return AttemptRecord(
            campaign_id=row.campaign_id,
            contact_id=row.contact_id,
            line=row.line,
            number=self._sealer.open(row.number, SEALED_NUMBER),
            zone=row.zone,
            metadata=json.loads(self._sealer.open(row.about, SEALED_METADATA)),
            outcome=None if outcome is None else Outcome(outcome),
            attempts=row.attempts,
            sequence=row.sequence,
            attempt_id=row.attempt_id,
            index=row.attempt_index,
            call_id=row.call_id,
            node=row.node,
            started_at=row.started_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            far_end=row.far_end,
            far_end_confidence=row.far_end_confidence,
            sip_code=row.sip_code,
            end_reason=row.end_reason,
            disposition=json.loads(disposition),
            response_ms=tuple(response_ms),
            has_session=row.session_id is not None,
            recording=row.recording is not None,
            cost=row.cost or 0.0,
        )


def _of_the_dead(node: str, alive_since: datetime, alone_since: datetime | None) -> ColumnElement[bool]:
    dead: ColumnElement[bool] = AttemptRow.node.not_in(_alive(alive_since))
    if alone_since is not None:
        of_the_folder = AttemptRow.node.startswith(node.partition("/")[0] + "/", autoescape=True)
        dead = or_(dead, and_(of_the_folder, AttemptRow.node.not_in(_alive(alone_since))))
    return and_(AttemptRow.node != node, dead)


def _alive(since: datetime) -> Select[Any]:
    return select(RunnerRow.node).where(RunnerRow.beat_at >= since)


def _slots(begin_at: float, until: float, gap_s: float) -> list[float]:
    """Moments at which INVITEs may go out."""
    most = 1 + int((until - begin_at) / gap_s) if begin_at <= until else 0
    return [begin_at + index * gap_s for index in range(most)]


async def _recent(connection: AsyncConnection, campaign_id: str) -> RecentCalls:
    query = (
        select(AttemptRow.outcome, AttemptRow.started_at, AttemptRow.answered_at, AttemptRow.ended_at)
        .where(AttemptRow.campaign_id == campaign_id, AttemptRow.ended_at.is_not(None))
        .order_by(AttemptRow.ended_at.desc())
        .limit(_RECENT_ATTEMPTS)
    )
    rows = (await connection.execute(query)).all()
    rings = [(row.answered_at - row.started_at).total_seconds() for row in rows if row.answered_at is not None]
    people = [row for row in rows if row.outcome in (Outcome.TALKED.value, Outcome.ABANDONED.value)]
    talks = [(row.ended_at - row.answered_at).total_seconds() for row in people if row.answered_at is not None]
    return RecentCalls(
        placed=len(rows),
        answered=len(rings),
        people=len(people),
        abandoned=sum(row.outcome == Outcome.ABANDONED.value for row in people),
        mean_ring_s=sum(rings) / len(rings) if rings else 0.0,
        mean_talk_s=sum(talks) / len(talks) if talks else 0.0,
    )
