# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions of this gateway: written behind the calls' backs, read by the API.

    begin, answered, add_*, finish > writer (queue, batches) > SQLite or PostgreSQL
    get, recent > wait until what was queued is written > read

Calls do not wait for the database, and outlive its outages (`gateway.store.writer`).

SQLite runs with `synchronous=NORMAL`: a committed record is in the kernel's hands, so it outlives the process (kill
-9); a power failure may take the last ones, and never damages the file (https://sqlite.org/wal.html). PostgreSQL runs
with `synchronous_commit=local`: on the server's disk, whether or not its replicas have it.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Executable,
    Update,
    and_,
    bindparam,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from gateway.errors import SessionHeld, StartupError, StoreError
from gateway.store.agent_versions import AgentVersionRows
from gateway.store.attempts import AttemptRows
from gateway.store.audit import AuditRows
from gateway.store.campaigns import CampaignRows
from gateway.store.database import Database
from gateway.store.do_not_call import DoNotCallRows
from gateway.store.events import EVENT_STATEMENTS, EventRows
from gateway.store.folder import DataFolder
from gateway.store.health import Health
from gateway.store.memories import MEMORY_STATEMENTS, MemoryRows
from gateway.store.number_keys import NumberKeys
from gateway.store.records import (
    ApiKeyRecord,
    KeptAnswer,
    Quality,
    RecordingFacts,
    SessionRecord,
    SessionSummary,
    TranscriptEntry,
    TurnRecord,
)
from gateway.store.retention import RetentionRows
from gateway.store.sealing import ColumnSealer
from gateway.store.signalling import SIGNALLING_STATEMENTS, SignallingRows
from gateway.store.tables import AnswerRow, ApiKeyRow, AuditRow, SessionRow, TranscriptRow, TurnRow
from gateway.store.writer import Writer
from gateway.store.writes import Names, Step
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey

_MAX_ANSWERS = 100_000
"""Kept for idempotency keys: those of a day, at more than one call a second. Beyond it the oldest are forgotten."""


# Built once: building a statement costs more than executing it. Parameters of an update are named `new_...`.
_BEGIN = insert(SessionRow)
_ADD_TRANSCRIPT = insert(TranscriptRow)
_ADD_AUDIT = insert(AuditRow)
_ADD_KEY = insert(ApiKeyRow)
_REVOKE_KEY = delete(ApiKeyRow).where(ApiKeyRow.key_id == bindparam("of_key"))
_ERASE = delete(SessionRow).where(SessionRow.call_id == bindparam("of_call"))
_ERASE_ANSWERS = delete(AnswerRow).where(AnswerRow.call_id == bindparam("of_call"))
_FORGET_ANSWERS = delete(AnswerRow).where(AnswerRow.at < bindparam("before"))
_KEEP_ANSWER = insert(AnswerRow)


def _update(*columns: str) -> Update:
    of_call = SessionRow.call_id == bindparam("of_call")
    return update(SessionRow).where(of_call).values({name: bindparam(f"new_{name}") for name in columns})


def crowd_out_answers(most: int) -> Delete:
    """Forget all but so many, the newest."""
    oldest = select(AnswerRow.at).order_by(AnswerRow.at.desc()).offset(most - 1).limit(1)
    return delete(AnswerRow).where(AnswerRow.at < oldest.scalar_subquery())


_CROWD_OUT_ANSWERS = crowd_out_answers(_MAX_ANSWERS)
_ANSWER = _update("answered_at", "codec", "trunk")
_ASSIGN = _update("agent")
_RECORD = _update("recording")
_RECORDED = _update("recording_facts")
_FINISH = _update("ended_at", "end_reason", "quality", "far_end", "far_end_confidence", "message_left")
_ADOPT = _update("node", "ended_at", "end_reason")
_STATEMENTS: dict[str, Executable] = {
    "sessions.begin": _BEGIN,
    "sessions.answered": _ANSWER,
    "sessions.assigned": _ASSIGN,
    "sessions.adopted": _ADOPT,
    "sessions.recording": _RECORD,
    "sessions.recorded": _RECORDED,
    "sessions.finish": _FINISH,
    "transcript.add": _ADD_TRANSCRIPT,
    "audit.add": _ADD_AUDIT,
    **EVENT_STATEMENTS,
    **MEMORY_STATEMENTS,
    **SIGNALLING_STATEMENTS,
}
"""What can be kept in a file while the database is away; the rest waits in memory."""


class SessionStore:
    """Made by `open_store`. The writing methods return when the record is queued, in the order of the calls."""

    def __init__(
        self,
        database: Database,
        health: Health,
        folder: DataFolder,
        metrics: Metrics,
        key: EncryptionKey | None = None,
        *,
        node: str = "",
        is_alone: bool = True,
    ) -> None:
        """`node`: the name of this gateway. `is_alone`: no other one uses the database."""
        self.database = database
        self._folder = folder
        self.key = key
        """Recordings and what was said are encrypted with it; None: they lie in clear."""
        self.sealer = ColumnSealer(key)
        self.health = health
        """Whether the database answers."""
        self._set_turn = _upsert_turn(database.dialect)
        names = {**_STATEMENTS, "turns.set": self._set_turn}
        self.writer = Writer(database, health, folder.path, Names(names), metrics)
        self._put, self._reading, writing = self.writer.put, database.reading, database.lasting
        self.events = EventRows(self._put, self._reading, self.sealer, database.writing)
        """What was told of the calls."""
        self.memories = MemoryRows(self._put, self._reading, self.sealer, key)
        """What is remembered of callers."""
        self.signalling = SignallingRows(self._put, self._reading, self.sealer)
        """The SIP messages of calls that are over."""
        self.campaigns = CampaignRows(writing, self._reading, self.sealer, NumberKeys(key), database.dialect)
        self.attempts = AttemptRows(writing, self._reading, self.sealer, self.campaigns)
        self.agent_versions = AgentVersionRows(writing, self._reading, self.sealer)
        self.do_not_call = DoNotCallRows(writing, self._reading, self.sealer, NumberKeys(key), database.dialect)
        self.retention = RetentionRows(self._put, self._reading, self.sealer)
        """What of old sessions is to go, and what must stay."""
        self.audit_log = AuditRows(database, key)
        """What was done to personal data and keys, and the chain that proves it."""
        self.opened_at = datetime.now(UTC)
        self.was_alone = is_alone
        """No other gateway used the database when we began: what one has left unfinished is ours to finish."""
        self.had_folder_alone = folder.is_alone
        """Likewise the data folder."""
        self.folder_name = folder.name
        """Of all gateways that use the folder."""
        self.node = node
        self.left_open: tuple[str, ...] = ()
        """Calls of a run that has died, which were given an end when this one began."""
        self.on_erased: Callable[[str], None] = lambda call_id: None
        """Told the call whose session has been erased."""

    # Writing, for calls

    async def begin(self, session: SessionSummary) -> None:
        """A call exists."""
        values = session.model_dump(exclude={"from_", "metadata"})
        metadata: object = session.metadata
        if self.key is not None:
            metadata = self.sealer.seal(json.dumps(session.metadata), "sessions.metadata")
        await self._put((_BEGIN, {**values, "from": session.from_, "metadata": metadata, "node": self.node}))

    async def answered(self, call_id: str, answered_at: datetime, codec: str, trunk: str | None = None) -> None:
        """`trunk`: which carries it, after the others that were tried."""
        values = {"of_call": call_id, "new_answered_at": answered_at, "new_codec": codec, "new_trunk": trunk}
        await self._put((_ANSWER, values))

    async def assigned(self, call_id: str, agent: str | None) -> None:
        """Another agent has the call, or none."""
        await self._put((_ASSIGN, {"of_call": call_id, "new_agent": agent}))

    async def adopted(self, call_id: str) -> None:
        """This gateway has the call now, which was another one's."""
        values = {"of_call": call_id, "new_node": self.node, "new_ended_at": None, "new_end_reason": None}
        await self._put((_ADOPT, values))

    async def add_transcript(self, call_id: str, entry: TranscriptEntry) -> None:
        values = entry.model_dump()
        for column in ("text", "heard_text"):
            if values[column] is not None:
                values[column] = self.sealer.seal(values[column], f"transcript.{column}")
        await self._put((_ADD_TRANSCRIPT, {"call_id": call_id, **values}))

    async def add_turn(self, call_id: str, turn: TurnRecord) -> None:
        """A turn is over. The same index again replaces the record."""
        await self._put((self._set_turn, {"call_id": call_id, **turn.model_dump()}))

    async def recording_began(self, call_id: str, path: Path) -> None:
        """The call is being recorded to this file, under `recordings_dir`. Said first, so that erasing finds the file
        whatever happens to us."""
        await self._put((_RECORD, {"of_call": call_id, "new_recording": str(path.relative_to(self._folder.path))}))

    async def recording_ended(self, call_id: str, facts: RecordingFacts) -> None:
        """The file is whole."""
        await self._put((_RECORDED, {"of_call": call_id, "new_recording_facts": facts.model_dump(mode="json")}))

    async def finish(
        self,
        call_id: str,
        ended_at: datetime,
        end_reason: str,
        *,
        quality: Quality | None = None,
        far_end: str | None = None,
        far_end_confidence: float | None = None,
        message_left: bool = False,
    ) -> None:
        """The call is over."""
        values = {
            "of_call": call_id,
            "new_ended_at": ended_at,
            "new_end_reason": end_reason,
            "new_quality": None if quality is None else quality.model_dump(),
            "new_far_end": far_end,
            "new_far_end_confidence": far_end_confidence,
            "new_message_left": message_left,
        }
        await self._put((_FINISH, values))

    async def flush(self) -> None:
        """Return when everything queued so far is committed, or given up; at once while the database is away. Raises
        `StoreError`: it takes too long."""
        await self.writer.flush()

    @property
    def recordings_dir(self) -> Path:
        return self._folder.recordings

    # Reading, for the API

    async def get(self, call_id: str) -> SessionRecord | None:
        """The session with all that is queued for it. Raises `StoreError`."""
        await self.flush()
        async with self._reading() as connection:
            row = (await connection.execute(select(SessionRow.__table__).where(SessionRow.call_id == call_id))).first()
            if row is None:
                return None
            entries = await connection.execute(
                select(TranscriptRow.__table__).where(TranscriptRow.call_id == call_id).order_by(TranscriptRow.id)
            )
            turns = await connection.execute(
                select(TurnRow.__table__).where(TurnRow.call_id == call_id).order_by(TurnRow.index)
            )
            return SessionRecord(
                **self._summary_fields(row._mapping),
                transcript=tuple(self._transcript_entry(entry._mapping) for entry in entries),
                turns=tuple(TurnRecord.model_validate(dict(turn._mapping)) for turn in turns),
            )

    async def summary(self, call_id: str) -> SessionSummary | None:
        """The session without what was said. Raises `StoreError`."""
        await self.flush()
        async with self._reading() as connection:
            row = (await connection.execute(select(SessionRow.__table__).where(SessionRow.call_id == call_id))).first()
        return None if row is None else SessionSummary(**self._summary_fields(row._mapping))

    async def recent(
        self,
        limit: int,
        *,
        before: str | None = None,
        agents: Collection[str] | None = None,
        trunks: Collection[str] | None = None,
    ) -> list[SessionSummary]:
        """The newest sessions first; `before`, a call id, continues after that session. `agents`, `trunks`: of these
        only. Raises `StoreError`."""
        await self.flush()
        newest = select(SessionRow.__table__).order_by(SessionRow.started_at.desc(), SessionRow.call_id.desc())
        if before is not None:
            anchor = select(SessionRow.started_at, SessionRow.call_id).where(SessionRow.call_id == before)
            newest = newest.where(tuple_(SessionRow.started_at, SessionRow.call_id) < anchor.scalar_subquery())
        if agents is not None:
            newest = newest.where(SessionRow.agent.in_(sorted(agents)))
        if trunks is not None:
            newest = newest.where(SessionRow.trunk.in_(sorted(trunks)))
        async with self._reading() as connection:
            rows = await connection.execute(newest.limit(limit))
            return [SessionSummary(**self._summary_fields(row._mapping)) for row in rows]

    async def trunk_minutes(self, since: datetime) -> dict[str, float]:
        """Minutes that each trunk's outgoing calls have lasted since then, of those that are over. What had begun a day
        earlier is left out. Raises `StoreError`."""
        await self.flush()
        query = select(SessionRow.trunk, SessionRow.answered_at, SessionRow.ended_at).where(
            SessionRow.started_at > since - timedelta(days=1),
            SessionRow.direction == "outbound",
            SessionRow.trunk.is_not(None),
            SessionRow.answered_at.is_not(None),
            SessionRow.ended_at > since,
        )
        minutes: dict[str, float] = {}
        async with self._reading() as connection:
            rows: Iterable[Any] = await connection.execute(query)
            for trunk, answered_at, ended_at in rows:
                lasted_s = max(0.0, (ended_at - max(answered_at, since)).total_seconds())
                minutes[trunk] = minutes.get(trunk, 0.0) + lasted_s / 60
        return minutes

    async def recording_file(self, call_id: str) -> Path | None:
        """Where the recording of a call is or was; None when it was not recorded. Raises `StoreError`."""
        await self.flush()
        return await self._recording_path(call_id)

    async def erase(self, call_id: str) -> bool:
        """Remove the recording and every row of the session, and note it in the audit log. False: there is none.

        Raises `SessionHeld`, and `StoreError` when it cannot be done; asking again is safe then.
        """
        if await self.get(call_id) is None:
            return False
        if holds := await self.retention.holds((call_id,)):
            raise SessionHeld(f"session {call_id} is held since {holds[0].at:%Y-%m-%d}: {holds[0].reason}")
        path = await self._recording_path(call_id)
        if path is not None:
            # First the file: after a crash in between, the row still leads to it.
            try:
                await asyncio.to_thread(path.unlink, missing_ok=True)
            except OSError as error:
                raise StoreError(f"the recording cannot be deleted: {error.strerror}") from error
        await self._put(
            *await self.memories.erasing(call_id),
            (_ERASE, {"of_call": call_id}),
            (_ERASE_ANSWERS, {"of_call": call_id}),
            (_ADD_AUDIT, {"at": datetime.now(UTC), "action": "session_erased", "subject": call_id}),
            wait=True,
        )
        if path is not None:  # once more: a change of the key may have put it back in between (recording_keys.py)
            await asyncio.to_thread(path.unlink, missing_ok=True)
        self.on_erased(call_id)
        await self.forget_freed_pages()
        return True

    # API keys: rare, and waited for

    async def api_keys(self) -> list[tuple[str, ApiKeyRecord]]:
        """Hash and record of each key, oldest first. Raises `StoreError`."""
        await self.flush()
        async with self._reading() as connection:
            rows = await connection.execute(select(ApiKeyRow.__table__).order_by(ApiKeyRow.created_at))
            return [(row.hash, ApiKeyRecord.model_validate(dict(row._mapping))) for row in rows]

    async def add_api_key(self, hashed: str, record: ApiKeyRecord) -> None:
        """Keep a key, and note it in the audit log. Raises `StoreError`."""
        values = {**record.model_dump(mode="json", include={"only"}), **record.model_dump(exclude={"only"})}
        values |= {"scopes": list(record.scopes), "hash": hashed}
        await self._put((_ADD_KEY, values), self._audit("api_key_created", record.key_id), wait=True)

    async def revoke_api_key(self, key_id: str) -> bool:
        """Forget a key, and note it in the audit log. False: there is none. Raises `StoreError`."""
        if key_id not in {record.key_id for _, record in await self.api_keys()}:
            return False
        await self._put((_REVOKE_KEY, {"of_key": key_id}), self._audit("api_key_revoked", key_id), wait=True)
        return True

    async def audit(self, action: str, subject: str) -> None:
        """Note in the audit log what was done elsewhere."""
        await self._put(self._audit(action, subject))

    def _audit(self, action: str, subject: str) -> Step:
        return (_ADD_AUDIT, {"at": datetime.now(UTC), "action": action, "subject": subject})

    # Requests that may be repeated

    async def keep_answer(self, answer: KeptAnswer, *, forget_before: datetime) -> None:
        """Returns when it is on the disk; those from before that time are forgotten. Raises `StoreError`."""
        values = asdict(answer)
        values["answer"] = self.sealer.seal(answer.answer, "answers.answer")
        await self._put(
            (_FORGET_ANSWERS, {"before": forget_before}),
            (_KEEP_ANSWER, values),
            (_CROWD_OUT_ANSWERS, {}),
            wait=True,
        )

    async def kept_answer(self, key: str, *, since: datetime) -> KeptAnswer | None:
        """The answer to this key since that time; None: there was none. Raises `StoreError`."""
        asked = select(AnswerRow.__table__).where(AnswerRow.key == key, AnswerRow.at >= since)
        async with self._reading() as connection:
            row = (await connection.execute(asked)).first()
        if row is None:
            return None
        fields = dict(row._mapping)
        return KeptAnswer(**{**fields, "answer": self.sealer.open(fields["answer"], "answers.answer")})

    # Plumbing

    async def _recording_path(self, call_id: str) -> Path | None:
        async with self._reading() as connection:
            name = await connection.scalar(select(SessionRow.recording).where(SessionRow.call_id == call_id))
        return None if name is None else self._folder.inside(name)

    def _summary_fields(self, row: Any) -> dict[str, Any]:
        fields = dict(row)
        fields["from_"] = fields.pop("from")
        if isinstance(fields["metadata"], str):  # sealed; in clear it is an object
            fields["metadata"] = json.loads(self.sealer.open(fields["metadata"], "sessions.metadata"))
        return fields

    def _transcript_entry(self, row: Any) -> TranscriptEntry:
        fields = {**row, "sources": row["sources"] or ()}
        for column in ("text", "heard_text"):
            if fields[column] is not None:
                fields[column] = self.sealer.open(fields[column], f"transcript.{column}")
        return TranscriptEntry.model_validate(fields)

    async def check_key(self) -> None:
        """Raises `StartupError` when the sessions here were sealed with another key."""
        newest = select(SessionRow.call_metadata).order_by(SessionRow.started_at.desc()).limit(1)
        async with self._reading() as connection:
            kept: object = await connection.scalar(newest)
        problem = self.sealer.problem_with(kept) if isinstance(kept, str) else None
        if problem is not None:
            raise StartupError(
                f"{problem}. Set the key it was made with (PARLEY_STORE__ENCRYPTION_KEY), "
                "or name another store.data_dir"
            )

    async def forget_freed_pages(self) -> None:
        """Erased text must not linger in the write-ahead log. (`secure_delete` overwrites it in the main file.)
        PostgreSQL keeps it until VACUUM, and its log for as long as it is set up to (docs/postgresql.md)."""
        if self.database.is_sqlite:
            async with self._reading() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def end_what_a_crash_left_open(self) -> None:
        """Close sessions of gateways that are gone: all, when this one is alone, else those of its own runs before."""
        open_ones: ColumnElement[bool] = SessionRow.ended_at.is_(None)
        if not self.was_alone:
            open_ones = and_(open_ones, SessionRow.node == self.node)
        await self._end_sessions(open_ones, "gateway_restarted")

    async def end_sessions_of(self, node: str, end_reason: str) -> tuple[str, ...]:
        """Another gateway is dead, and these of its calls were adopted by nobody. Raises `StoreError`."""
        return await self._end_sessions(and_(SessionRow.ended_at.is_(None), SessionRow.node == node), end_reason)

    async def _end_sessions(self, which: ColumnElement[bool], end_reason: str) -> tuple[str, ...]:
        async with self.database.lasting() as connection:
            found = tuple(await connection.scalars(select(SessionRow.call_id).where(which).with_for_update()))
            await connection.execute(
                update(SessionRow).where(which).values(ended_at=datetime.now(UTC), end_reason=end_reason)
            )
        self.left_open += found
        return found


def _upsert_turn(dialect: str) -> Executable:
    """`INSERT ... ON CONFLICT` is no part of SQLAlchemy's common language, though both databases have it alike."""
    new = sqlite.insert(TurnRow) if dialect == "sqlite" else postgresql.insert(TurnRow)
    rest = ("segments_ms", "response_ms", "speculative", "interrupted")
    return new.on_conflict_do_update(
        index_elements=["call_id", "index"], set_={name: new.excluded[name] for name in rest}
    )
