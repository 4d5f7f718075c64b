# SPDX-License-Identifier: GPL-3.0-or-later
"""Two bridged calls with an interpreter between them: each hears the other quietly, and the translation over it.

    one's frames > Uplink > AgentSession (hears `source`, agent/interpreter.py) > the other's playout
    one ──── mix line, ORIGINAL_GAIN ────> the other

Both transcripts have both sides: what was said in the speaker's call, its translation in the listener's.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from agent.events import AgentEvent, ReplyFinished, ReplyInterrupted, ServiceFailed, TurnCommitted
from agent.redaction import Kind
from agent.session import AgentSession
from gateway.calls.call import Call
from gateway.calls.redaction import Redaction, told_of
from gateway.calls.uplink import LineReport, Uplink
from gateway.store.records import Role, TranscriptEntry
from media.frames import PcmFrame
from media.playout import PlayoutEvent

log = structlog.get_logger(__name__)

ORIGINAL_GAIN = 10 ** (-18 / 20)
"""The original is heard, so that nobody speaks into silence, and is no hindrance to hearing the translation."""


class Interpreters(Protocol):
    """Makes the session that interprets for one direction."""

    def interpreter(
        self, name: str, call: Call, other: Call, languages: tuple[str, str], follow: Callable[[AgentEvent], None]
    ) -> tuple[AgentSession, Uplink]:
        """It hears `call` in the first language and says it to `other` in the second, as agent `name`."""
        ...

    def redacts(self, name: str | None) -> tuple[Kind, ...]:
        """What is taken out of the record of this agent's calls."""
        ...


class Interpreting:
    """What an interpreted bridge needs to know."""

    def __init__(self, interpreters: Interpreters, agent: str, languages: tuple[str, str]) -> None:
        """`languages`: of the call that is bridged, and of the other one."""
        self._interpreters = interpreters
        self._agent = agent
        self._languages = languages

    def direction(self, call: Call, other: Call, *, is_first: bool) -> "Direction":
        """From `call` to `other`; `is_first`: `call` is the one that was to be bridged."""
        source, target = self._languages if is_first else self._languages[::-1]
        return Direction(self._interpreters, self._agent, call, other, (source, target))


class Direction:
    """One of the two ways through an interpreter."""

    def __init__(
        self, interpreters: Interpreters, agent: str, call: Call, other: Call, languages: tuple[str, str]
    ) -> None:
        self._call = call
        self._other = other
        kinds = interpreters.redacts(agent)
        self._original, self._translated = Redaction(kinds, told_of(call)), Redaction(kinds, told_of(other))
        self._session, self._uplink = interpreters.interpreter(agent, call, other, languages, self._receive)

    @property
    def line(self) -> LineReport:
        return self._uplink.report

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        self._session.feed(self._uplink.process(frames))

    def receive_playout(self, event: PlayoutEvent) -> None:
        """What the other's leg has sent of ours."""
        self._session.playout(event)

    def receive_rate(self) -> None:
        self._session.audio_changed(self._call.leg.sample_rate_hz)

    async def run(self) -> None:
        """Until it is cancelled, or its services have failed too often: then the two hear each other as they are."""
        self._call.leg.tap_sent(self._uplink.receive_sent)
        try:
            reason = await self._session.run()
            log.warning("interpreter_gave_up", call_id=self._call.call_id, cause=reason)
        finally:
            self._call.leg.untap_sent(self._uplink.receive_sent)
            self._original.flush()
            self._translated.flush()

    def _receive(self, event: AgentEvent) -> None:
        match event:
            case TurnCommitted():
                entry = _entry(self._call, "user", event.text, None, event.started_at, event.ended_at)
                self._original.receive(entry)
            case ReplyFinished():
                entry = _entry(self._other, "assistant", event.text, event.text, event.started_at, event.ended_at)
                self._translated.receive(entry)
            case ReplyInterrupted(text=text, heard_text=heard):
                entry = _entry(self._other, "assistant", text, heard, event.started_at, event.ended_at)
                self._translated.receive(entry)
            case ServiceFailed():
                pass  # the session logs it, and says it to the listener


def _entry(call: Call, role: Role, text: str, heard: str | None, started_at: float, ended_at: float) -> TranscriptEntry:
    return TranscriptEntry(
        role=role,
        text=text,
        started_ms=call.elapsed_ms(started_at),
        ended_ms=call.elapsed_ms(ended_at),
        interrupted=heard is not None and heard != text,
        heard_text=heard,
    )


async def run_until(parted: asyncio.Event, direction: Direction) -> None:
    """Interpret as long as the two are together."""
    interpreting = asyncio.ensure_future(direction.run())
    try:
        await parted.wait()
    finally:
        interpreting.cancel()
        await asyncio.gather(interpreting, return_exceptions=True)
