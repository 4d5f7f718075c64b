# SPDX-License-Identifier: GPL-3.0-or-later
"""What one vendor's streaming speech recognition says over a WebSocket: messages out, news in, no I/O and no clock.

    samples > SttDialect.audio > WebSocket > service > WebSocket > SttDialect.receive > SttNews

`agent.clients.hosted_stt` does the rest, the same for all: connections, queues, keep-alive, reconnecting, deadlines.
A dialect lives as long as one connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.errors import ServiceError
from agent.services.stt import HeardWord
from agent.websocket import WireMessage


@dataclass(frozen=True, slots=True)
class Ready:
    """The service takes audio from now on (see `SttDialect.says_ready`)."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What may have been said since the last `Segment`: replaces the one before."""

    text: str
    confidence: float = 0.0
    is_stable: bool | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Words that will not change any more: they follow those of the segments before."""

    text: str
    confidence: float = 0.0
    words: tuple[HeardWord, ...] = ()
    """Timed from the first sample of this connection."""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Flushed:
    """All audio that was sent before the oldest unanswered `flush` is in the segments now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What has come is to be answered with these."""

    messages: Sequence[WireMessage]


@dataclass(frozen=True, slots=True)
class Renew:
    """The service will end this session: go on with another connection at the next chance."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The service reports a fault; the connection is of no more use."""

    error: ServiceError


SttNews = Ready | Hypothesis | Segment | Flushed | Answer | Renew | Failed


class SttDialect(Protocol):
    """One connection's talk."""

    sample_rate_hz: int
    """Of the audio that it takes, int16; the caller converts to it."""
    chunk_ms: int
    """So much audio goes into a message, or up to `flush` as much as there is."""
    added_bytes: int
    """Of silence, which the dialect has sent besides the audio that it was given."""
    says_ready: bool
    """The service says when it takes audio, which `receive` tells as `Ready`; otherwise it does from the beginning."""
    answers_every_flush: bool
    """False: without a word to recognise there may be no `Flushed`. Then words that do not come for a while after a
    flush do not come at all."""
    keep_alive_s: float
    """After so long without a message from us `keep_alive` is due."""

    def url(self) -> str:
        """With its parameters: `ws://` or `wss://`."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Of the upgrade request, credentials included."""
        ...

    def opening(self) -> Sequence[WireMessage]:
        """Sent as soon as the connection stands."""
        ...

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        """Little-endian int16."""
        ...

    def flush(self) -> Sequence[WireMessage]:
        """Have everything that was sent turned into segments now, to be answered with `Flushed`."""
        ...

    def keep_alive(self) -> Sequence[WireMessage]: ...

    def closing(self) -> Sequence[WireMessage]:
        """Said before the connection is closed."""
        ...

    def receive(self, message: WireMessage) -> Sequence[SttNews]:
        """What a message of the service's tells. Never raises: what makes no sense is `Failed`, or nothing."""
        ...

    def closed(self, code: int, reason: str) -> ServiceError:
        """What it means that the service has closed the connection so (RFC 6455, section 7.4)."""
        ...
