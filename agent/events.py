# SPDX-License-Identifier: GPL-3.0-or-later
"""The session's outside: what it tells the gateway (`AgentEvent`), and the mouth it needs of it (`AudioOut`).

Events are consumed with `match` and `assert_never`. All times are our clock (monotonic seconds). Texts are speech:
they belong into records and streams, never into a log.
"""

from dataclasses import dataclass
from typing import Protocol

from agent.ledger import TurnLedger
from media.playout import Cleared


class AudioOut(Protocol):
    """The playout side of a leg (`media.ports.CallAudio`). Nothing here blocks."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def queued_ms(self) -> float:
        """Written, not yet sent."""
        ...

    def play(self, utterance_id: int, pcm: bytes, sample_rate_hz: int = 0) -> int:
        """Append 16-bit little-endian mono of that rate (0: the leg's); return the samples accepted.

        Fewer are accepted when the queue is full, and none for an id that was ended or cleared. Ids only grow.
        """
        ...

    def end_utterance(self, utterance_id: int) -> None:
        """Nothing more comes for this id: `UtteranceFinished` follows when its last sample has gone out."""

    def clear(self) -> Cleared:
        """Throw away what was not sent, at once."""
        ...

    def pause(self) -> None:
        """Send silence, keep the queue."""

    def resume(self, repeat_ms: int = 0) -> None:
        """Go on, after a pause with so much of what was sent last once more."""

    def duck(self, gain: float) -> None:
        """Multiply what is sent by `gain`; 1.0 ends it."""


@dataclass(frozen=True, slots=True)
class TranscriptPartial:
    """What the turn that is being spoken sounds like so far."""

    turn_index: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """The caller has finished and is being answered. Comes again with the same index after `TurnReopened`."""

    turn_index: int
    text: str
    confidence: float
    started_at: float
    ended_at: float
    """The last speech sample."""


@dataclass(frozen=True, slots=True)
class TurnReopened:
    """The caller went on before an answer was audible: the turn of that index is not over after all."""

    turn_index: int


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The agent is audible."""

    reply_id: int
    turn_index: int | None
    """The turn it answers; None for the greeting and other announcements."""
    started_at: float


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The agent said all it had to say, or all it could before a service failed."""

    reply_id: int
    turn_index: int | None
    text: str
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class ReplyInterrupted:
    """The caller broke in, or hung up, while the agent spoke."""

    reply_id: int
    turn_index: int | None
    text: str
    """All that had been rendered."""
    heard_text: str
    """What of it was sent; the conversation goes on from there."""
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class TurnMeasured:
    """The ledger of an answered turn, once its reply has ended."""

    ledger: TurnLedger


@dataclass(frozen=True, slots=True)
class ServiceFailed:
    """A service failed or missed its deadline; the caller has been or will be told something sensible."""

    service: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class FarEndKnown:
    """Who or what took a call that we placed."""

    kind: str
    """As `agent.far_end.FarEndKind` says."""
    cause: str
    """`words`, `tone` or `music`."""


@dataclass(frozen=True, slots=True)
class HangUpRequested:
    """The last word has been heard: end the call."""

    reason: str
    """`goodbye` (the agent's tool), `service_failure`, and those of agent/far_end.py."""


AgentEvent = (
    TranscriptPartial
    | TurnCommitted
    | TurnReopened
    | ReplyStarted
    | ReplyFinished
    | ReplyInterrupted
    | TurnMeasured
    | ServiceFailed
    | FarEndKnown
    | HangUpRequested
)
