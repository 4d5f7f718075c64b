# SPDX-License-Identifier: GPL-3.0-or-later
"""The PCM contract: what a piece of audio is while it is inside Parley (ARCHITECTURE section 3)."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from media.errors import MediaMisuse

PcmSamples = NDArray[np.int16]
"""Signed 16-bit mono samples, shape (n,)."""

SAMPLE_RATES_HZ = (8000, 16000, 24000, 48000)


class FrameFlags(IntFlag):
    """What is known of a frame besides its samples."""

    NONE = 0
    CONCEALED = 1
    """No packet came in time for most of it: the samples are made up (loss concealment, comfort noise)."""
    SPEECH = 2
    """The voice activity detector heard speech."""
    DTMF = 4
    """A key was being pressed: an RFC 4733 event in place of sound, or these samples are its tone."""


_SPEECH = int(FrameFlags.SPEECH)


@dataclass(frozen=True, slots=True)
class PcmFrame:
    """One frame of call audio, 20 ms unless the leg negotiated another packet time."""

    pcm: bytes
    """Signed 16-bit little-endian mono."""
    sample_rate_hz: int
    position_samples: int
    """Samples since the start of the leg, on the RTP timeline: a lost packet still takes its room."""
    arrived_at: float
    """Our clock (monotonic seconds) when its last packet arrived; when it was made, if it is made up."""
    flags: FrameFlags = FrameFlags.NONE

    @property
    def samples(self) -> PcmSamples:
        """The samples as a read-only array, shape (n,), int16."""
        return np.frombuffer(self.pcm, dtype="<i2")

    @property
    def sample_count(self) -> int:
        return len(self.pcm) // 2

    @property
    def has_speech(self) -> bool:
        """Whether the SPEECH flag is set; asked several times for every frame, and `in` costs ten times as much."""
        return int.__and__(self.flags, _SPEECH) != 0

    @property
    def duration_s(self) -> float:
        return self.sample_count / self.sample_rate_hz


def check_rate(sample_rate_hz: int) -> int:
    """Return the rate, or raise `MediaMisuse` when no leg of ours can have it."""
    if sample_rate_hz not in SAMPLE_RATES_HZ:
        raise MediaMisuse(f"sample rate {sample_rate_hz} Hz is none of {SAMPLE_RATES_HZ}")
    return sample_rate_hz
