# SPDX-License-Identifier: GPL-3.0-or-later
"""The session's outside: what it tells the gateway (`AgentEvent`), and the mouth it needs of it (`AudioOut`).

Events are consumed with `match` and `assert_never`. All times are our clock (monotonic seconds). Texts are speech:
they belong into records and streams, never into a log.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

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
class IntentRecognized:
    """What the caller seems to want: while the turn is being spoken, as soon as it is clear, and when it is over.

    The final one of a turn comes when it is committed (again, when it is reopened and committed again), and only if
    there is something to tell: an intent, or that the one which was told early was none.
    """

    turn_index: int
    label: str | None
    """A name of `[agents.NAME.intents]`; None: none of them after all."""
    score: float
    """Likeness to the intent's examples: cosine, up to 1."""
    is_final: bool
    """The turn is over."""


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
class ReplyPrepared:
    """An answer was begun before the turn was over (speculation), and what became of it."""

    turn_index: int
    state: Literal["begun", "used", "wasted"]


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
    sources: tuple[str, ...] = ()
    """What the answer rests on."""


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
    sources: tuple[str, ...] = ()


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
class SilencePrompted:
    """The caller said nothing for a while and is asked about it, or the agent gives up."""

    number: int
    """How many times in a row; 0: goodbye."""
    text: str


@dataclass(frozen=True, slots=True)
class ToolUsed:
    """A tool has done what the model wanted, or not. What it was given and what it gave may be personal: not here."""

    tool: str
    """Its key: `hang_up`, `crm.get_order`."""
    outcome: Literal["ok", "failed", "timeout", "cancelled"]
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class LanguageDetected:
    """The caller speaks another language than before, and is answered in it from now on."""

    language: str
    """ISO 639 code."""


@dataclass(frozen=True, slots=True)
class FarEndKnown:
    """Who or what took a call that we placed."""

    kind: str
    """As `agent.far_end.FarEndKind` says."""
    cause: str
    """As `agent.far_end.FarEndRecognized` says."""
    confidence: float | None = None
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class CallerProsody:
    """How a turn of the caller sounded, told when its answer is audible. What is None could not be told."""

    turn_index: int
    speech_ms: int
    """Without the pauses."""
    syllables_s: float | None
    pace: float | None
    """1.2: a fifth faster than this caller's turns before."""
    level_dbov: float | None
    """As it came over the wire."""
    louder_db: float | None
    """Than in the turns before."""
    pitch_hz: float | None
    higher_semitones: float | None
    pauses_ms: tuple[int, ...]
    """Of 200 ms and more, within the turn."""
    cues: tuple[str, ...]
    """`fast`, `slow`, `loud`, `quiet`, `high`, `low`, `hesitant`, `agitated`, `confused`, `laughing`."""


@dataclass(frozen=True, slots=True)
class HangUpRequested:
    """The last word has been heard: end the call."""

    reason: str
    """`goodbye` (the agent's tool), `service_failure`, and those of agent/silence.py and agent/far_end.py."""


AgentEvent = (
    TranscriptPartial
    | IntentRecognized
    | TurnCommitted
    | TurnReopened
    | ReplyPrepared
    | ReplyStarted
    | ReplyFinished
    | ReplyInterrupted
    | TurnMeasured
    | ServiceFailed
    | SilencePrompted
    | ToolUsed
    | LanguageDetected
    | FarEndKnown
    | CallerProsody
    | HangUpRequested
)
