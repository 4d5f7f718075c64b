# SPDX-License-Identifier: GPL-3.0-or-later
"""Automatic gain control: brings a whispering and a shouting caller to one level, then keeps its hands still.

    samples > level of the speech so far > wanted gain, within limits > slew > apply > soft_limit > samples

The order: the level is measured before the gain (no feedback, so nothing can oscillate), the limiter comes last, for
whatever the slow gain could not foresee. Only speech moves the gain: between words it stays where it is, so that the
line's noise does not swell up ("pumping").
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.level import FULL_SCALE, power_dbov

MAX_BOOST_DB = 20.0
"""Quieter than `target_dbov` minus this, a caller is not lifted all the way: what is left there is mostly noise."""
MAX_CUT_DB = 18.0
RISE_DB_PER_S = 30.0
"""A quiet caller 15 dB below the target is up after half a second of speech."""
FALL_DB_PER_S = 60.0
"""Faster down than up: too loud hurts, too quiet only strains."""

_MEMORY_S = 2.0
"""The speech level is the mean of all speech so far, then of about this much: a sentence, not a syllable."""
_GATE_POWER = 10.0 ** (-60.0 / 10.0)
"""-60 dBov: below this even "speech" is an idle line, and moves nothing."""
_OUTLIER_RATIO = 10.0
"""A block counts as at most 10 dB above the level so far: a slammed door must not turn down the next sentence."""
_PAUSE_RATIO = 1.0 / 40.0
"""A block more than 16 dB below the level so far (the margin of ITU-T P.56) is a pause, whatever the detector says: how
many pauses a detector takes for speech depends on how loud they are, and must not be part of the level."""
_RECENT_S = 1.5
_LOST_RATIO = 10.0 ** (-8.0 / 10.0)
"""When the mean of the last `_RECENT_S`, pauses and all, is 8 dB below the level, the level was somebody else's, or a
loud beep's: from there it is learnt anew."""
_SETTLED_S = 0.1
"""Speech heard before any of these rules holds: the very first syllable may be anything."""

_KNEE = 0.7 * FULL_SCALE
"""-3 dB: samples below pass the limiter untouched."""
_ROOM = 32767.0 - _KNEE
"""What the limiter has to squeeze everything above the knee into."""


class AutomaticGain:
    """One caller's gain. Any block length; costs a few microseconds per 20 ms."""

    def __init__(self, sample_rate_hz: int, target_dbov: float = -20.0) -> None:
        """`target_dbov` is where speech should be; -20 leaves speech's peaks (some 15 dB above) unclipped."""
        if sample_rate_hz <= 0 or not -60.0 <= target_dbov <= -6.0:
            raise MediaMisuse(f"no gain control for {sample_rate_hz} Hz with target {target_dbov} dBov")
        self.sample_rate_hz = sample_rate_hz
        """May be set when the leg's rate changes: what is known of the caller stays true."""
        self._target_dbov = target_dbov
        self._speech_power = 0.0
        self._heard_s = 0.0
        self._recent_power = 0.0
        self._recent_s = 0.0
        self._gain_db = 0.0
        self._gain = 1.0

    @property
    def gain_db(self) -> float:
        """The gain in force at the end of the last block."""
        return self._gain_db

    @property
    def speech_dbov(self) -> float:
        """The caller's own speech level, before the gain; `SILENCE_DBOV` while nothing was said."""
        return power_dbov(self._speech_power)

    def process(self, samples: PcmSamples, speech: bool) -> PcmSamples:
        """Return the block with the gain applied; `speech` says whether a voice was detected in it."""
        if not len(samples):
            return samples
        before = self._gain
        if not speech and before == 1.0:
            return samples
        signal = samples.astype(np.float32)
        if speech:
            self._learn(signal)
            self._slew(len(signal) / self.sample_rate_hz)
        if self._gain != before:
            # A straight line within the block: a step between blocks would be heard as a click.
            signal *= before + (self._gain - before) * _ramp(len(signal))
        elif before == 1.0:
            return samples
        else:
            signal *= self._gain
        return soft_limit(signal)

    def _learn(self, signal: NDArray[np.float32]) -> None:
        count = len(signal)
        mean = float(signal.sum()) / count
        # The variance: what a direct-current offset adds to the power is not loudness.
        power = (float(signal.dot(signal)) / count - mean * mean) / FULL_SCALE**2
        if power < _GATE_POWER:
            return
        block_s = count / self.sample_rate_hz
        settled = self._heard_s > _SETTLED_S
        if settled:
            power = min(power, self._speech_power * _OUTLIER_RATIO)
        self._recent_s = min(self._recent_s + block_s, _RECENT_S)
        self._recent_power += min(1.0, block_s / self._recent_s) * (power - self._recent_power)
        if settled and self._recent_power < self._speech_power * _LOST_RATIO:
            self._speech_power = self._recent_power
            self._heard_s = self._recent_s = _SETTLED_S  # what was heard before counts for no more than this
        elif not settled or power > self._speech_power * _PAUSE_RATIO:
            self._heard_s = min(self._heard_s + block_s, _MEMORY_S)
            self._speech_power += min(1.0, block_s / self._heard_s) * (power - self._speech_power)

    def _slew(self, block_s: float) -> None:
        if not self._heard_s:
            return
        wanted_db = min(MAX_BOOST_DB, max(-MAX_CUT_DB, self._target_dbov - power_dbov(self._speech_power)))
        step_db = min(RISE_DB_PER_S * block_s, max(-FALL_DB_PER_S * block_s, wanted_db - self._gain_db))
        self._gain_db += step_db
        self._gain = 10.0 ** (self._gain_db / 20.0)


def soft_limit(signal: NDArray[np.float32]) -> PcmSamples:
    """Turn float samples (full scale 32,768; overwritten) into PCM that bends towards full scale instead of clipping.

    Without memory or look-ahead, so without delay: below -3 dB nothing changes, above it the curve continues with the
    same slope and flattens (tanh) towards full scale.
    """
    peaks = np.abs(signal)
    if peaks.size and float(np.maximum.reduce(peaks)) > _KNEE:
        bent = np.tanh((peaks - _KNEE) * np.float32(1.0 / _ROOM)) * np.float32(_ROOM) + _KNEE
        np.copysign(np.where(peaks > _KNEE, bent, peaks), signal, out=signal)
    np.rint(signal, out=signal)
    return signal.astype(np.int16)


@lru_cache(maxsize=16)
def _ramp(count: int) -> NDArray[np.float32]:
    """From 1/count to 1: the part of the way from the old gain to the new one that each sample has gone."""
    ramp = np.arange(1, count + 1, dtype=np.float32) / np.float32(count)
    ramp.setflags(write=False)
    return ramp
