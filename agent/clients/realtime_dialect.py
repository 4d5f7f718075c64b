# SPDX-License-Identifier: GPL-3.0-or-later
"""What one vendor's speech-to-speech service says over a WebSocket: messages out, news in, no I/O and no clock.

`agent.clients.hosted_realtime` does the rest: connections, resumption, queues. A dialect lives as long as one
connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.errors import ServiceError
from agent.services.realtime import TalkNews
from agent.websocket import WireMessage


@dataclass(frozen=True, slots=True)
class TalkReady:
    """The service listens."""


@dataclass(frozen=True, slots=True)
class TalkEnding:
    """The service will end this connection soon: go on with another one."""


@dataclass(frozen=True, slots=True)
class TalkFailed:
    """The service reports a fault that ends the connection."""

    error: ServiceError


@dataclass(frozen=True, slots=True)
class Resumption:
    """How another connection goes on where this one is: with this token of the service's."""

    handle: str


@dataclass(frozen=True, slots=True)
class SendBack:
    """What the service must be told now."""

    messages: tuple[WireMessage, ...]


@dataclass(frozen=True, slots=True)
class SpokenMessage:
    """What was said so far, for a service that has no other way to go on."""

    is_caller: bool
    text: str


DialectNews = TalkNews | TalkReady | TalkEnding | TalkFailed | Resumption | SendBack


class RealtimeDialect(Protocol):
    """One connection's talk."""

    input_rate_hz: int
    """Of the audio that `audio` takes."""
    chunk_ms: int
    keep_alive_s: float
    max_age_s: float
    """The service ends a connection soon after this."""

    def url(self) -> str: ...

    def headers(self) -> Mapping[str, str]: ...

    def opening(self) -> Sequence[WireMessage]: ...

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        """Little-endian int16."""
        ...

    def say(self, text: str) -> Sequence[WireMessage]: ...

    def tell(self, text: str) -> Sequence[WireMessage]: ...

    def heard(self, answer_id: str, played_ms: int) -> Sequence[WireMessage]: ...

    def tool_result(self, call_id: str, name: str, text: str) -> Sequence[WireMessage]: ...

    def keep_alive(self) -> Sequence[WireMessage]: ...

    def closing(self) -> Sequence[WireMessage]: ...

    def receive(self, message: WireMessage) -> Sequence[DialectNews]:
        """Never raises."""
        ...

    def closed(self, code: int, reason: str) -> ServiceError: ...
