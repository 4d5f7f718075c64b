# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of callers, and how their last call ended.

A caller is kept as a keyed hash (HMAC-SHA256 under the store's key), and what they said sealed like transcripts.
Without a key the hash is one that anybody can compute, as everything else lies in clear then; what was kept before the
key was set is still found. Beside a keyed hash the address itself lies sealed, so that another key can
take over. Memories go with their session (foreign key), by `forget`, and by age.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Executable, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.recollection import Recollection
from gateway.store.events import Put
from gateway.store.number_keys import NumberKeys
from gateway.store.records import ConsentRecord, MemoryRecord, RememberedExchange, Role
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import AuditRow, CallerRow, ConsentRow, SessionRow, TranscriptRow
from gateway.store.writes import Step
from media.encryption import EncryptionKey

_SEALED = "callers.memory"
SEALED_CALLER, SEALED_CONSENT = "callers.identity", "consents.identity"

_BEGIN = insert(CallerRow)
_BEGIN_ANEW = delete(CallerRow).where(
    CallerRow.call_id == bindparam("of_call"), CallerRow.agent == bindparam("of_agent")
)
_REMEMBER = (
    update(CallerRow)
    .where(CallerRow.call_id == bindparam("of_call"), CallerRow.agent == bindparam("of_agent"))
    .values(memory=bindparam("new_memory"), expires_at=bindparam("new_expires_at"))
)
_WITHDRAW_CONSENT = delete(ConsentRow).where(
    ConsentRow.caller == bindparam("of_caller"), ConsentRow.agent == bindparam("of_agent")
)
_CONSENT = insert(ConsentRow)
_BLANK = update(CallerRow).where(CallerRow.call_id == bindparam("of_call")).values(memory=None, expires_at=None)
_EXPIRE = (
    update(CallerRow).where(CallerRow.expires_at <= bindparam("before")).values(memory=None, expires_at=None),
    delete(ConsentRow).where(ConsentRow.expires_at <= bindparam("before")),
)
MEMORY_STATEMENTS: dict[str, Executable] = {
    "callers.begin": _BEGIN,
    "callers.begin_anew": _BEGIN_ANEW,
    "callers.remember": _REMEMBER,
    "callers.blank": _BLANK,
    "consents.add": _CONSENT,
    "consents.withdraw": _WITHDRAW_CONSENT,
}


@dataclass(frozen=True, slots=True)
class LastCall:
    """How a caller's last call went."""

    call_id: str
    ended_at: datetime | None
    """None: it has not ended, for all that the database knows."""
    end_reason: str | None
    answered_at: datetime | None
    continues: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of a transcript: what was heard of it."""

    role: Role
    text: str
    interrupted: bool
    ended_ms: int


class MemoryRows:
    """Part of `SessionStore`: writes go through its writer, in order."""

    def __init__(
        self,
        put: Put,
        reading: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        sealer: ColumnSealer,
        key: EncryptionKey | None,
    ) -> None:
        self._put = put
        self._reading = reading
        self._sealer = sealer
        self._is_sealed = key is not None
        self._hashes_of = NumberKeys(key, "parley callers 1")
        self.on_forgotten: Callable[[frozenset[str]], None] = lambda hashes: None
        """Told of whom nothing is kept any more, and nothing may be, of calls that go on."""

    # Writing, for calls

    async def began(self, call_id: str, identity: str, agent: str, at: datetime, continues: str | None) -> None:
        """A call of this caller with this agent has begun. Its session exists."""
        row = {
            "call_id": call_id,
            "caller": self.hash_of(identity),
            "identity": self._sealer.seal(identity, SEALED_CALLER) if self._is_sealed else None,
            "agent": agent,
            "at": at,
            "continues": continues,
            "memory": None,
            "expires_at": None,
        }
        await self._put((_BEGIN_ANEW, {"of_call": call_id, "of_agent": agent}), (_BEGIN, row))

    async def remember(self, call_id: str, agent: str, what: Recollection, expires_at: datetime) -> None:
        """Keep this of a call that has begun."""
        kept = self._sealer.seal(what.to_json(), _SEALED)
        of_call = {"of_call": call_id, "of_agent": agent}
        await self._put((_REMEMBER, {**of_call, "new_memory": kept, "new_expires_at": expires_at}))

    async def consent(self, identity: str, agent: str, given: bool, at: datetime, expires_at: datetime) -> None:
        """What the caller has answered to being remembered."""
        row = {
            "caller": self.hash_of(identity),
            "identity": self._sealer.seal(identity, SEALED_CONSENT) if self._is_sealed else None,
            "agent": agent,
            "given": given,
            "at": at,
            "expires_at": expires_at,
        }
        withdrawn = ((_WITHDRAW_CONSENT, {"of_caller": one, "of_agent": agent}) for one in self._hashes(identity))
        await self._put(*withdrawn, (_CONSENT, row))

    # Reading, for calls

    async def recall(self, identity: str, agent: str, now: datetime, limit: int = 5) -> list[Recollection]:
        """What is remembered, newest call first. Raises `StoreError`."""
        known = (
            select(CallerRow.memory)
            .where(self._of((identity,)), CallerRow.agent == agent, CallerRow.memory.is_not(None))
            .where(CallerRow.expires_at > now)
            .order_by(CallerRow.at.desc())
            .limit(limit)
        )
        async with self._reading() as connection:
            kept = list(await connection.scalars(known))
        return [Recollection.from_json(self._sealer.open(str(one), _SEALED)) for one in kept]

    async def consented(self, identity: str, agent: str, now: datetime) -> bool | None:
        """What the caller has answered; None: they were not asked. Raises `StoreError`."""
        asked = select(ConsentRow.given).where(
            ConsentRow.caller.in_(self._hashes(identity)), ConsentRow.agent == agent, ConsentRow.expires_at > now
        )
        async with self._reading() as connection:
            return await connection.scalar(asked.order_by(ConsentRow.at.desc()).limit(1))

    async def last_call(self, identity: str, agent: str, *, before: str) -> LastCall | None:
        """The caller's newest call but the one of that id. Raises `StoreError`."""
        columns = (SessionRow.ended_at, SessionRow.end_reason, SessionRow.answered_at, CallerRow.continues)
        newest = (
            select(CallerRow.call_id, *columns)
            .join(SessionRow, SessionRow.call_id == CallerRow.call_id)
            .where(self._of((identity,)), CallerRow.agent == agent, CallerRow.call_id != before)
            .order_by(CallerRow.at.desc())
            .limit(1)
        )
        async with self._reading() as connection:
            row = (await connection.execute(newest)).first()
        return None if row is None else LastCall(*row)

    async def continued(self, call_id: str, agent: str) -> str | None:
        """The call that this one went on with. Raises `StoreError`."""
        one = select(CallerRow.continues).where(CallerRow.call_id == call_id, CallerRow.agent == agent)
        async with self._reading() as connection:
            return await connection.scalar(one)

    async def said(self, call_id: str, limit: int) -> list[Said]:
        """What was said last on a call, in order. Raises `StoreError`."""
        columns = (TranscriptRow.role, TranscriptRow.text, TranscriptRow.heard_text, TranscriptRow.interrupted)
        newest = (
            select(*columns, TranscriptRow.ended_ms)
            .where(TranscriptRow.call_id == call_id)
            .order_by(TranscriptRow.id.desc())
            .limit(limit)
        )
        async with self._reading() as connection:
            rows: Collection[Any] = (await connection.execute(newest)).all()
        found = []
        for role, text, heard_text, interrupted, ended_ms in rows:
            column, kept = ("text", text) if heard_text is None else ("heard_text", heard_text)
            found.append(Said(role, self._sealer.open(kept, f"transcript.{column}"), interrupted, ended_ms))
        return found[::-1]

    # For the API, and for callers who want to be forgotten

    async def of_caller(self, identities: Collection[str], number: str, now: datetime) -> list[MemoryRecord]:
        """What is remembered of a caller, newest call first; `number`: of every address that has it as its user part.

        Raises `StoreError`.
        """
        await self._put(wait=True)
        known = (
            select(CallerRow.call_id, CallerRow.agent, CallerRow.at, CallerRow.expires_at, CallerRow.memory)
            .where(self._of(identities, number), CallerRow.memory.is_not(None), CallerRow.expires_at > now)
            .order_by(CallerRow.at.desc())
        )
        async with self._reading() as connection:
            rows: Collection[Any] = (await connection.execute(known)).all()
        records = []
        for call_id, agent, at, expires_at, memory in rows:
            what = Recollection.from_json(self._sealer.open(memory, _SEALED))
            records.append(
                MemoryRecord(
                    call_id=call_id,
                    agent=agent,
                    at=at,
                    expires_at=expires_at,
                    caller_name=what.caller_name,
                    exchanges=tuple(
                        RememberedExchange(asked=one.asked, answered=one.answered) for one in what.exchanges
                    ),
                    left=what.left,
                    summary=what.summary,
                )
            )
        return records

    async def consents(self, identities: Collection[str], number: str, now: datetime) -> list[ConsentRecord]:
        """What a caller has answered to which agent. Raises `StoreError`."""
        hashes = await self._known_hashes(identities, number)
        asked = select(ConsentRow.agent, ConsentRow.given, ConsentRow.at, ConsentRow.expires_at).where(
            ConsentRow.caller.in_(hashes), ConsentRow.expires_at > now
        )
        async with self._reading() as connection:
            rows = (await connection.execute(asked.order_by(ConsentRow.at.desc()))).all()
        return [ConsentRecord.model_validate(dict(row._mapping)) for row in rows]

    async def forget(self, identities: Collection[str], number: str = "", *, wait: bool = False) -> None:
        """Erase what is remembered of a caller, their consents, and whose their calls were. Noted in the audit log.

        `wait`: until it is committed; raises `StoreError` then.
        """
        hashes = await self._known_hashes(identities, number)
        audit = {"at": datetime.now(UTC), "action": "caller_forgotten", "subject": hashes[0] if hashes else ""}
        self.on_forgotten(frozenset(hashes))
        await self._put(
            (delete(CallerRow).where(CallerRow.caller.in_(hashes)), {}),
            (delete(ConsentRow).where(ConsentRow.caller.in_(hashes)), {}),
            (insert(AuditRow), audit),
            wait=wait,
        )

    async def forget_expired(self, now: datetime) -> None:
        """Erase what has been remembered long enough."""
        await self._put(*((statement, {"before": now}) for statement in _EXPIRE))

    async def erasing(self, call_id: str) -> tuple[Step, ...]:
        """What erasing a session must change besides: memories of calls that went on with it. Raises `StoreError`."""
        steps: list[Step] = []
        since = [call_id]
        async with self._reading() as connection:
            while since:
                found = await connection.scalars(select(CallerRow.call_id).where(CallerRow.continues.in_(since)))
                since = list(found)
                steps += [(_BLANK, {"of_call": one}) for one in since]
        return tuple(steps)

    def _of(self, identities: Collection[str], number: str = "") -> ColumnElement[bool]:
        """Their calls; with a bare number also those whose session says it, whatever host the address had."""
        by_hash = CallerRow.caller.in_(self._hashes(*identities))
        if not number:
            return by_hash
        theirs = or_(
            and_(SessionRow.direction == "inbound", SessionRow.from_ == number),
            and_(SessionRow.direction == "outbound", SessionRow.to == number),
        )
        return or_(by_hash, CallerRow.call_id.in_(select(SessionRow.call_id).where(theirs)))

    async def _known_hashes(self, identities: Collection[str], number: str) -> list[str]:
        """What a caller is kept as, once all that is queued is written."""
        hashes = set(self._hashes(*identities))
        if number:
            await self._put(wait=True)
            async with self._reading() as connection:
                hashes.update(await connection.scalars(select(CallerRow.caller).where(self._of(identities, number))))
        return sorted(hashes)

    def hash_of(self, identity: str) -> str:
        """What a caller is kept as."""
        return self._hashes_of.of(identity)

    def _hashes(self, *identities: str) -> list[str]:
        """Of each, with the key first; with those before it, and without any."""
        return [one for identity in sorted(identities) for one in self._hashes_of.all_of(identity)]
