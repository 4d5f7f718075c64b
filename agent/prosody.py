# SPDX-License-Identifier: GPL-3.0-or-later
"""How a turn sounded: loudness, pitch, pauses, and whether it was laughter. Pure numpy, for a worker thread.

    samples > 8 kHz > frames of 40 ms every 20 ms > level, pitch (normalised autocorrelation) > TurnSound

Pitch after P. McLeod and G. Wyvill, "A smarter way to find pitch", ICMC 2005: the first peak of the normalised square
difference that is nearly as high as the highest; without windowing, so that quiet frames count like loud ones. What the
figures mean for a caller is decided in `agent.caller_mood`, against that caller's own habit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media.frames import PcmSamples
from media.level import FULL_SCALE, power_dbov
from media.resample import resample

_RATE_HZ = 8000
_FRAME = 320
_HOP = 160
_HOP_S = _HOP / _RATE_HZ
_LOWEST_LAG = _RATE_HZ // 400
_HIGHEST_LAG = _RATE_HZ // 60
_FFT = 512
_VOICED = 0.6
"""Normalised autocorrelation from here on is a voice."""
_NEARLY = 0.9
"""Of the highest peak: an earlier one as high as this is the pitch, the later ones its multiples."""
_BELOW_LOUD_DB = 30.0
"""Speech is at most so far below its loud frames..."""
_ABOVE_NOISE_DB = 8.0
"""... and at least so far above the noise."""
_FLOOR_DBOV = -60.0
_PAUSE_S = 0.2
"""Shorter gaps are part of a word (the closure before a `t`)."""
_BURSTS_PER_S = (3.0, 7.0)
_FEWEST_BURSTS = 4
_BURST_UNEVENNESS = 0.2
"""So far an interval between bursts may be from the mean of those before: syllables of speech are far less even."""


@dataclass(frozen=True, slots=True)
class TurnSound:
    """What was measured of one turn, from its first sound to its last."""

    speech_s: float
    """Without the pauses."""
    level_dbov: float | None
    """Mean of the speech frames, as it was given to us; None: it cannot be told."""
    pitch_hz: float | None
    """Median; None: hardly anything was voiced."""
    pitch_range_semitones: float
    """Between the tenths of the voiced frames at either end."""
    pauses_s: tuple[float, ...]
    """Of 0.2 s and more, within the turn."""
    laughter_bursts: int
    """Even bursts of voice, 3 to 7 a second, in the longest run of them; 0: none."""

    @property
    def pause_share(self) -> float:
        """Of the time between first and last sound."""
        paused_s = sum(self.pauses_s)
        return paused_s / (paused_s + self.speech_s) if self.speech_s else 0.0


NOTHING = TurnSound(0.0, None, None, 0.0, (), 0)


def measure(samples: PcmSamples, sample_rate_hz: int) -> TurnSound:
    """Measure a turn, int16, shape (n,), any rate. Some 5 ms of work for 8 s."""
    signal = resample(samples, sample_rate_hz, _RATE_HZ).astype(np.float32) / FULL_SCALE
    if len(signal) < 2 * _FRAME:
        return NOTHING
    frames = np.lib.stride_tricks.sliding_window_view(signal, _FRAME)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.maximum((frames**2).mean(axis=1), 1e-12)
    is_speech = _speech(10 * np.log10(power))
    sounding = np.flatnonzero(is_speech)
    if not len(sounding):
        return NOTHING
    pauses_s, pause_frames = _pauses(is_speech, int(sounding[0]), int(sounding[-1]))
    pitches = _pitches(frames[is_speech])
    low, median, high = np.percentile(pitches, (10, 50, 90)) if len(pitches) >= 5 else (0.0, 0.0, 0.0)
    return TurnSound(
        speech_s=round((int(sounding[-1]) - int(sounding[0]) + 1 - pause_frames) * _HOP_S, 2),
        level_dbov=round(power_dbov(float(power[is_speech].mean())), 1),
        pitch_hz=round(float(median), 1) if median else None,
        pitch_range_semitones=round(float(12 * np.log2(high / low)), 1) if median else 0.0,
        pauses_s=pauses_s,
        laughter_bursts=_bursts(power[sounding[0] : sounding[-1] + 1]),
    )


def _speech(levels_db: NDArray[np.float32]) -> NDArray[np.bool_]:
    loud = float(np.percentile(levels_db, 95))
    noise = min(float(np.percentile(levels_db, 5)), loud - 2 * _ABOVE_NOISE_DB)
    return levels_db > max(_FLOOR_DBOV, loud - _BELOW_LOUD_DB, noise + _ABOVE_NOISE_DB)


def _pauses(is_speech: NDArray[np.bool_], first: int, last: int) -> tuple[tuple[float, ...], int]:
    edges = np.flatnonzero(np.diff(is_speech[first : last + 1].astype(np.int8)))
    lengths = (edges[1::2] - edges[0::2])[: len(edges) // 2]
    pauses = lengths[lengths * _HOP_S >= _PAUSE_S]
    return tuple(round(float(length) * _HOP_S, 2) for length in pauses), int(pauses.sum())


def _pitches(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the voiced ones among these frames, Hz."""
    spectrum = np.fft.rfft(frames, _FFT)
    likeness = np.fft.irfft(np.abs(spectrum) ** 2, _FFT)[:, : _HIGHEST_LAG + 2]
    squares = np.cumsum(frames**2, axis=1)
    lags = np.arange(_HIGHEST_LAG + 2)
    # The energy of what overlaps at each lag, from both sides.
    both = squares[:, _FRAME - 1 - lags] + squares[:, -1:] - np.where(lags > 0, squares[:, np.maximum(lags - 1, 0)], 0)
    normal = 2 * likeness / np.maximum(both, 1e-9)
    inner = normal[:, 1:-1]
    is_peak = (inner > normal[:, :-2]) & (inner >= normal[:, 2:])
    is_peak[:, : _LOWEST_LAG - 1] = False
    heights = np.where(is_peak, inner, 0.0)
    highest = heights.max(axis=1)
    voiced = highest >= _VOICED
    if not voiced.any():
        return np.empty(0)
    lag = np.argmax(heights[voiced] >= _NEARLY * highest[voiced, None], axis=1) + 1
    rows = np.flatnonzero(voiced)
    before, at, after = normal[rows, lag - 1], normal[rows, lag], normal[rows, lag + 1]
    bend = before - 2 * at + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    pitches: NDArray[np.float64] = _RATE_HZ / (lag + shift)
    return pitches


def _bursts(power: NDArray[np.float32]) -> int:
    """The longest run of evenly spaced bursts: "ha ha ha ha"."""
    smooth = np.convolve(power, np.ones(3) / 3, mode="same")
    peaks = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
    peaks = peaks[smooth[peaks] > 0.2 * smooth.max()]
    # A burst stands out: between two of them it is at least 6 dB softer.
    kept: list[int] = []
    for peak in peaks.tolist():
        if not kept or smooth[kept[-1] : peak].min() < 0.25 * min(smooth[kept[-1]], smooth[peak]):
            kept.append(peak)
    longest, run = 0, 0
    mean_s = 0.0
    for gap_s in (np.diff(kept) * _HOP_S).tolist():
        if not 1 / _BURSTS_PER_S[1] <= gap_s <= 1 / _BURSTS_PER_S[0]:
            run = 0
            continue
        is_even = run and abs(gap_s - mean_s) <= _BURST_UNEVENNESS * mean_s
        run = run + 1 if is_even else 1
        mean_s += (gap_s - mean_s) / run if is_even else gap_s - mean_s
        longest = max(longest, run + 1)
    return longest if longest >= _FEWEST_BURSTS else 0
