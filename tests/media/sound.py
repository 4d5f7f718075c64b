# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio to test with, made from seeds: nothing here was recorded."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from media.frames import FrameFlags, PcmFrame, PcmSamples
from media.level import FULL_SCALE


def sine(frequency_hz: float, duration_s: float, sample_rate_hz: int, dbov: float = -13.0) -> PcmSamples:
    """A sine without edges."""
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return at_level(np.sin(2 * np.pi * frequency_hz * time_s), dbov)


def noise(duration_s: float, sample_rate_hz: int, dbov: float, seed: int = 1) -> PcmSamples:
    """White noise."""
    return at_level(np.random.default_rng(seed).standard_normal(round(duration_s * sample_rate_hz)), dbov)


def babble(duration_s: float, sample_rate_hz: int, dbov: float, seed: int = 1) -> PcmSamples:
    """Something with the shape of speech: harmonics of a wandering pitch under a formant-like slope, in syllables."""
    rng = np.random.default_rng(seed)
    count = round(duration_s * sample_rate_hz)
    time_s = np.arange(count) / sample_rate_hz
    pitch_hz = (
        120.0 + 20.0 * np.sin(2 * np.pi * 0.7 * time_s + rng.uniform(0, 6)) + 10.0 * np.sin(2 * np.pi * 3 * time_s)
    )
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sample_rate_hz
    voice = np.zeros(count)
    for harmonic in range(1, 26):
        frequency_hz = harmonic * 120.0
        formants = sum(np.exp(-(((frequency_hz - centre) / 250.0) ** 2)) for centre in (500.0, 1500.0, 2500.0))
        voice += (formants + 0.03) / harmonic**0.5 * np.sin(harmonic * phase + rng.uniform(0, 6))
    syllables = 0.05 + np.clip(np.sin(2 * np.pi * 4.0 * time_s + rng.uniform(0, 6)), 0, 1) ** 0.7
    return at_level(voice * syllables, dbov)


def at_level(signal: NDArray[np.float64], dbov: float) -> PcmSamples:
    """The signal as PCM with that much power."""
    scaled: NDArray[np.float64] = signal * (FULL_SCALE * 10 ** (dbov / 20) / np.sqrt(np.mean(signal**2)))
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


def frames(
    samples: PcmSamples, sample_rate_hz: int, frame_ms: int = 20, start: int = 0, flags: FrameFlags = FrameFlags.NONE
) -> Iterator[PcmFrame]:
    """The audio as the frames of a leg; an incomplete last one is left out."""
    count = sample_rate_hz * frame_ms // 1000
    for at in range(0, len(samples) - count + 1, count):
        pcm = samples[at : at + count].astype("<i2").tobytes()
        yield PcmFrame(pcm, sample_rate_hz, start + at, (at + count) / sample_rate_hz, flags)
