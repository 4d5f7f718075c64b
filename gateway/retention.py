# SPDX-License-Identifier: GPL-3.0-or-later
"""Erases what has been kept long enough: recordings, what was said, whole sessions.

[retention] > Policy: how long each part of this call is kept > every minute the oldest sessions, page by page
a call ends > if its audio is kept for no time, its recording goes at once
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from gateway.errors import SessionHeld, StoreError
from gateway.events import Event
from gateway.retention_config import Keeping, RetentionConfig
from gateway.store import SessionStore
from gateway.store.retention import OldSession
from gateway.telemetry import Metrics

_PERIOD_S = 60.0
_PAGE = 200
_PAUSE_S = 0.05
"""Between two pages: nobody on a call is to notice."""
_GRACE = timedelta(minutes=5)
"""After the end of a call its SIP messages and what is remembered of it are still being written."""
_SOON_S = 1.0
"""After the end of a call, for its recording to be whole."""
Part = Literal["audio", "transcripts", "sessions"]
PARTS: tuple[Part, ...] = ("audio", "transcripts", "sessions")

log = structlog.get_logger(__name__)


class Policy:
    """How long what is kept of whose calls."""

    def __init__(self, config: RetentionConfig) -> None:
        self._config = config

    def days(self, part: Part, agent: str | None, tags: frozenset[str]) -> float | None:
        """None: until it is deleted."""
        for rules in self._for(agent, tags):
            days: float | None = getattr(rules, f"{part}_days")
            if days is not None:
                return days
        return None

    def due(self, session: OldSession, now: datetime) -> Part | None:
        """The largest part of it that has been kept long enough; None: nothing that is still there."""
        is_whole = session.ended_at + _GRACE <= now
        there: dict[Part, bool] = {
            "audio": session.recording is not None,
            "transcripts": is_whole and session.has_transcript,
            "sessions": is_whole,
        }
        for part in reversed(PARTS):
            days = self.days(part, session.agent, session.tags)
            if days is not None and there[part] and session.ended_at + timedelta(days=days) <= now:
                return part
        return None

    @property
    def shortest_days(self) -> float | None:
        """Nothing is due earlier after the end of a call; None: nothing ever is."""
        everything: tuple[Keeping, ...] = (self._config, *self._config.rule)
        days = [getattr(rules, f"{part}_days") for rules in everything for part in PARTS]
        return min((one for one in days if one is not None), default=None)

    def _for(self, agent: str | None, tags: frozenset[str]) -> Iterator[Keeping]:
        for rule in self._config.rule:
            if rule.agent in (None, agent) and (rule.tag is None or rule.tag in tags):
                yield rule
        yield self._config


@dataclass(frozen=True, slots=True)
class Due:
    """Something that is to go, or has gone."""

    call_id: str
    part: Part
    ended_at: datetime


class Retention:
    """Of one gateway; several on one database do the same work twice at worst."""

    def __init__(self, config: RetentionConfig, store: SessionStore, metrics: Metrics) -> None:
        self._policy = Policy(config)
        self._store = store
        self._metrics = metrics
        self._woken = asyncio.Event()
        for part in PARTS:
            metrics.retention_erased.labels(part)

    def receive(self, event: Event) -> None:
        """An event of a call."""
        if event.kind == "call.ended" and self._policy.shortest_days == 0:
            self._woken.set()

    async def run(self) -> None:
        """Erase what is due, until cancelled."""
        while True:
            try:
                await asyncio.wait_for(self._woken.wait(), _PERIOD_S)
                await asyncio.sleep(_SOON_S)
            except TimeoutError:
                pass
            self._woken.clear()
            try:
                await self.sweep(lambda: datetime.now(UTC))
            except StoreError as fault:
                log.warning("retention_waits", cause=str(fault))
            except Exception:  # whatever it was, calls go on
                log.exception("retention_fault")

    async def due(self) -> list[str]:
        """The part of each session that is to go now. Raises `StoreError`."""
        return [one.part for one in await self.sweep(lambda: datetime.now(UTC), only_look=True)]

    async def sweep(self, now: Callable[[], datetime], *, only_look: bool = False) -> list[Due]:
        """Erase what is due, and say what it was. Raises `StoreError`; what was done until then stays done."""
        found: list[Due] = []
        shortest = self._policy.shortest_days
        if shortest is None:
            return found
        after: tuple[datetime, str] | None = None
        while page := await self._store.retention.ended(now() - timedelta(days=shortest), after, _PAGE):
            for session in page:
                part = self._policy.due(session, now())
                while part is not None:
                    found.append(Due(session.call_id, part, session.ended_at))
                    if only_look:
                        break
                    try:
                        session = await self._erase(session, part)
                    except SessionHeld:
                        break
                    except StoreError as fault:
                        log.warning("retention_skips", call_id=session.call_id, cause=str(fault))
                        break
                    part = None if session.call_id == "" else self._policy.due(session, now())
            after = (page[-1].ended_at, page[-1].call_id)
            await asyncio.sleep(_PAUSE_S)
        if found and not only_look:
            await self._store.forget_freed_pages()
            log.info("retention_erased", **{part: sum(due.part == part for due in found) for part in PARTS})
        return found

    async def _erase(self, session: OldSession, part: Part) -> OldSession:
        """What is left of it; without a name: nothing."""
        call_id, now = session.call_id, datetime.now(UTC)
        match part:
            case "sessions":
                await self._store.erase(call_id)
                call_id = ""
            case "transcripts":
                await self._store.retention.transcript_gone(call_id, now)
            case "audio":
                file = await self._store.recording_file(call_id)
                is_elsewhere = session.node not in (None, self._store.node) and file is not None and not file.exists()
                if file is not None and not is_elsewhere:  # another node's folder: its own sweep finds it
                    await self._store.retention.recording_gone(call_id, file, now)
        self._metrics.retention_erased.labels(part).inc()
        return OldSession(
            call_id,
            session.agent,
            session.tags,
            session.ended_at,
            None if part == "audio" else session.recording,
            part != "transcripts" and session.has_transcript,
            session.node,
        )
