# SPDX-License-Identifier: GPL-3.0-or-later
"""Two tracks beside each other on one timeline: the engine under the recorder.

    piece (track, position, rate, samples) > TrackConverter > piece at the file's rate > StereoTimeline > stereo blocks

Pieces come in order within a track; between the tracks there is no order. Where a track has nothing, there is silence.
"""

from collections import deque
from collections.abc import Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from media.frames import PcmSamples
from media.resample import StreamResampler

StereoSamples = NDArray[np.int16]
"""Shape (n, 2): caller left, agent right."""

LEAD_S = 1
"""How far one track may be ahead before the other counts as silent there."""
MAX_GAP_S = 3600
"""A gap longer than this is shortened to it: a timestamp gone mad must not fill the disk with silence."""
_BLOCK_S = 1
"""The longest block written at once: memory stays flat however long a gap is."""


class Track(IntEnum):
    """Whose voice; the value is the channel."""

    CALLER = 0
    AGENT = 1


class TrackConverter:
    """Brings one track to the file's rate, whatever rate the leg has at the moment.

    A position stands for the time position / rate since the start of the leg, also after the rate has changed.
    """

    def __init__(self, to_hz: int) -> None:
        self._to_hz = to_hz
        self._resampler: StreamResampler | None = None
        self._expected = 0  # where the input goes on if there is no gap, at its own rate
        self._at = 0  # where the output goes on, at the file's rate

    def convert(
        self, position_samples: int, samples: PcmSamples, sample_rate_hz: int
    ) -> Iterator[tuple[int, PcmSamples]]:
        """Yield what can now be said of the track, as (position, samples) at the file's rate."""
        continues = (
            self._resampler is not None
            and self._resampler.from_hz == sample_rate_hz
            and self._expected == position_samples
        )
        if not continues:
            yield from self.finish()
            if sample_rate_hz == self._to_hz:
                yield position_samples, samples
                return
            self._resampler = StreamResampler(sample_rate_hz, self._to_hz)
            self._at = position_samples * self._to_hz // sample_rate_hz
        assert self._resampler is not None
        self._expected = position_samples + len(samples)
        yield self._placed(self._resampler.process(samples))

    def finish(self) -> Iterator[tuple[int, PcmSamples]]:
        """Yield what a resampler still held."""
        if self._resampler is not None:
            yield self._placed(self._resampler.flush())
            self._resampler = None

    def _placed(self, samples: PcmSamples) -> tuple[int, PcmSamples]:
        at = self._at
        self._at += len(samples)
        return at, samples


class StereoTimeline:
    """Collects pieces of two tracks and gives out stereo blocks without gaps."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._origin: int | None = None  # the position that is sample 0 of the output
        self._written = 0  # output given out so far
        self._ends = [0, 0]  # how far each track reaches
        self._pieces: tuple[deque[tuple[int, PcmSamples]], ...] = (deque(), deque())
        """Bounded by `LEAD_S`, as long as `take` is called between the pieces."""
        self.late_samples = 0
        """Samples that came when their place had been given out, or was taken: they are left out."""

    @property
    def start_position_samples(self) -> int:
        """The leg's position at the first sample of the output: that of the first piece."""
        return self._origin or 0

    def begin(self, position_samples: int) -> None:
        """Let the output begin here, unless it has begun; without this it begins with the first piece."""
        if self._origin is None:
            self._origin = position_samples

    def put(self, track: Track, position_samples: int, samples: PcmSamples) -> None:
        """Place a piece, at the output's rate, where it belongs."""
        self.begin(position_samples)
        assert self._origin is not None
        start = position_samples - self._origin
        excess = start - max(self._ends) - MAX_GAP_S * self._rate_hz
        if excess > 0:
            self._origin += excess
            start -= excess
        free_from = max(self._written, self._ends[track])
        if start < free_from:
            self.late_samples += min(len(samples), free_from - start)
            samples = samples[free_from - start :]
            start = free_from
        if len(samples):
            self._pieces[track].append((start, samples))
            self._ends[track] = start + len(samples)

    def take(self) -> Iterator[StereoSamples]:
        """Yield the blocks in which nothing can change any more."""
        yield from self._blocks(max(min(self._ends), max(self._ends) - LEAD_S * self._rate_hz))

    def finish(self) -> Iterator[StereoSamples]:
        """Yield everything that is left, to the end of the longer track."""
        yield from self._blocks(max(self._ends))

    def _blocks(self, until: int) -> Iterator[StereoSamples]:
        while self._written < until:
            end = min(until, self._written + _BLOCK_S * self._rate_hz)
            block = np.zeros((end - self._written, 2), np.int16)
            for track, pieces in zip(Track, self._pieces, strict=True):
                self._fill(block[:, track], pieces, end)
            self._written = end
            yield block

    def _fill(self, channel: PcmSamples, pieces: deque[tuple[int, PcmSamples]], end: int) -> None:
        while pieces and pieces[0][0] < end:
            start, samples = pieces.popleft()
            fitting = min(len(samples), end - start)
            offset = start - self._written
            channel[offset : offset + fitting] = samples[:fitting]
            if fitting < len(samples):
                pieces.appendleft((end, samples[fitting:]))
