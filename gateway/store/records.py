# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store takes and gives: values, in the shape that the HTTP API shows (INTERFACES, HTTP)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Direction = Literal["inbound", "outbound"]
FarEndName = Literal[
    "unknown", "person", "machine", "voicemail", "menu", "hold", "fax", "failed", "unreachable", "busy"
]
"""As `agent.far_end.FarEndKind` has it."""
Role = Literal["user", "assistant", "system", "tool"]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request with an idempotency key was answered."""

    key: str
    """Digest of the key."""
    fingerprint: str
    """Digest of the request's body."""
    call_id: str
    answer: str = field(repr=False)
    """JSON."""
    at: datetime


class Record(BaseModel):
    """A value that does not change."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class TranscriptEntry(Record):
    """Something that was said."""

    role: Role
    """`user` is the caller, `assistant` the agent."""
    text: str
    started_ms: int
    """Milliseconds since the call was answered."""
    ended_ms: int
    interrupted: bool = False
    """Agent only: the caller broke in."""
    heard_text: str | None = None
    """Agent only: what of `text` was really sent, when that is less than all."""
    sources: tuple[str, ...] = ()
    """Agent only: what the answer rests on, the best first: `hours.md:12`, `prices.csv:3`, `handbook.pdf:7` (page)."""


class TurnRecord(Record):
    """One answered turn with its latency ledger."""

    index: int
    segments_ms: dict[str, float]
    """Contiguous parts of the response time; they sum to `response_ms`."""
    response_ms: float
    """End of the caller's speech to our first audible packet."""
    speculative: bool = False
    interrupted: bool = False


class RememberedExchange(Record):
    """A question, and what the caller heard as an answer."""

    asked: str
    answered: str


class MemoryRecord(Record):
    """What an agent remembers of one call of a caller."""

    call_id: str
    agent: str
    at: datetime
    """When that call began."""
    expires_at: datetime
    caller_name: str
    exchanges: tuple[RememberedExchange, ...]
    """What was asked, oldest first: the first question and the newest."""
    left: tuple[str, ...]
    """Messages that the caller left."""
    summary: str
    """In a language model's words; empty: none wrote one."""


class ConsentRecord(Record):
    """What a caller has answered to being remembered."""

    agent: str
    given: bool
    at: datetime
    expires_at: datetime


class SpeechLevel(Record):
    """How loud one side spoke."""

    speech_dbov: float | None = None
    """Active speech level after ITU-T P.56."""
    noise_dbov: float | None = None
    """What lies beneath."""
    peak_dbov: float | None = None
    """The loudest 20 ms."""


class EchoOfUs(Record):
    """What the line returned of our voice."""

    delay_ms: float | None = None
    """Null: no echo was found."""
    loss_db: float | None = None
    """How much quieter than sent it came back."""
    gated_ms: int = 0
    """What would have counted as the caller's speech."""


class Levels(Record):
    """How loud the call was; caller before gain control, agent as sent."""

    caller: SpeechLevel
    agent: SpeechLevel
    echo: EchoOfUs | None = None
    """Null: the echo gate was off."""


class Quality(Record):
    """How the call sounded: what we counted of the caller (rx), and what the peer reported of us (tx, RTCP).

    `tx_...` and `mos_peer` are null when the peer sent no report.
    """

    rx_packets: int | None = None
    rx_lost: int | None = None
    """By the network, before redundancy; as RFC 3550 counts, so that a duplicate makes up for a loss."""
    rx_loss_percent: float | None = None
    rx_jitter_ms: float | None = None
    """RFC 3550 section 6.4.1, mean."""
    late: int | None = None
    """Packets that came when their place had been filled."""
    recovered: int | None = None
    """Packets that redundancy or forward error correction brought back."""
    duplicates: int | None = None
    concealed_ms: int | None = None
    """Of the caller's audio, made up: lost or late packets, and comfort noise while he sent nothing."""
    tx_packets: int | None = None
    tx_lost: int | None = None
    tx_loss_percent: float | None = None
    tx_jitter_ms: float | None = None
    tx_redundant: int | None = None
    """Packets of ours that also carried what was sent before them."""
    rtt_ms: float | None = None
    mos: float | None = None
    """What we heard: mean opinion score, 1 to 4.5, estimated by the E-model; null when no packet came."""
    mos_peer: float | None = None
    """What the peer heard of us, by its reports."""
    mos_scale: Literal["narrowband", "wideband"] | None = None
    """ITU-T G.107 or G.107.1: scores of one scale cannot be compared with those of the other."""
    levels: Levels | None = None
    """Null when nobody listened: only calls with an agent are measured."""


class RecordingFacts(Record):
    """What there is to know of a call's recording besides its sound."""

    format: Literal["wav", "opus"]
    """`wav`: 16-bit stereo PCM. `opus`: stereo Opus in Ogg. The caller is left, we are right."""
    encrypted: bool
    """At rest: the API gives it in clear."""
    started_ms: int
    """Where the file begins, in milliseconds since the call was answered: add it to a time in the file, and it is on
    the transcript's axis."""
    duration_ms: int
    complete: bool
    """False: it ended early, or has holes, because the disk was full or too slow."""
    paused_ms: tuple[tuple[int, int], ...] = ()
    """The stretches, from and to, in the file's time, that are silent because the recording was paused."""


class KeyLimits(Record):
    """What a key sees and touches, and nothing else; empty: it is not limited in this respect."""

    agents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Of `metadata.tag`, separated by commas: one of them is enough."""
    trunks: tuple[str, ...] = ()


class ApiKeyRecord(Record):
    """A key of the API, without the key."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    """Scopes, and roles, which stand for several."""
    only: KeyLimits | None = None
    """Null: it is limited to nothing."""
    created_at: datetime | None = None
    """Null: it stands in the configuration."""
    expires_at: datetime | None = None


class SessionSummary(Record):
    """One call, without what was said."""

    call_id: str
    direction: Direction
    from_: str = Field(serialization_alias="from")
    to: str
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    codec: str | None = None
    agent: str | None = None
    """Name of the agent that had the call."""
    trunk: str | None = None
    """Name of the trunk that carried it, of several the last one; null: none."""
    metadata: dict[str, str] = {}
    quality: Quality | None = None
    recording: str | None = None
    """From the store: the file, relative to the data folder. In the API: the address to fetch it from."""
    recording_facts: RecordingFacts | None = None
    """Null: there is none, it goes on, or the gateway was killed meanwhile (the file is there, then)."""
    recording_erased_at: datetime | None = None
    """When `[retention]` had the recording erased."""
    transcript_erased_at: datetime | None = None
    """Likewise what was said: transcript, turns, events, SIP messages."""
    far_end: FarEndName | None = None
    """Who or what took the call that we placed: a person, a recording, a machine that records or one that wants keys, a
    queue, a fax, or a tone or announcement: `failed` (there is no such number), `unreachable`, `busy`. Null: we did not
    place it, it goes on, or nobody listened for that."""
    far_end_confidence: float | None = None
    """How sure that is, 0 to 1."""
    message_left: bool = False
    """A machine has recorded all of the message that was to be left."""


class SipStep(Record):
    """One SIP message of a call, in short."""

    at: datetime
    sent: bool
    """By us."""
    transport: str
    """`UDP`, `TCP` or `TLS`."""
    peer: str
    """`address:port`."""
    summary: str
    """`INVITE`, or `180 Ringing (INVITE)`."""


class SipMessageRecord(SipStep):
    """One SIP message of a call, whole, but for digest responses, SRTP keys and pressed keys."""

    local: str
    sip_call_id: str
    text: str


class SessionRecord(SessionSummary):
    """One call with everything that was said."""

    transcript: tuple[TranscriptEntry, ...] = ()
    turns: tuple[TurnRecord, ...] = ()
    sip: tuple[SipStep, ...] = ()
    """The ladder: each SIP message of the call, in its order. `GET /sessions/{id}/signalling` has them whole."""
