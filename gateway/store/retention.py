# SPDX-License-Identifier: GPL-3.0-or-later
"""What of old sessions is to go, and which of them must stay."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import bindparam, delete, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import SessionHeld, StoreError
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import (
    AuditRow,
    CallerRow,
    EventRow,
    HoldRow,
    SessionRow,
    SignallingRow,
    TranscriptRow,
    TurnRow,
)
from gateway.store.writes import Step

_NOT_HELD = ~select(HoldRow.call_id).where(HoldRow.call_id == bindparam("of_call")).exists()
_RECORDING_GONE = (
    update(SessionRow)
    .where(SessionRow.call_id == bindparam("of_call"), _NOT_HELD)
    .values(recording=None, recording_erased_at=bindparam("new_at"))
)
_TRANSCRIPT_GONE = (
    update(SessionRow)
    .where(SessionRow.call_id == bindparam("of_call"), _NOT_HELD)
    .values(transcript_erased_at=bindparam("new_at"))
)
_SAID = tuple(
    delete(table).where(table.call_id == bindparam("of_call"), _NOT_HELD)
    for table in (TranscriptRow, TurnRow, EventRow, SignallingRow)
)
_FORGET = (
    update(CallerRow).where(CallerRow.call_id == bindparam("of_call"), _NOT_HELD).values(memory=None, expires_at=None)
)
_ADD_AUDIT = insert(AuditRow)


class Reading(Protocol):
    def __call__(self) -> AbstractAsyncContextManager[AsyncConnection]: ...


class Put(Protocol):
    async def __call__(self, *steps: Step, wait: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class OldSession:
    """As far as it matters to how long it is kept."""

    call_id: str
    agent: str | None
    tags: frozenset[str]
    ended_at: datetime
    recording: str | None
    has_transcript: bool
    """It has not been erased yet."""
    node: str | None = None
    """Whose call it was, and in whose folder its recording lies."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A session that must not be erased (legal hold)."""

    call_id: str
    reason: str
    at: datetime
    by: str
    """Id of the key with which it was asked for."""


class RetentionRows:
    """Part of `SessionStore`."""

    def __init__(self, put: Put, reading: Reading, sealer: ColumnSealer) -> None:
        self._put = put
        self._reading = reading
        self._sealer = sealer

    async def ended(self, before: datetime, after: tuple[datetime, str] | None, limit: int) -> list[OldSession]:
        """Sessions that had ended by then, the oldest first, and are not held; `after`: where the last page ended.
        Raises `StoreError`."""
        query = (
            select(
                SessionRow.call_id,
                SessionRow.agent,
                SessionRow.call_metadata,
                SessionRow.ended_at,
                SessionRow.recording,
                SessionRow.transcript_erased_at,
                SessionRow.node,
            )
            .where(SessionRow.ended_at.is_not(None), SessionRow.ended_at <= before)
            .where(SessionRow.call_id.not_in(select(HoldRow.call_id)))
            .order_by(SessionRow.ended_at, SessionRow.call_id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(tuple_(SessionRow.ended_at, SessionRow.call_id) > after)
        async with self._reading() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return [OldSession(row[0], row[1], self._tags(row[2]), row[3], row[4], row[5] is None, row[6]) for row in rows]

    def _tags(self, metadata: object) -> frozenset[str]:
        if isinstance(metadata, str):
            metadata = json.loads(self._sealer.open(metadata, "sessions.metadata"))
        tags = metadata.get("tag", "") if isinstance(metadata, dict) else ""
        return frozenset(tag.strip() for tag in str(tags).split(",") if tag.strip())

    async def recording_gone(self, call_id: str, file: Path, now: datetime) -> None:
        """Erase the file, and say so in the session. Raises `SessionHeld`, `StoreError`."""
        await self.refuse_held(call_id)
        try:
            await asyncio.to_thread(file.unlink, missing_ok=True)
        except OSError as error:
            raise StoreError(f"the recording cannot be deleted: {error.strerror}") from error
        await self._put(
            (_RECORDING_GONE, {"of_call": call_id, "new_at": now}), _audit("recording_expired", call_id), wait=True
        )
        # Once more: a change of the key may have put it back in between (gateway.store.recording_keys).
        await asyncio.to_thread(file.unlink, missing_ok=True)

    async def transcript_gone(self, call_id: str, now: datetime) -> None:
        """Erase all that was said. Raises `SessionHeld`, `StoreError`."""
        await self.refuse_held(call_id)
        of_call = {"of_call": call_id}
        await self._put(
            *((statement, of_call) for statement in _SAID),
            (_FORGET, of_call),
            (_TRANSCRIPT_GONE, {**of_call, "new_at": now}),
            _audit("transcript_expired", call_id),
            wait=True,
        )

    # Legal hold

    async def hold(self, call_ids: Sequence[str], reason: str, by: str) -> None:
        """Keep these sessions, whatever the rules say; a hold that stands stays as it is. Raises `StoreError`."""
        standing = {hold.call_id for hold in await self.holds(call_ids)}
        now = datetime.now(UTC)
        for call_id in call_ids:
            if call_id not in standing:
                row = {"call_id": call_id, "reason": self._sealer.seal(reason, "holds.reason"), "at": now, "by": by}
                await self._put((insert(HoldRow), row), _audit("session_held", call_id), wait=True)

    async def release(self, call_id: str) -> bool:
        """End a hold; False: there is none. Raises `StoreError`."""
        if not await self.holds((call_id,)):
            return False
        of_call = delete(HoldRow).where(HoldRow.call_id == call_id)
        await self._put((of_call, {}), _audit("session_released", call_id), wait=True)
        return True

    async def refuse_held(self, call_id: str) -> None:
        """Raises `SessionHeld`."""
        if holds := await self.holds((call_id,)):
            raise SessionHeld(f"session {call_id} is held since {holds[0].at:%Y-%m-%d}: {holds[0].reason}")

    async def holds(self, call_ids: Sequence[str]) -> list[Hold]:
        """Those of these sessions. Raises `StoreError`."""
        query = select(HoldRow.call_id, HoldRow.reason, HoldRow.at, HoldRow.by).where(HoldRow.call_id.in_(call_ids))
        async with self._reading() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return [Hold(row[0], self._sealer.open(row[1], "holds.reason"), row[2], row[3]) for row in rows]

    async def of_number(self, number: str) -> list[str]:
        """Sessions whose caller or callee this is. Raises `StoreError`."""
        theirs = or_(SessionRow.from_ == number, SessionRow.to == number)
        async with self._reading() as connection:
            return list(await connection.scalars(select(SessionRow.call_id).where(theirs)))


def _audit(action: str, subject: str) -> Step:
    return (_ADD_AUDIT, {"at": datetime.now(UTC), "action": action, "subject": subject})
