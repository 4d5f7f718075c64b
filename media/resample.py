# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversion between sampling rates: `StreamResampler` for live audio, `resample` for audio that is there as a whole.

    input > hold the newest few samples > polyphase FIR (scipy.signal.upfirdn) > output, aligned with the input

Why live audio does not go through soxr: `soxr.ResampleStream` converts in blocks of its FFT. Fed 20 ms frames it gave
nothing for several of them and then everything at once. Measured between 8 kHz and 16, 24 and 48 kHz: with HQ 42 to
94 ms late on average and 175 ms at worst, with LQ 21 to 33 ms and 61 ms; QQ has no delay, but no filter against
aliasing either. A short polyphase filter holds back 2 ms at 8 kHz, always, for 35 to 65 us of CPU per 20 ms. Whole
recordings have no clock, so there soxr's HQ does its work: any ratio, and a sharper filter.
"""

from functools import lru_cache
from math import gcd

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import firwin, kaiser_beta, upfirdn

from media.errors import MediaMisuse
from media.frames import PcmSamples

_HALF_LENGTH_SAMPLES = 16
"""Half the filter's length, in samples of the slower side: 2 ms at 8 kHz. It is the whole delay."""
_STOPBAND_DB = 60.0
"""Images and aliases are this far down: G.711's own noise is at 38 dB."""
_CUTOFF = 0.97
"""Of the slower side's half rate. With the length above: flat to 3.4 kHz of 4, gone at 4.3 kHz."""
_MAX_PHASES = 1000
"""Of the reduced ratio; 11,025 > 48,000 Hz needs 640. Beyond that the filter table outgrows its use."""


def resample(samples: PcmSamples, from_hz: int, to_hz: int) -> PcmSamples:
    """Convert a whole recording; the length is that of the input at the other rate, rounded."""
    if from_hz <= 0 or to_hz <= 0:
        raise MediaMisuse(f"cannot convert from {from_hz} Hz to {to_hz} Hz")
    if from_hz == to_hz or not len(samples):
        return samples
    # In float and rounded here: soxr dithers what it turns into integers, and silence must stay silence.
    return _to_pcm(soxr.resample(samples.astype(np.float32), from_hz, to_hz, quality="HQ"))


class StreamResampler:
    """Converts a stream piece by piece, with state, so that the seams cannot be heard.

    What `process` and the final `flush` return, put together, is the input at the other rate: sample n of the output
    belongs to the moment of sample n * from_hz / to_hz of the input, and the length is the input's, rounded up.
    `process` holds back `delay_samples` of the output until the audio after them has come; so the first piece is
    shorter by that much, and every later 20 ms yield exactly 20 ms (when both rates have whole samples in 20 ms).
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Any two rates with a sane ratio, not only a leg's: speech engines have 22,050 Hz. Raises `MediaMisuse`."""
        if from_hz <= 0 or to_hz <= 0:
            raise MediaMisuse(f"cannot convert from {from_hz} Hz to {to_hz} Hz")
        divisor = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // divisor, from_hz // divisor
        if max(self._up, self._down) > _MAX_PHASES:
            raise MediaMisuse(f"no streaming conversion from {from_hz} Hz to {to_hz} Hz: use resample()")
        self._filter, self._half = _design(self._up, self._down)
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._restart()

    @property
    def delay_samples(self) -> int:
        """Output samples held back until the input after them has come; 0 when the rates are equal."""
        return self._half // self._down if self._up != self._down else 0

    def process(self, samples: PcmSamples) -> PcmSamples:
        """Take the next piece of the input, any length; return what can be said for certain of the output."""
        if self._up == self._down:
            return samples
        self._taken += len(samples)
        output = self._filtered(samples)
        self._given += len(output)
        return output

    def flush(self) -> PcmSamples:
        """End the input (as if silence followed) and return the rest; the next `process` begins a new stream."""
        if self._up == self._down:
            return np.empty(0, np.int16)
        owed = -(-self._taken * self._up // self._down) - self._given
        rest = self._filtered(np.zeros(self._half // self._up + 1, np.int16))[:owed]
        self._restart()
        return rest

    def _restart(self) -> None:
        self._held: PcmSamples = np.empty(0, np.int16)
        # Index of the next filter output, counted from the first held sample, which always falls on filter phase 0.
        # A linear-phase filter lags by half its length: skipping that much at the start aligns output with input.
        self._next = self._half // self._down
        self._taken = self._given = 0

    def _filtered(self, samples: PcmSamples) -> PcmSamples:
        held = np.concatenate((self._held, samples))
        known = -(-len(held) * self._up // self._down)  # outputs that need no sample later than these
        if known <= self._next:
            self._held = held
            return np.empty(0, np.int16)
        output = upfirdn(self._filter, held, self._up, self._down)[self._next : known]
        oldest_needed = max(0, -((2 * self._half - known * self._down) // self._up))
        dropped = oldest_needed // self._down * self._down
        self._held = held[dropped:].copy()
        self._next = known - dropped * self._up // self._down
        return _to_pcm(output)


@lru_cache(maxsize=64)
def _design(up: int, down: int) -> tuple[NDArray[np.float32], int]:
    """The linear-phase low-pass of a ratio, at `up` times the input rate, and half its length there."""
    widest = max(up, down)
    # A multiple of `down`, so that the delay is a whole number of output samples.
    half = -(-_HALF_LENGTH_SAMPLES * widest // down) * down
    taps = firwin(2 * half + 1, _CUTOFF / widest, window=("kaiser", kaiser_beta(_STOPBAND_DB)))
    taps = (taps * up).astype(np.float32)
    taps.setflags(write=False)
    return taps, half


def _to_pcm(samples: NDArray[np.float32]) -> PcmSamples:
    np.rint(samples, out=samples)
    return np.clip(samples, -32768, 32767, out=samples).astype(np.int16)
