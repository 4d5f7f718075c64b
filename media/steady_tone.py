# SPDX-License-Identifier: GPL-3.0-or-later
"""Single tones that hold still: where they are in the audio, how high, how long. For `media.progress`.

Every 10 ms the last 30 ms are looked at (Hann window, FFT). It is a tone when nine tenths of the power lie at one
frequency; such windows in a row, of one frequency and one level, are one tone. Pure, no clock: time is samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media.frames import PcmSamples
from media.level import FULL_SCALE, SILENCE_DBOV, power_dbov

HOP_MS = 10
_WINDOW_MS = 30
_QUIET_DBOV = -45.0
_PURE_SHARE = 0.9
_SAME_HZ = 8.0
_SAME_SHARE = 0.01
_SAME_DB = 3.5


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone that has ended, or (`begun`) one that goes on."""

    frequency_hz: float
    began_ms: int
    """On the stream's own time."""
    duration_ms: int
    level_dbov: float


@dataclass(frozen=True, slots=True)
class Step:
    """What one hop of 10 ms brought."""

    at_ms: int
    level_dbov: float
    """Of the last 10 ms."""
    ended: Tone | None
    going_on: Tone | None


class SteadyTones:
    """Feed it the audio of one leg in order."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._hop = sample_rate_hz * HOP_MS // 1000
        window = sample_rate_hz * _WINDOW_MS // 1000
        self._weights: NDArray[np.float64] = np.hanning(window + 2)[1:-1]
        self._fft_size = 1 << (2 * window - 1).bit_length()
        self._bin_hz = sample_rate_hz / self._fft_size
        self._lobe = round(2 * 1000 / _WINDOW_MS / self._bin_hz)
        """Half the width of a pure tone's peak, in bins."""
        self._heard = np.zeros(window)
        self._fresh = np.zeros(0)
        self._at_ms = 0
        self._tone: list[tuple[float, float]] = []
        """Frequency and level of every window of the tone that goes on."""
        self._began_ms = 0

    def receive(self, samples: PcmSamples) -> list[Step]:
        """The next piece of audio, any length; a step for every 10 ms that are complete."""
        self._fresh = np.concatenate([self._fresh, samples.astype(np.float64) / FULL_SCALE])
        steps = []
        while len(self._fresh) >= self._hop:
            hop, self._fresh = self._fresh[: self._hop], self._fresh[self._hop :]
            self._heard = np.concatenate([self._heard[self._hop :], hop])
            self._at_ms += HOP_MS
            steps.append(self._step(power_dbov(float(np.dot(hop, hop)) / self._hop)))
        return steps

    def _step(self, level_dbov: float) -> Step:
        pitch = self._pitch()
        ended = None
        if self._tone and (pitch is None or not self._continues(*pitch)):
            ended = self._summary()
            self._tone = []
        if pitch is not None:
            if not self._tone:
                # The middle of the window is what it tells of.
                self._began_ms = self._at_ms - _WINDOW_MS // 2 - HOP_MS // 2
            self._tone.append(pitch)
        return Step(self._at_ms, level_dbov, ended, self._summary() if self._tone else None)

    def _summary(self) -> Tone:
        frequencies, levels = zip(*self._tone, strict=True)
        duration_ms = len(self._tone) * HOP_MS
        return Tone(float(np.median(frequencies)), self._began_ms, duration_ms, max(levels))

    def _continues(self, frequency_hz: float, level_dbov: float) -> bool:
        here_hz, here_dbov = self._tone[len(self._tone) // 2]
        same = max(_SAME_HZ, _SAME_SHARE * here_hz)
        return abs(frequency_hz - here_hz) <= same and abs(level_dbov - here_dbov) <= _SAME_DB

    def _pitch(self) -> tuple[float, float] | None:
        """Frequency and level of the window, if it is a tone."""
        weighted = self._heard * self._weights
        energy = float(np.dot(weighted, weighted))
        level_dbov = power_dbov(energy / float(np.dot(self._weights, self._weights))) if energy > 0 else SILENCE_DBOV
        if level_dbov < _QUIET_DBOV:
            return None
        spectrum = np.fft.rfft(weighted, self._fft_size)
        power = spectrum.real**2 + spectrum.imag**2
        peak = int(np.argmax(power))
        if not self._lobe <= peak < len(power) - self._lobe:
            return None
        if power[peak - self._lobe : peak + self._lobe + 1].sum() < _PURE_SHARE * power.sum():
            return None
        # A parabola through the logarithms around the peak finds it to a fraction of a bin.
        left, top, right = np.log(power[peak - 1 : peak + 2] + 1e-30)
        bend = left - 2 * top + right
        offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
        return (peak + float(offset)) * self._bin_hz, level_dbov
