# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream and its backend have to tell each other, whatever the wire protocol: its adapters turn this into
messages and back (`WireProtocol`). Audio has a way of its own, without an object per frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

ProtocolName = Literal["parley", "twilio", "teler", "conversationrelay", "audiosocket"]
Encoding = Literal["l16", "pcmu", "pcma", "g722", "opus"]
StreamDirection = Literal["inbound", "outbound", "bidirectional"]
"""Seen from the caller, as in Twilio's words: inbound is the caller's audio to the backend, outbound the backend's to
the caller."""
Track = Literal["inbound", "outbound"]
"""Whose audio it is: the caller's, or what we send."""
WireMessage = str | bytes
"""A text message, or a binary one: the same as in `agent.websocket`, which clients of ours do not have."""


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """Audio on the wire, mono."""

    encoding: Encoding = "l16"
    sample_rate_hz: int = 8000
    """l16: 8000, 16000, 24000, 48000; pcmu, pcma: 8000; g722: 16000; opus: 48000."""


USUAL_FORMAT = StreamFormat()


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The call's facts. The first thing a backend hears."""

    call_id: str
    stream_id: str
    from_: str
    to: str
    call_direction: Literal["inbound", "outbound"]
    stream_direction: StreamDirection
    tracks: tuple[Track, ...]
    format: StreamFormat
    metadata: Mapping[str, str] = field(default_factory=dict)
    answered: bool = True
    """False: the call rings, and the backend may answer or reject it."""
    reconnected: bool = False
    consent: str | None = None


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """The caller pressed a key."""

    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class SpeechChanged:
    """The caller began or stopped speaking."""

    speaking: bool
    position_ms: int


@dataclass(frozen=True, slots=True)
class MarkReached:
    """All audio before the mark was heard, or thrown away."""

    name: str
    played: bool
    """False: cleared."""


@dataclass(frozen=True, slots=True)
class PlayoutCleared:
    """The answer to `Clear`. Of the audio given since the queue was last empty."""

    played_ms: int
    discarded_ms: int
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowControl:
    """The queue is filling up (`xoff`: stop sending), or has room again."""

    xoff: bool
    queued_ms: int


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The call that rang has been answered; audio follows."""


@dataclass(frozen=True, slots=True)
class TransferProgress:
    status: str
    """`trying`, `ringing`, `completed`, `failed`, as the peer reports (RFC 3515 section 2.4.5)."""


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The last thing a backend hears."""

    reason: str


@dataclass(frozen=True, slots=True)
class BackendFault:
    """What the backend sent is not understood, or not possible now; the stream goes on."""

    title: str
    detail: str


StreamEvent = (
    StreamStarted
    | KeyPressed
    | SpeechChanged
    | MarkReached
    | PlayoutCleared
    | FlowControl
    | CallAnswered
    | TransferProgress
    | StreamStopped
    | BackendFault
)


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio in the stream's format, of any length, to be played after what is queued."""

    payload: bytes
    chunk_id: str = ""
    """Names it for `ClearChunk`, where the protocol has that (Teler)."""


@dataclass(frozen=True, slots=True)
class Mark:
    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Fall silent and drop what is queued."""


@dataclass(frozen=True, slots=True)
class ClearChunk:
    """Drop one queued chunk."""

    chunk_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Fall silent, but keep what is queued."""


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True)
class SendKeys:
    digits: str


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


@dataclass(frozen=True, slots=True)
class Transfer:
    to: str
    mode: Literal["blind", "attended"] = "blind"


@dataclass(frozen=True, slots=True)
class Mute:
    muted: bool


@dataclass(frozen=True, slots=True)
class Record:
    state: Literal["start", "pause", "resume", "stop"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the call that rings."""


@dataclass(frozen=True, slots=True)
class Reject:
    code: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is none. Counted; answered with an error where the protocol has one."""

    detail: str


BackendMessage = (
    Audio
    | Mark
    | Clear
    | ClearChunk
    | Pause
    | Resume
    | SendKeys
    | HangUp
    | Transfer
    | Mute
    | Record
    | Answer
    | Reject
    | Malformed
)


class WireProtocol(Protocol):
    """One connection's protocol: sync, opens nothing, never raises for what a backend sent."""

    @property
    def subprotocol(self) -> str | None:
        """WebSocket subprotocol to ask for (RFC 6455 section 1.9); None: none."""
        ...

    def audio(self, payload: bytes, position_ms: int, track: Track) -> WireMessage | None:
        """A frame of the call's audio in the stream's format, `position_ms` after the stream's start. None: it waits
        for more of its kind, or the protocol has no word for it."""
        ...

    def tell(self, event: StreamEvent) -> list[WireMessage]:
        """The messages for an event; none when the protocol has no word for it."""
        ...

    def receive(self, message: WireMessage) -> list[BackendMessage]:
        """What the backend said."""
        ...
