# SPDX-License-Identifier: GPL-3.0-or-later
"""The limiter on the way out: what a speech service, a backend or a bridge sends too loud is turned down, not clipped.

    samples > loudest sample per 5 ms > gain that keeps it below the ceiling > down one step ahead, up slowly > samples

Audio that stays below the ceiling is passed on as it is (the same array) for the price of finding its peak. The gain
follows peaks inside what is given at once, so it costs no delay; where a peak opens a block and could not be foreseen,
`soft_limit` bends it.
"""

import numpy as np
from numpy.typing import NDArray

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.gain import soft_limit

CEILING_DB = -3.0
"""Highest peak, relative to full scale: speech with such peaks is at some -18 dBov, and codecs overshoot a decibel."""
_STEP_MS = 5
_RELEASE_DB_PER_S = 12.0
"""Back up slowly: a gain that follows the syllables is heard as pumping."""


class Limiter:
    """One direction of one call. Any block length."""

    def __init__(self, sample_rate_hz: int) -> None:
        if sample_rate_hz <= 0:
            raise MediaMisuse(f"no limiter for {sample_rate_hz} Hz")
        self.sample_rate_hz = sample_rate_hz
        self._step = max(1, sample_rate_hz * _STEP_MS // 1000)
        self._release = 10.0 ** (_RELEASE_DB_PER_S * _STEP_MS / 1000 / 20.0)
        self._ceiling = 32768.0 * 10.0 ** (CEILING_DB / 20.0)
        self._gain = 1.0

    @property
    def gain_db(self) -> float:
        """The gain in force at the end of the last block; 0 or less."""
        return 20.0 * float(np.log10(self._gain))

    def process(self, samples: PcmSamples) -> PcmSamples:
        """The samples with no peak above the ceiling."""
        if not len(samples):
            return samples
        if self._gain == 1.0 and samples.max() <= self._ceiling and samples.min() >= -self._ceiling:
            return samples
        limited = soft_limit(samples.astype(np.float32) * self._gains(samples))
        return limited

    def _gains(self, samples: PcmSamples) -> NDArray[np.float32]:
        """The gain for every sample: straight lines between steps."""
        count = -(-len(samples) // self._step)
        padded = np.zeros(count * self._step, np.float32)
        np.abs(samples, out=padded[: len(samples)], dtype=np.float32)
        wanted = np.minimum(1.0, self._ceiling / np.maximum(padded.reshape(count, -1).max(axis=1), 1.0)).tolist()
        ends = [self._gain]
        for index, need in enumerate(wanted):
            ahead = wanted[index + 1] if index + 1 < count else 1.0
            ends.append(min(need, ahead, ends[-1] * self._release))
        self._gain = ends[-1]
        at = np.arange(count + 1) * self._step
        return np.interp(np.arange(1, len(samples) + 1), at, ends).astype(np.float32)
