# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio of one caller's turn so far: bounded, at 16 kHz, and aware of where the last sound in it ended.

    start                         sound_end      end
      |  speech  pause  speech        |  silence  |      positions count samples since the stream was opened

"Sound" here only separates speech from the quiet behind it, so that a transcript made before the quiet can be used
after it. It errs towards sound: on a noisy line all is sound. Whether it is speech is the VAD's business.
"""

import numpy as np

from agent.local.logmel import SAMPLE_RATE_HZ
from media.frames import PcmSamples

_FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
_QUIET_BELOW_DBFS = -60.0
"""Never sound: 1 part in 1,000 of full scale is 8 steps above the smallest of mu-law."""
_QUIET_BELOW_LOUDEST_DB = 35.0
"""Below the turn's loudest 20 ms: the softest consonants are some 30 dB below the vowels."""
_SILENCE_DBFS = -120.0
_BYTES = 2


class TurnAudio:
    """Samples of a turn, the newest `max_s` seconds of them; older ones are dropped and counted."""

    def __init__(self, max_s: float) -> None:
        self.start = 0
        """Position of the first sample kept."""
        self.sound_end = 0
        """Position behind the last frame that was not quiet."""
        self.dropped_samples = 0
        """Lost because the turn outgrew the bound."""
        self._max_samples = int(max_s * SAMPLE_RATE_HZ)
        self._pcm = bytearray()
        self._levels_dbfs: list[float] = []
        self._levels_start = 0
        """Position of the first level's frame; may be before `start`, by less than a frame."""
        self._loudest_dbfs = _SILENCE_DBFS

    @property
    def end(self) -> int:
        return self.start + len(self._pcm) // _BYTES

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SAMPLE_RATE_HZ

    @property
    def quiet_ms(self) -> float:
        """Since the last sound."""
        return (self.end - max(self.sound_end, self.start)) * 1000 / SAMPLE_RATE_HZ

    @property
    def has_sound(self) -> bool:
        return self.sound_end > self.start

    def append(self, samples: PcmSamples) -> None:
        self._pcm += samples.astype("<i2", copy=False).tobytes()
        surplus = len(self._pcm) // _BYTES - self._max_samples
        if surplus > 0:
            self.dropped_samples += surplus
            self.drop_before(self.start + surplus)
        self._measure()

    def samples(self, until: int | None = None) -> PcmSamples:
        """A copy of the audio from `start` to the position, or to the end."""
        length = (self.end if until is None else until) - self.start
        return np.frombuffer(bytes(self._pcm[: length * _BYTES]), dtype="<i2")

    def drop_before(self, position: int) -> None:
        """Forget everything older."""
        position = min(max(position, self.start), self.end)
        del self._pcm[: (position - self.start) * _BYTES]
        self.start = position
        frames = max(0, position - self._levels_start) // _FRAME_SAMPLES
        del self._levels_dbfs[:frames]
        self._levels_start += frames * _FRAME_SAMPLES
        if not self._levels_dbfs:
            self._levels_start = max(self._levels_start, position)

    def next_turn(self, keep_ms: int) -> None:
        """Forget everything but the newest part, and how loud it was before."""
        self.drop_before(self.end - keep_ms * SAMPLE_RATE_HZ // 1000)
        levels, self._levels_dbfs = self._levels_dbfs, []
        self._loudest_dbfs = _SILENCE_DBFS
        self.sound_end = self.start
        for level in levels:
            self._judge(level)

    def quietest(self, newest_s: float, window_ms: int) -> int:
        """Position of the middle of the quietest window among the newest seconds: where a cut hurts least."""
        window = window_ms * SAMPLE_RATE_HZ // 1000 // _FRAME_SAMPLES
        first = max(0, len(self._levels_dbfs) - int(newest_s * SAMPLE_RATE_HZ) // _FRAME_SAMPLES)
        sums = np.convolve(self._levels_dbfs[first:], np.ones(window), mode="valid")
        return self._levels_start + (first + int(np.argmin(sums)) + window // 2) * _FRAME_SAMPLES

    def _measure(self) -> None:
        """Judge the frames that have become complete."""
        measured = self._levels_start + len(self._levels_dbfs) * _FRAME_SAMPLES
        offset = max(0, measured - self.start)
        count = (self.end - self.start - offset) // _FRAME_SAMPLES
        if count <= 0:
            return
        fresh = bytes(self._pcm[offset * _BYTES : (offset + count * _FRAME_SAMPLES) * _BYTES])
        frames = np.frombuffer(fresh, dtype="<i2").reshape(count, _FRAME_SAMPLES) / 32768.0
        frames -= frames.mean(axis=1, keepdims=True)
        power = np.maximum((frames**2).mean(axis=1), 10 ** (_SILENCE_DBFS / 10))
        for level in (10 * np.log10(power)).tolist():
            self._judge(level)

    def _judge(self, level_dbfs: float) -> None:
        self._levels_dbfs.append(level_dbfs)
        self._loudest_dbfs = max(self._loudest_dbfs, level_dbfs)
        if level_dbfs > max(_QUIET_BELOW_DBFS, self._loudest_dbfs - _QUIET_BELOW_LOUDEST_DB):
            self.sound_end = self._levels_start + len(self._levels_dbfs) * _FRAME_SAMPLES
