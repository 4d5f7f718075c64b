# SPDX-License-Identifier: GPL-3.0-or-later
"""The answering brain, as the agent sees it: a conversation in, a stream of words and tool calls out."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agent.recollection import NOTHING, Recollection

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation. For the assistant this is what the caller *heard*, not what was generated."""

    role: Role
    text: str
    interrupted: bool = False
    """Assistant only: the caller broke in, `text` ends there."""
    tool_calls: "tuple[ToolCall, ...]" = ()
    """Assistant only: what it wanted done."""
    tool_call_id: str = ""
    """Tool only: `call_id` of the call whose result `text` is."""


@dataclass(frozen=True, slots=True)
class ContextNote:
    """Something the model should know for this turn: a passage of the knowledge, what is remembered of the caller."""

    source: str
    """Where it is from, as the session record cites it: `hours.md:12`, `memory`, `caller`; empty: nothing to cite."""
    text: str


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """Something the model may ask for."""

    name: str
    """Letters, digits, `_` and `-`; at most 64."""
    description: str
    parameters: Mapping[str, object]
    """A JSON Schema of type `object`."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A snapshot to answer: immutable, so that a speculative answer can be held against the moment it was made for."""

    messages: tuple[Message, ...]
    caller: str = ""
    """The caller's address or number, for lookups; never put into a log."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[ContextNote, ...] = ()
    """For this turn only. They go behind the messages, whose beginning stays the same from turn to turn: services cache
    what they have read before."""
    tools: tuple[ToolSpec, ...] = ()
    earlier: Recollection = NOTHING
    """The beginning of this call, once it is too long to be in `messages`; the system prompt tells it already."""
    memory: Recollection = NOTHING
    """Earlier calls of this caller, who agreed to that; a note tells it already."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Some more words of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants something done. `hang_up` is known to every agent: say what was said, then end the call."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    call_id: str = ""
    """The service's name for this call, which its result must carry."""
    problem: str = ""
    """Why its arguments cannot be used; then nothing is done, and the model is told."""
    signature: str = ""
    """What the service wants to see again beside this call, as it is."""


@dataclass(frozen=True, slots=True)
class Silence:
    """There is nothing to say to this: an answer without words is one, and no failure."""


@dataclass(frozen=True, slots=True)
class Cited:
    """What the answer rests on: comes before its words, and goes into the session record. Never spoken."""

    sources: tuple[str, ...]
    """As in `ContextNote.source`, the best first."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing more comes for a while: say now what there is, without waiting for the end of the sentence."""


ReplyEvent = TextDelta | ToolCall | Silence | Pause | Cited


class LanguageModel(Protocol):
    """A language model or a scripted brain; one for all calls, state lives in the conversation only."""

    def reply(self, conversation: Conversation) -> AsyncIterator[ReplyEvent]:
        """Stream the answer to the last user message. Closing the iterator cancels. Raises `ServiceError`."""
        ...

    async def aclose(self) -> None: ...
