# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech to speech: one service that listens, thinks and talks, as the agent sees it.

caller's audio > SpeechToSpeech > news: the caller speaks, our sound, the words of both, tools that are wanted
what the caller heard of it (milliseconds) > SpeechToSpeech
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.errors import ServiceError
from agent.services.llm import ToolCall, ToolSpec
from media.frames import PcmSamples


@dataclass(frozen=True, slots=True)
class TalkOrder:
    """What a conversation is opened for."""

    sample_rate_hz: int
    """The leg's."""
    instructions: str
    voice: str = ""
    """Empty: the service's own."""
    language: str = "en"
    tools: tuple[ToolSpec, ...] = ()
    opening: str = ""
    """What the service is to say first, as by `TalkStream.say`."""


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The service hears the caller speak. What is being heard of us should fall silent."""


@dataclass(frozen=True, slots=True)
class CallerStopped:
    """The service takes the caller's turn for over."""


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The caller's words of the oldest turn that has none yet; they may come after the answer has begun. Empty: there
    were none, or nobody knows them."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerBegun:
    """The service answers, or says what it was asked to say."""

    answer_id: str


@dataclass(frozen=True, slots=True)
class AnswerSound:
    """Some more of it; it comes faster than it is spoken."""

    answer_id: str
    samples: PcmSamples
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """Some more of its words, with the sound or a little ahead of it."""

    answer_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """All of it has come."""

    answer_id: str


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """There is no answer to what the caller said, or only the beginning of one."""

    error: ServiceError


@dataclass(frozen=True, slots=True)
class ToolWanted:
    """The service wants something done; `tool_result` tells it what came of it."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolsDropped:
    """The service does not want these any more."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TalkLost:
    """The service is gone for good; nothing more comes."""

    error: ServiceError


TalkNews = (
    CallerStarted
    | CallerStopped
    | CallerSaid
    | AnswerBegun
    | AnswerSound
    | AnswerWords
    | AnswerEnded
    | AnswerFailed
    | ToolWanted
    | ToolsDropped
    | TalkLost
)


class TalkStream(Protocol):
    """One caller's conversation. Everything belongs to the event loop's thread and nothing blocks."""

    def push(self, samples: PcmSamples) -> None:
        """The caller's audio, all of it, at the leg's rate; while the service cannot be reached the oldest is
        dropped."""

    def say(self, text: str) -> None:
        """Have these words said, or something that comes to the same."""

    def tell(self, text: str) -> None:
        """The caller has done something that is no speech (pressed keys): answer to it."""

    def heard(self, answer_id: str, played_ms: int) -> None:
        """The answer was broken off: so much of it was sent to the caller, and no more will be."""

    def tool_result(self, call_id: str, name: str, text: str) -> None: ...

    def audio_changed(self, sample_rate_hz: int) -> None:
        """The leg has this rate now."""

    async def aclose(self) -> None: ...


class SpeechToSpeech(Protocol):
    """A hosted service; one for all calls."""

    async def open(self, order: TalkOrder, on_news: Callable[[TalkNews], None]) -> TalkStream:
        """A conversation for one caller, ready to listen; `on_news` is called on the event loop. Raises
        `ServiceError`."""
        ...

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...
