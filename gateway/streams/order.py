# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever starts a stream wants of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import BadStreamOrder
from gateway.streams.messages import USUAL_FORMAT, Encoding, ProtocolName, StreamDirection, StreamFormat, Track

OnEnd = Literal["hangup", "return"]
"""What becomes of the call when the stream that talked on it has ended: its end, or whatever it did before."""
SpeechWanted = Literal["speech"]

RATES_HZ: dict[Encoding, tuple[int, ...]] = {
    "l16": (8000, 16000, 24000, 48000),
    "pcmu": (8000,),
    "pcma": (8000,),
    "g722": (16000,),
    "opus": (48000,),
}
"""Allowed sample rates of every encoding; the first is its usual one."""


TRACKS: dict[Literal["inbound", "outbound", "both"], tuple[Track, ...]] = {
    "inbound": ("inbound",),
    "outbound": ("outbound",),
    "both": ("inbound", "outbound"),
}
"""What a request or a route calls the tracks of a stream."""


def stream_format(encoding: Encoding, sample_rate_hz: int | None = None) -> StreamFormat:
    """The format, at the encoding's usual rate unless one is named. Raises `BadStreamOrder`."""
    rates_hz = RATES_HZ[encoding]
    if sample_rate_hz is not None and sample_rate_hz not in rates_hz:
        raise BadStreamOrder(f"codec {encoding} has no sample rate {sample_rate_hz}: {', '.join(map(str, rates_hz))}")
    return StreamFormat(encoding, sample_rate_hz or rates_hz[0])


@dataclass(frozen=True, slots=True)
class Fallback:
    """What the caller gets when the backend stays away."""

    kind: Literal["hangup", "agent", "play"] = "hangup"
    name: str = ""
    """The agent, or the file."""

    @classmethod
    def parse(cls, text: str) -> "Fallback":
        """From `hangup`, `agent NAME` or `play FILE`. Raises `ValueError`."""
        kind, _, name = text.strip().partition(" ")
        name = name.strip()
        if kind == "hangup" and not name:
            return cls()
        if kind == "agent":
            return cls("agent", name)
        if kind == "play" and name:
            return cls("play", name)
        raise ValueError("must be hangup, agent NAME or play FILE")


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """One stream of a call."""

    url: str = ""
    """Where the backend is. Empty: it comes to us."""
    protocol: ProtocolName = "parley"
    format: StreamFormat = USUAL_FORMAT
    direction: StreamDirection = "bidirectional"
    """bidirectional or outbound: the backend talks, and the stream is what the call is for; at most one such at a
    time. inbound: a fork beside it, which only listens."""
    tracks: tuple[Track, ...] = ("inbound",)
    """Whose audio the backend gets."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Told to the backend."""
    token: str = field(default="", repr=False)
    """Sent as `Authorization: Bearer`; empty: none."""
    on_end: OnEnd = "hangup"
    fallback: Fallback = Fallback()
    wants: frozenset[SpeechWanted] = frozenset()
    """What costs something and is told only to those who want it."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What one protocol alone understands (`gateway.streams.protocols`)."""

    @property
    def talks(self) -> bool:
        """Whether the backend's audio reaches the caller."""
        return self.direction != "inbound"

    @property
    def hears(self) -> bool:
        """Whether the call's audio reaches the backend."""
        return self.direction != "outbound"
