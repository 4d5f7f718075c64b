# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store takes and gives: values, in the shape that the HTTP API shows (INTERFACES, HTTP)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Direction = Literal["inbound", "outbound"]
Role = Literal["user", "assistant", "system", "tool"]


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


class TurnRecord(Record):
    """One answered turn with its latency ledger."""

    index: int
    segments_ms: dict[str, float]
    """Contiguous parts of the response time; they sum to `response_ms`."""
    response_ms: float
    """End of the caller's speech to our first audible packet."""
    speculative: bool = False
    interrupted: bool = False


class Quality(Record):
    """How the call sounded, as far as RTP tells."""

    rx_packets: int | None = None
    rx_lost: int | None = None
    rx_jitter_ms: float | None = None
    tx_packets: int | None = None
    tx_lost: int | None = None
    rtt_ms: float | None = None
    tx_redundant: int | None = None
    """Packets of ours that also carried what was sent before them."""
    mos: float | None = None
    """Estimated mean opinion score, 1 to 4.5; null when nobody estimated it."""


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
    metadata: dict[str, str] = {}
    quality: Quality | None = None
    recording: str | None = None
    """From the store: the file, relative to the data folder. In the API: the address to fetch it from."""
    recording_facts: RecordingFacts | None = None
    """Null: there is none, it goes on, or the gateway was killed meanwhile (the file is there, then)."""


class SessionRecord(SessionSummary):
    """One call with everything that was said."""

    transcript: tuple[TranscriptEntry, ...] = ()
    turns: tuple[TurnRecord, ...] = ()
