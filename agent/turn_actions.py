# SPDX-License-Identifier: GPL-3.0-or-later
"""What `agent.turn` wants done, and the session does; what barge-in wants is passed on from `agent.interruption`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from agent.interruption import AskWords, Disregard, Duck, Hold, Restore
from agent.ledger import LedgerMarks
from agent.services.llm import ReplyEvent


@dataclass(frozen=True, slots=True)
class Listen:
    """Let speech recognition hear the caller, from a little before this moment."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for transcript and end-of-turn probability; nothing more is heard until the next `Listen`."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class StopAsking:
    """What was asked is of no use any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The turn is over: answer it."""

    reply_id: int
    turn_index: int
    text: str
    """What was said; keys are in it as `[pressed 123]`."""
    confidence: float
    started_at: float
    marks: LedgerMarks


@dataclass(frozen=True, slots=True)
class Announce:
    """Say this."""

    reply_id: int
    text: str
    words: AsyncIterator[ReplyEvent] | None = None
    """Instead of a text that is known beforehand."""
    hang_up: str | None = None
    """End the call when all of it has been heard, for this reason."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The caller goes on: drop the reply, of which nothing was audible; if it answered a turn, that is reopened."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The caller broke in: stop the reply and find out what of it was heard."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class ForgetTurn:
    """The turn's sound is of no use any more: its answer is audible, or there is none."""

    was_noise: bool
    """It was no speech at all: the caller said nothing."""


@dataclass(frozen=True, slots=True)
class Apologize:
    """The turn could not be understood because a service failed."""


TurnAction = (
    Listen
    | Ask
    | StopAsking
    | Answer
    | Announce
    | Withdraw
    | Interrupt
    | ForgetTurn
    | Apologize
    | AskWords
    | Disregard
    | Duck
    | Hold
    | Restore
)
