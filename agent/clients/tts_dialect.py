# SPDX-License-Identifier: GPL-3.0-or-later
"""What one vendor's streaming speech synthesis says over a WebSocket: messages out, news in, no I/O and no clock.

    clause > TtsDialect.say > WebSocket > service > WebSocket > TtsDialect.receive > TtsNews

`agent.clients.hosted_tts` does the rest, the same for all: a stock of connections, several utterances on one of them
where the vendor can, cancelling, keep-alive, deadlines. A dialect lives as long as one connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.errors import ServiceError
from agent.services.tts import SpeechStyle
from agent.websocket import WireMessage
from media.frames import PcmSamples


@dataclass(frozen=True, slots=True)
class Sound:
    """Some more of an utterance."""

    utterance: str
    samples: PcmSamples


@dataclass(frozen=True, slots=True)
class Said:
    """All of an utterance has come."""

    utterance: str


@dataclass(frozen=True, slots=True)
class Broken:
    """An utterance has failed; empty: the connection has, with all that are on it."""

    utterance: str
    error: ServiceError


@dataclass(frozen=True, slots=True)
class Answer:
    """What has come is to be answered with these."""

    messages: Sequence[WireMessage]


TtsNews = Sound | Said | Broken | Answer


@dataclass(frozen=True, slots=True)
class Speaking:
    """What a connection is for; those for the same are interchangeable."""

    voice: str
    """As the service calls it; empty: the one it has by default."""
    sample_rate_hz: int | None = None
    """The leg's."""


class TtsDialect(Protocol):
    """One connection's talk, in one voice and format."""

    sample_rate_hz: int
    """Of the sound, int16."""
    max_utterances: int
    """At a time on one connection; 1 where utterances are not told apart."""
    max_utterances_a_minute: int
    """On one connection; 0: as many as you like."""
    keep_alive_s: float

    def url(self) -> str: ...

    def headers(self) -> Mapping[str, str]: ...

    def opening(self) -> Sequence[WireMessage]: ...

    def say(self, utterance: str, text: str, style: SpeechStyle) -> tuple[Sequence[WireMessage], SpeechStyle]:
        """A whole clause, and what of the style the service will do itself. `utterance`: a name that nobody else has
        had."""
        ...

    def cancel(self, utterance: str) -> Sequence[WireMessage] | None:
        """Nobody wants the rest. None: this vendor knows no way but to close the connection. If the service answers
        it, `receive` tells `Said`."""
        ...

    def keep_alive(self) -> Sequence[WireMessage]: ...

    def closing(self) -> Sequence[WireMessage]: ...

    def receive(self, message: WireMessage) -> Sequence[TtsNews]:
        """What a message of the service's tells. Never raises. Sound of utterances that nobody wants any more may
        come: whoever asks leaves it aside."""
        ...

    def closed(self, code: int, reason: str) -> ServiceError: ...
