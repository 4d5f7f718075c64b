# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud audio is, in dBov (RFC 6464 section 3, RFC 6465 section 3): 0 is the loudest a digital system can carry.

The reference is the full-scale square wave; so a full-scale sine is at -3 dBov and everything else is below.
"""

from math import log10

import numpy as np

from media.errors import MediaMisuse
from media.frames import PcmSamples

SILENCE_DBOV = -127.0
"""What the RFCs call digital silence; the lowest level there is."""

FULL_SCALE = 32768.0


def dbov(samples: PcmSamples) -> float:
    """The level of a piece of audio; `SILENCE_DBOV` for silence and for no audio at all."""
    return power_dbov(mean_power(samples))


def mean_power(samples: PcmSamples) -> float:
    """Mean square of the samples, full scale being 1.0; 0.0 for no audio at all."""
    if not len(samples):
        return 0.0
    scaled = samples.astype(np.float32)
    return float(np.dot(scaled, scaled)) / (len(scaled) * FULL_SCALE**2)


def power_dbov(power: float) -> float:
    """A mean square as a level."""
    return max(SILENCE_DBOV, 10.0 * log10(power)) if power > 0.0 else SILENCE_DBOV


class LevelMeter:
    """The level of a stream: lately, in all, and at its peak. Feed it what should count (speech only, if so wanted)."""

    def __init__(self, sample_rate_hz: int, window_ms: int = 400) -> None:
        """`window_ms` is the time constant of `recent_dbov`; 400 ms is a syllable or two."""
        if sample_rate_hz <= 0 or window_ms <= 0:
            raise MediaMisuse(f"no level meter for {sample_rate_hz} Hz and {window_ms} ms")
        self._window_samples = sample_rate_hz * window_ms / 1000
        self._recent_power = 0.0
        self._energy = 0.0
        self._sample_count = 0
        self._peak = 0

    def add(self, samples: PcmSamples) -> None:
        """Count in the next piece of the stream, any length."""
        if not len(samples):
            return
        power = mean_power(samples)
        self._energy += power * len(samples)
        self._sample_count += len(samples)
        # A plain mean until the window is full once, so that the first 20 ms already show a true level.
        share = min(1.0, len(samples) / min(self._window_samples, self._sample_count))
        self._recent_power += share * (power - self._recent_power)
        self._peak = max(self._peak, int(samples.max()), -int(samples.min()))

    @property
    def recent_dbov(self) -> float:
        """The level over about the last `window_ms`."""
        return power_dbov(self._recent_power)

    @property
    def mean_dbov(self) -> float:
        """The level of everything so far."""
        return power_dbov(self._energy / self._sample_count) if self._sample_count else SILENCE_DBOV

    @property
    def peak_dbov(self) -> float:
        """The highest single sample so far, as the level of a square wave of that height."""
        return power_dbov((self._peak / FULL_SCALE) ** 2)
