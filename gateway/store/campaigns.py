# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns and their contacts in the database. What must not be lost is committed, and synced, before this returns.

Every method that writes is one transaction, which begins by locking (SQLite: the database; PostgreSQL: the campaign's
row), so that several gateways on one database see each other's calls. All raise `StoreError`.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.campaigns.outcome import CampaignState, ContactState, Outcome
from gateway.errors import NoSuchCampaign, WrongCampaignState
from gateway.store.campaign_records import CampaignRecord, ListedContact, Sums
from gateway.store.campaign_tables import AttemptRow, CampaignRow, ContactRow, DoNotCallRow, OutcomeCountRow
from gateway.store.number_keys import NumberKeys
from gateway.store.sealing import ColumnSealer

_BATCH = 500
"""Contacts in one statement."""
_MOST_AT_ONCE = 5_000
"""Contacts that one transaction settles or moves: others write meanwhile."""
SEALED_NUMBER, SEALED_METADATA = "contacts.number", "contacts.metadata"
_CONTACTS = ContactRow.__table__
_SETTLE = (
    update(_CONTACTS)  # type: ignore[arg-type]
    .where(_CONTACTS.c.contact_id == bindparam("of_contact"))
    .values(state=ContactState.DONE.value, outcome=bindparam("new_outcome"), sequence=bindparam("new_sequence"))
)
_WAITING = (
    select(ContactRow.contact_id, AttemptRow.outcome)
    .outerjoin(
        AttemptRow, and_(AttemptRow.contact_id == ContactRow.contact_id, AttemptRow.index == ContactRow.attempts)
    )
    .where(ContactRow.state == ContactState.WAITING.value)
)
Writing = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class CampaignRows:
    """Part of `SessionStore`."""

    def __init__(
        self, writing: Writing, reading: Writing, sealer: ColumnSealer, keys: NumberKeys, dialect: str
    ) -> None:
        """`writing`: a transaction with the write lock, synced when it ends."""
        self._writing = writing
        self._reading = reading
        self._sealer = sealer
        self._keys = keys
        self._counts = sqlite.insert if dialect == "sqlite" else postgresql.insert

    # Campaigns

    async def add(self, campaign: CampaignRecord) -> None:
        async with self._writing() as connection:
            await connection.execute(
                insert(CampaignRow),
                {
                    "campaign_id": campaign.campaign_id,
                    "name": campaign.name,
                    "state": campaign.state.value,
                    "policy": campaign.policy,
                    "created_at": campaign.created_at,
                    "slot_at": 0.0,
                    **{one.name: getattr(campaign.sums, one.name) for one in fields(Sums)},
                },
            )

    async def get(self, campaign_id: str) -> CampaignRecord:
        """Raises `NoSuchCampaign`."""
        async with self._reading() as connection:
            found = select(CampaignRow.__table__).where(CampaignRow.campaign_id == campaign_id)
            return _campaign((await connection.execute(found)).first(), campaign_id)

    async def listed(self, states: Collection[CampaignState] = tuple(CampaignState)) -> list[CampaignRecord]:
        """Newest first."""
        wanted = (
            select(CampaignRow.__table__)
            .where(CampaignRow.state.in_([state.value for state in states]))
            .order_by(CampaignRow.created_at.desc(), CampaignRow.campaign_id)
        )
        async with self._reading() as connection:
            return [_campaign(row, "") for row in await connection.execute(wanted)]

    async def states(self) -> dict[str, CampaignState]:
        """Of the campaigns that are neither drafts nor over; and of those that are, but not all of whose contacts."""
        standing = [state.value for state in (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.DRAINING)]
        is_unfinished = and_(
            CampaignRow.state == CampaignState.CANCELLED.value, CampaignRow.settled < CampaignRow.contacts
        )
        query = select(CampaignRow.campaign_id, CampaignRow.state).where(
            or_(CampaignRow.state.in_(standing), is_unfinished)
        )
        async with self._reading() as connection:
            rows: Iterable[Any] = await connection.execute(query)
            return {campaign_id: CampaignState(state) for campaign_id, state in rows}

    async def move(
        self,
        campaign_id: str,
        to: CampaignState,
        now: datetime,
        *,
        allowed: Collection[CampaignState],
        end_reason: str | None = None,
    ) -> CampaignRecord:
        """Into another state. Raises `NoSuchCampaign`; `WrongCampaignState` when it is in none of `allowed`, or to be
        done before all its contacts are."""
        async with self._writing() as connection:
            before = await self._locked(connection, campaign_id)
            if before.state not in allowed:
                raise WrongCampaignState(f"the campaign is {before.state.value}")
            if to is CampaignState.DONE and before.sums.settled < before.sums.contacts:
                raise WrongCampaignState("contacts were added")  # since whoever asks has looked
            changes: dict[str, object] = {"state": to.value}
            if to is CampaignState.RUNNING and before.started_at is None:
                changes["started_at"] = now
            if to in (CampaignState.DONE, CampaignState.CANCELLED):
                changes["ended_at"] = now
            if end_reason is not None and before.end_reason is None:
                changes["end_reason"] = end_reason
            await connection.execute(
                update(CampaignRow).where(CampaignRow.campaign_id == campaign_id).values(**changes)
            )
        return await self.get(campaign_id)

    async def remove(self, campaign_id: str) -> None:
        """With its contacts and attempts; sessions stay. Raises `NoSuchCampaign`; `WrongCampaignState` while it may
        call somebody."""
        async with self._writing() as connection:
            campaign = await self._locked(connection, campaign_id)
            if campaign.state not in (CampaignState.DRAFT, CampaignState.DONE, CampaignState.CANCELLED):
                raise WrongCampaignState(f"the campaign is {campaign.state.value}: cancel it first")
            if any(await standing(connection, campaign_id)):
                raise WrongCampaignState("calls of the campaign still stand: wait for their ends, or hang up")
            await connection.execute(delete(DoNotCallRow).where(DoNotCallRow.campaign_id == campaign_id))
            await connection.execute(delete(CampaignRow).where(CampaignRow.campaign_id == campaign_id))

    async def outcomes(self, campaign_id: str) -> dict[Outcome, int]:
        """How many contacts are done with which outcome."""
        query = select(OutcomeCountRow.outcome, OutcomeCountRow.contacts).where(
            OutcomeCountRow.campaign_id == campaign_id
        )
        async with self._reading() as connection:
            rows: Iterable[Any] = await connection.execute(query)
            return {Outcome(name): count for name, count in rows}

    # Contacts

    async def add_contacts(
        self, campaign_id: str, contacts: Sequence[ListedContact], now: datetime
    ) -> tuple[list[int], list[int]]:
        """Add those that are new, as listed: `release` makes them the campaign's. Returns the lines of numbers that are
        there already, and of those that are not to be called: neither were added. Raises `NoSuchCampaign`;
        `WrongCampaignState` when it is over."""
        duplicates: list[int] = []
        barred: list[int] = []
        async with self._writing() as connection:
            campaign = await self._locked(connection, campaign_id)
            if campaign.state in (CampaignState.DONE, CampaignState.CANCELLED, CampaignState.DRAINING):
                raise WrongCampaignState(f"the campaign is {campaign.state.value}: nobody can be added")
            for begin in range(0, len(contacts), _BATCH):
                batch = [(self._keys.all_of(one.number), one) for one in contacts[begin : begin + _BATCH]]
                keys = [key for known_as, _ in batch for key in known_as]
                known = select(ContactRow.number_key).where(
                    ContactRow.campaign_id == campaign_id, ContactRow.number_key.in_(keys)
                )
                there = set(await connection.scalars(known))
                not_to_be_called = await barred_keys(connection, campaign_id, keys)
                rows = []
                for known_as, contact in batch:
                    if not there.isdisjoint(known_as):
                        duplicates.append(contact.line)
                        continue
                    there.add(known_as[0])
                    if not not_to_be_called.isdisjoint(known_as):
                        barred.append(contact.line)
                        continue
                    rows.append(self._contact_row(campaign_id, known_as[0], contact, now))
                if rows:
                    await connection.execute(insert(ContactRow), rows)
        return duplicates, barred

    async def release(self, campaign_id: str) -> int:
        """Make some of those that are listed the campaign's; how many there were, 0: none are left. Raises
        `NoSuchCampaign`; `WrongCampaignState` when it is over."""
        async with self._writing() as connection:
            campaign = await self._locked(connection, campaign_id)
            if campaign.state is CampaignState.DONE:
                raise WrongCampaignState("the campaign is done: nobody can be added")
            listed = await self._listed(connection, campaign_id)
            for begin in range(0, len(listed), _BATCH):
                some = ContactRow.contact_id.in_(listed[begin : begin + _BATCH])
                await connection.execute(update(ContactRow).where(some).values(state=ContactState.WAITING.value))
            await connection.execute(
                update(CampaignRow)
                .where(CampaignRow.campaign_id == campaign_id)
                .values(contacts=CampaignRow.contacts + len(listed))
            )
        return len(listed)

    async def discard(self, campaign_id: str) -> int:
        """Remove some of those that are listed; how many there were, 0: none are left."""
        async with self._writing() as connection:
            await self._locked(connection, campaign_id)
            listed = await self._listed(connection, campaign_id)
            for begin in range(0, len(listed), _BATCH):
                some = ContactRow.contact_id.in_(listed[begin : begin + _BATCH])
                await connection.execute(delete(ContactRow).where(some))
        return len(listed)

    async def _listed(self, connection: AsyncConnection, campaign_id: str) -> list[int]:
        query = select(ContactRow.contact_id).where(
            ContactRow.campaign_id == campaign_id, ContactRow.state == ContactState.LISTED.value
        )
        return list(await connection.scalars(query.limit(_MOST_AT_ONCE)))

    def _contact_row(self, campaign_id: str, key: str, contact: ListedContact, now: datetime) -> dict[str, object]:
        metadata = json.dumps(dict(contact.metadata), separators=(",", ":"), ensure_ascii=False)
        return {
            "campaign_id": campaign_id,
            "line": contact.line,
            "number": self._sealer.seal(contact.number, SEALED_NUMBER),
            "number_key": key,
            "zone": contact.zone,
            "metadata": self._sealer.seal(metadata, SEALED_METADATA),
            "state": ContactState.LISTED.value,
            "due_at": now,
            "attempts": 0,
        }

    async def settle_waiting(self, campaign_id: str, outcome: Outcome) -> int:
        """Let some of those who wait be done: with this outcome, or, if they have been called, that of the last
        attempt. How many there were, 0: nobody waits any more."""
        async with self._writing() as connection:
            await self._locked(connection, campaign_id)
            waiting = (
                _WAITING.where(ContactRow.campaign_id == campaign_id)
                .order_by(ContactRow.contact_id)
                .limit(_MOST_AT_ONCE)
            )
            rows = (await connection.execute(waiting)).all()
            await self.settle(
                connection, campaign_id, [(row.contact_id, _last_or(outcome, row.outcome)) for row in rows]
            )
        return len(rows)

    async def postpone(self, campaign_id: str, zone: str, now: datetime, due_at: datetime | None) -> int:
        """Some of those of a time zone who are due have to wait until then; None: for ever, they are `NOT_CALLED`."""
        async with self._writing() as connection:
            await self._locked(connection, campaign_id)
            due = (
                _WAITING.where(ContactRow.campaign_id == campaign_id)
                .where(ContactRow.due_at <= now, ContactRow.zone == zone)
                .limit(_MOST_AT_ONCE)
            )
            rows = (await connection.execute(due)).all()
            if due_at is None:
                settled = [(row.contact_id, _last_or(Outcome.NOT_CALLED, row.outcome)) for row in rows]
                await self.settle(connection, campaign_id, settled)
            else:
                for begin in range(0, len(rows), _BATCH):
                    some = [row.contact_id for row in rows[begin : begin + _BATCH]]
                    await connection.execute(
                        update(ContactRow).where(ContactRow.contact_id.in_(some)).values(due_at=due_at)
                    )
        return len(rows)

    async def settle(
        self, connection: AsyncConnection, campaign_id: str, settled: Sequence[tuple[int, Outcome]]
    ) -> None:
        """In a transaction that has locked the campaign: these contacts are done."""
        if not settled:
            return
        last: int = (
            await connection.scalar(select(CampaignRow.settled).where(CampaignRow.campaign_id == campaign_id)) or 0
        )
        counts: dict[Outcome, int] = {}
        rows = []
        for number, (contact_id, outcome) in enumerate(settled, last + 1):
            rows.append({"of_contact": contact_id, "new_outcome": outcome.value, "new_sequence": number})
            counts[outcome] = counts.get(outcome, 0) + 1
        await connection.execute(_SETTLE, rows)
        await connection.execute(
            update(CampaignRow).where(CampaignRow.campaign_id == campaign_id).values(settled=last + len(rows))
        )
        for outcome, count in counts.items():
            new = self._counts(OutcomeCountRow).values(campaign_id=campaign_id, outcome=outcome.value, contacts=count)
            await connection.execute(
                new.on_conflict_do_update(
                    index_elements=["campaign_id", "outcome"],
                    set_={"contacts": OutcomeCountRow.contacts + count},
                )
            )

    async def next_due(self, campaign_id: str) -> datetime | None:
        """When the first of those who wait is due; None: nobody waits."""
        query = select(func.min(ContactRow.due_at)).where(
            ContactRow.campaign_id == campaign_id, ContactRow.state == ContactState.WAITING.value
        )
        async with self._reading() as connection:
            due: datetime | None = await connection.scalar(query)
            return due

    async def dialing(self, campaign_id: str) -> tuple[int, int]:
        """Attempts that are not over: those that are not answered yet, and those that are."""
        async with self._reading() as connection:
            return await standing(connection, campaign_id)

    async def barred(self, connection: AsyncConnection, campaign_id: str, contacts: Sequence[Row[Any]]) -> set[int]:
        """The ids of those of these contacts that the campaign may not call."""
        known_as = {one.contact_id: self._keys.all_of(self._sealer.open(one.number, SEALED_NUMBER)) for one in contacts}
        keys = await barred_keys(connection, campaign_id, [key for all_keys in known_as.values() for key in all_keys])
        return {contact_id for contact_id, all_keys in known_as.items() if not keys.isdisjoint(all_keys)}

    async def _locked(self, connection: AsyncConnection, campaign_id: str) -> CampaignRecord:
        return await locked_campaign(connection, campaign_id)


async def locked_campaign(connection: AsyncConnection, campaign_id: str) -> CampaignRecord:
    """The campaign, whose row nobody else changes until the transaction ends. Raises `NoSuchCampaign`."""
    query = select(CampaignRow.__table__).where(CampaignRow.campaign_id == campaign_id).with_for_update()
    return _campaign((await connection.execute(query)).first(), campaign_id)


async def barred_keys(connection: AsyncConnection, campaign_id: str, keys: Sequence[str]) -> set[str]:
    """Those of these numbers that the campaign may not call."""
    query = select(DoNotCallRow.number_key).where(
        DoNotCallRow.number_key.in_(keys), DoNotCallRow.campaign_id.in_(("", campaign_id))
    )
    return set(await connection.scalars(query))


async def standing(connection: AsyncConnection, campaign_id: str) -> tuple[int, int]:
    """Attempts that are not over: those that are not answered yet, and those that are."""
    query = select(func.count(), func.count(AttemptRow.answered_at)).where(
        AttemptRow.campaign_id == campaign_id, AttemptRow.ended_at.is_(None)
    )
    everything, talking = (await connection.execute(query)).one()
    return everything - talking, talking


def _last_or(outcome: Outcome, last: str | None) -> Outcome:
    return outcome if last is None else Outcome(last)


def _campaign(row: Row[Any] | None, campaign_id: str) -> CampaignRecord:
    if row is None:
        raise NoSuchCampaign(campaign_id)
    values = row._mapping
    return CampaignRecord(
        campaign_id=values["campaign_id"],
        name=values["name"],
        state=CampaignState(values["state"]),
        policy=values["policy"],
        created_at=values["created_at"],
        started_at=values["started_at"],
        ended_at=values["ended_at"],
        end_reason=values["end_reason"],
        sums=Sums(**{one.name: values[one.name] for one in fields(Sums)}),
    )
