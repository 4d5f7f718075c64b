# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech faster or slower at its own pitch, or higher or lower at its own pace, piece by piece.

    samples > WSOLA: overlapping windows, moved closer or apart > (pitch) StreamResampler > samples

Waveform-similarity overlap-add: each window is taken not exactly where the pace wants it but, within `_SEARCH_S`, where
it continues the one before best, so that pitch periods are repeated or left out whole (W. Verhelst and M. Roelands, "An
overlap-add technique based on waveform similarity (WSOLA)", ICASSP 1993). Pitch is a change of pace that is then undone
by resampling; formants move with it, so a few semitones are enough.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.resample import StreamResampler

_WINDOW_S = 0.03
"""Two to six pitch periods of a voice."""
_SEARCH_S = 0.008
"""To either side: with it a period of 62 Hz fits in."""
_RATES = (0.25, 4.0)
_SEMITONES = 12.0
_MOST_PARTS = 60
"""Of the resampling ratio: at most 3 cents off, and the filter stays small."""

_Samples = NDArray[np.float32]


class TimeStretch:
    """One voice's stream. What `process` and the final `flush` return, put together, is `1 / rate` times as long."""

    def __init__(self, sample_rate_hz: int, rate: float = 1.0, pitch_semitones: float = 0.0) -> None:
        """`rate` 2.0 is twice as fast; 0.25 to 4. `pitch_semitones`: -12 to 12. Raises `MediaMisuse`."""
        if sample_rate_hz <= 0 or not _RATES[0] <= rate <= _RATES[1] or not abs(pitch_semitones) <= _SEMITONES:
            raise MediaMisuse(f"no stretching of {sample_rate_hz} Hz by {rate}, {pitch_semitones} semitones")
        self.sample_rate_hz = sample_rate_hz
        self.rate = rate
        self.pitch_semitones = pitch_semitones
        pitch = Fraction(2 ** (pitch_semitones / 12)).limit_denominator(_MOST_PARTS)
        self._overlap = _Overlap(sample_rate_hz, rate / float(pitch))
        self._resampler: StreamResampler | None = None
        if pitch != 1:
            self._resampler = StreamResampler(pitch.numerator, pitch.denominator)
        self._taken = self._given = 0

    def process(self, samples: PcmSamples) -> PcmSamples:
        """Take the next piece, any length; return what can be said of the output: 45 ms of the input are held back."""
        self._taken += len(samples)
        output = _to_pcm(self._overlap.process(samples))
        if self._resampler is not None:
            output = self._resampler.process(output)
        self._given += len(output)
        return output

    def flush(self) -> PcmSamples:
        """End the input and return the rest; the next `process` begins a new stream."""
        owed = max(0, round(self._taken / self.rate) - self._given)
        output = _to_pcm(self._overlap.flush())
        if self._resampler is not None:
            output = np.concatenate((self._resampler.process(output), self._resampler.flush()))
        self._taken = self._given = 0
        if len(output) < owed:
            output = np.concatenate((output, np.zeros(owed - len(output), np.int16)))
        return output[:owed]


class _Overlap:
    """The windows: the output advances by half a window each time, the input by `rate` times that, more or less."""

    def __init__(self, sample_rate_hz: int, rate: float) -> None:
        self._hop = max(8, round(sample_rate_hz * _WINDOW_S / 2))
        self._search = max(4, round(sample_rate_hz * _SEARCH_S))
        self._advance = self._hop * rate
        # Rises over one hop and falls over the next; two of them, a hop apart, sum to one.
        turn = np.pi * (np.arange(self._hop) + 0.5) / self._hop
        self._rise: _Samples = (0.5 - 0.5 * np.cos(turn)).astype(np.float32)
        self._fall: _Samples = self._rise[::-1].copy()
        self._restart()

    def _restart(self) -> None:
        self._held: _Samples = np.zeros(self._search, np.float32)
        """The input from `_start` on; the stream is preceded by silence, so that the first window may be searched."""
        self._start = -self._search
        self._windows = 0
        self._previous = 0
        """Where the last window began."""
        self._tail: _Samples | None = None
        """The falling half of the last window."""

    def process(self, samples: PcmSamples) -> _Samples:
        self._held = np.concatenate((self._held, samples.astype(np.float32)))
        pieces: list[_Samples] = []
        # The window at its latest place, with its falling half, must be there; so must the last one's continuation.
        while self._needed() <= self._start + len(self._held):
            pieces.append(self._next())
        keep = min(self._previous + self._hop, round(self._windows * self._advance) - self._search) - self._start
        if keep > 0:
            self._held = self._held[keep:]
            self._start += keep
        return np.concatenate(pieces) if pieces else np.empty(0, np.float32)

    def flush(self) -> _Samples:
        silence = np.zeros(round(self._advance) + 4 * self._hop + 2 * self._search, np.int16)
        output = self.process(silence)
        self._restart()
        return output

    def _needed(self) -> int:
        ideal = round(self._windows * self._advance)
        return max(ideal + self._search, self._previous + self._hop) + 2 * self._hop

    def _next(self) -> _Samples:
        hop = self._hop
        ideal = round(self._windows * self._advance)
        if self._tail is None:
            self._tail, place = self._at(ideal, hop) * self._fall, ideal
        else:
            place = self._best(ideal)
        window = self._at(place, 2 * hop)
        output = self._tail + window[:hop] * self._rise
        self._tail = window[hop:] * self._fall
        self._previous = place
        self._windows += 1
        return output

    def _best(self, ideal: int) -> int:
        """The place near `ideal` whose sound is most like what followed the last window."""
        natural = self._at(self._previous + self._hop, self._hop)
        region = self._at(ideal - self._search, self._hop + 2 * self._search)
        likeness = np.correlate(region, natural)
        energy = np.concatenate(([0.0], np.cumsum(region.astype(np.float64) ** 2)))
        likeness_per_power = likeness / np.sqrt(energy[self._hop :] - energy[: -self._hop] + 1e3)
        return ideal - self._search + int(np.argmax(likeness_per_power))

    def _at(self, place: int, count: int) -> _Samples:
        begin = place - self._start
        return self._held[begin : begin + count]


def _to_pcm(samples: _Samples) -> PcmSamples:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
