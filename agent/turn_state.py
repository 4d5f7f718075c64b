# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is: the one state machine of a conversation; `agent.turn` runs it.

    LISTENING ─1─> CALLER_SPEAKING ─2─> PAUSED ─3─> PREPARING ─4─> SPEAKING
        │                ^                │             │             │
        │                ├─SPEECH_STARTED─┤             │             │
        │                ├─SPEECH_STARTED─│─────────────┤             │
        │                └─INTERRUPTED────│─────────────│─────────────┤
        │<───TURN_EMPTY───────────────────┘             │             │
        │<───REPLY_OVER─────────────────────────────────┤             │
        │<───REPLY_OVER, STOPPED────────────────────────│─────────────┘
        └────TURN_OVER (keys alone), ANNOUNCED─────────>┘

    1 SPEECH_STARTED   2 SPEECH_ENDED   3 TURN_OVER   4 AUDIBLE   and from each of them, HUNG_UP > ENDED

A turn belongs to us for good only when our reply is audible. Until then the caller may go on: the reply is dropped and
the turn reopened; its sound is still with speech recognition, so that the next transcript is that of the whole turn.
"""

from enum import Enum

from agent.errors import AgentMisuse


class TurnState(Enum):
    """Who is doing what."""

    LISTENING = "listening"
    CALLER_SPEAKING = "caller_speaking"
    PAUSED = "paused"
    """The caller is silent: finished, or only thinking?"""
    PREPARING = "preparing"
    """It is our turn; nothing is audible yet."""
    SPEAKING = "speaking"
    ENDED = "ended"


class Cause(Enum):
    """What changes the state."""

    SPEECH_STARTED = "speech_started"
    SPEECH_ENDED = "speech_ended"
    TURN_OVER = "turn_over"
    TURN_EMPTY = "turn_empty"
    ANNOUNCED = "announced"
    AUDIBLE = "audible"
    REPLY_OVER = "reply_over"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    """A key was pressed, or whoever decides wants it."""
    HUNG_UP = "hung_up"


TRANSITIONS: dict[tuple[TurnState, Cause], TurnState] = {
    (TurnState.LISTENING, Cause.SPEECH_STARTED): TurnState.CALLER_SPEAKING,
    (TurnState.LISTENING, Cause.TURN_OVER): TurnState.PREPARING,
    (TurnState.LISTENING, Cause.ANNOUNCED): TurnState.PREPARING,
    (TurnState.CALLER_SPEAKING, Cause.SPEECH_ENDED): TurnState.PAUSED,
    (TurnState.PAUSED, Cause.SPEECH_STARTED): TurnState.CALLER_SPEAKING,
    (TurnState.PAUSED, Cause.TURN_OVER): TurnState.PREPARING,
    (TurnState.PAUSED, Cause.TURN_EMPTY): TurnState.LISTENING,
    (TurnState.PREPARING, Cause.SPEECH_STARTED): TurnState.CALLER_SPEAKING,
    (TurnState.PREPARING, Cause.AUDIBLE): TurnState.SPEAKING,
    (TurnState.PREPARING, Cause.REPLY_OVER): TurnState.LISTENING,
    (TurnState.SPEAKING, Cause.INTERRUPTED): TurnState.CALLER_SPEAKING,
    (TurnState.SPEAKING, Cause.STOPPED): TurnState.LISTENING,
    (TurnState.SPEAKING, Cause.REPLY_OVER): TurnState.LISTENING,
    **{(state, Cause.HUNG_UP): TurnState.ENDED for state in TurnState},
}


def next_state(state: TurnState, cause: Cause) -> TurnState:
    """The state after `cause`. Raises `AgentMisuse`, naming both, when the table has no such step."""
    try:
        return TRANSITIONS[state, cause]
    except KeyError:
        raise AgentMisuse(f"{cause.value} does not happen while {state.value}") from None
