# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries what happens on calls into the store: in order, without making the event loop's callbacks wait."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from agent.recollection import Recollection
from gateway.calls.facts import CallFacts, utc
from gateway.events import Event
from gateway.sip.signalling import SipMessage
from gateway.store.records import Quality, RecordingFacts, SessionSummary, TranscriptEntry, TurnRecord
from gateway.store.repository import SessionStore
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey

log = structlog.get_logger(__name__)

_QUEUE_RECORDS = 20_000
_Write = Callable[[], Awaitable[None]]


class Journal:
    """One for all calls. The queue is bounded (20,000 records); beyond that, while the database hangs, new records are
    given up and counted like those that it refuses."""

    def __init__(self, store: SessionStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._queue: asyncio.Queue[_Write | None] = asyncio.Queue(_QUEUE_RECORDS)

    @property
    def recordings_dir(self) -> Path:
        return self._store.recordings_dir

    @property
    def encryption_key(self) -> EncryptionKey | None:
        return self._store.key

    def began(self, facts: CallFacts) -> None:
        session = SessionSummary(
            call_id=facts.call_id,
            direction=facts.direction,
            from_=facts.from_,
            to=facts.to,
            started_at=utc(facts.started_at),
            agent=facts.agent,
            trunk=facts.trunk or None,
            metadata=dict(facts.metadata),
        )
        self._put(lambda: self._store.begin(session))

    def answered(self, facts: CallFacts) -> None:
        at, codec = utc(facts.answered_at or facts.started_at), facts.codec or ""
        trunk = facts.trunk or None
        self._put(lambda: self._store.answered(facts.call_id, at, codec, trunk))

    def adopted(self, call_id: str) -> None:
        """This gateway has it now: another run of the one that had it does not end it."""
        self._put(lambda: self._store.adopted(call_id))

    def assigned(self, call_id: str, agent: str) -> None:
        self._put(lambda: self._store.assigned(call_id, agent))

    def said(self, call_id: str, entry: TranscriptEntry) -> None:
        self._put(lambda: self._store.add_transcript(call_id, entry))

    def turn(self, call_id: str, turn: TurnRecord) -> None:
        self._put(lambda: self._store.add_turn(call_id, turn))

    def recording_began(self, call_id: str, path: Path) -> None:
        self._put(lambda: self._store.recording_began(call_id, path))

    def recording_ended(self, call_id: str, facts: RecordingFacts) -> None:
        self._put(lambda: self._store.recording_ended(call_id, facts))

    def ended(self, facts: CallFacts, quality: Quality | None) -> None:
        at, reason = utc(facts.ended_at or facts.started_at), facts.end_reason or "lost"
        self._put(
            lambda: self._store.finish(
                facts.call_id,
                at,
                reason,
                quality=quality,
                far_end=facts.far_end,
                far_end_confidence=facts.far_end_confidence,
                message_left=facts.message_left,
            )
        )

    def signalled(self, call_id: str, messages: Sequence[SipMessage]) -> None:
        """All SIP messages of a call that is over."""
        self._put(lambda: self._store.signalling.add(call_id, messages))

    def caller_began(self, call_id: str, identity: str, agent: str, continues: str | None) -> None:
        """Whose call this is, and which one it goes on with."""
        at = datetime.now(UTC)
        self._put(lambda: self._store.memories.began(call_id, identity, agent, at, continues))

    def remembered(self, call_id: str, agent: str, what: Recollection, expires_at: datetime) -> None:
        """What an agent is to keep of a call."""
        self._put(lambda: self._store.memories.remember(call_id, agent, what, expires_at))

    def consented(self, identity: str, agent: str, given: bool, expires_at: datetime) -> None:
        """What a caller has answered to being remembered."""
        at = datetime.now(UTC)
        self._put(lambda: self._store.memories.consent(identity, agent, given, at, expires_at))

    def forgot(self, identity: str) -> None:
        """A caller wants to be forgotten."""
        self._put(lambda: self._store.memories.forget((identity,)))

    def audited(self, action: str, subject: str) -> None:
        """A security decision."""
        self._put(lambda: self._store.audit(action, subject))

    def event(self, event: Event, webhooks: Sequence[str], settled: Callable[[], None]) -> None:
        """`settled` is called when it is in the database, or never will be."""

        async def write() -> None:
            try:
                await self._store.events.add(event, webhooks, settled)
            except BaseException:
                settled()
                raise

        if not self._put(write):
            settled()

    def delivered(self, webhook: str, cursor: int) -> None:
        """A webhook has got an event, or is never going to."""
        self._put(lambda: self._store.events.delivered(webhook, cursor))

    async def write_until_closed(self) -> None:
        """The writing task."""
        while (write := await self._queue.get()) is not None:
            try:
                await write()
            except Exception:
                # A fault in one record must not end the records of all calls.
                log.exception("record_lost")
                self._metrics.store_failed_writes.inc()

    async def close(self) -> None:
        """Nothing more comes; the task ends when everything is with the store."""
        await self._queue.put(None)

    def _put(self, write: _Write) -> bool:
        try:
            self._queue.put_nowait(write)
        except asyncio.QueueFull:
            self._metrics.store_failed_writes.inc()
            return False
        return True
