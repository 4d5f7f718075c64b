# SPDX-License-Identifier: GPL-3.0-or-later
"""Whisper's log-mel spectrogram in numpy, shared by the speech recogniser and the end-of-turn model.

16 kHz audio > 25 ms Hann windows every 10 ms > power spectrum > 80 triangular mel bands (Slaney's scale and area
normalisation) > log10, 80 dB of range below the loudest cell > (x + 4) / 4. As in openai/whisper `audio.py`.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from media.frames import PcmSamples

SAMPLE_RATE_HZ = 16000
HOP_SAMPLES = 160
MEL_BANDS = 80
_FFT_SAMPLES = 400
_POWER_FLOOR = 1e-10
_RANGE_BELOW_PEAK = 8.0
"""In units of log10 of power: 80 dB."""

Waveform = NDArray[np.float32]
"""Audio between -1 and 1, shape (n,)."""


def waveform(samples: PcmSamples) -> Waveform:
    """16-bit samples as floats between -1 and 1."""
    return samples.astype(np.float32) / np.float32(32768)


def log_mel(audio: Waveform, window_samples: int) -> NDArray[np.float32]:
    """The spectrogram of the first `window_samples` at 16 kHz, zero padded at the end; shape (80, window / 160)."""
    window = np.zeros(window_samples, np.float32)
    window[: min(len(audio), window_samples)] = audio[:window_samples]
    padded = np.pad(window, _FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[:window_samples:HOP_SAMPLES]
    spectrum = np.fft.rfft(frames * _hann(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.log10(np.maximum(_mel_filters() @ power.T, _POWER_FLOOR))
    mel = np.maximum(mel, mel.max() - _RANGE_BELOW_PEAK)
    return np.ascontiguousarray((mel + 4.0) / 4.0, dtype=np.float32)


@lru_cache(maxsize=1)
def _hann() -> NDArray[np.float32]:
    """The periodic Hann window."""
    return np.hanning(_FFT_SAMPLES + 1)[:-1].astype(np.float32)


@lru_cache(maxsize=1)
def _mel_filters() -> csr_array:
    """Shape (80, 201): from the FFT's bins to mel bands.

    Sparse, because a dense product would wake all the threads of BLAS.
    """
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, _FFT_SAMPLES // 2 + 1)
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(SAMPLE_RATE_HZ / 2), MEL_BANDS + 2))
    lower, centre, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - lower) / (centre - lower)
    falling = (upper - bins_hz) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (upper - lower))
    return csr_array(triangles.astype(np.float32))


# Slaney's scale: linear up to 1 kHz (15 mel), then logarithmic, 27 mel for a factor of 6.4.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ_PER_MEL if hz < 1000.0 else float(15.0 + np.log(hz / 1000.0) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = 1000.0 * np.exp(_LOG_STEP * (mel - 15.0))
    return np.where(mel < 15.0, mel * _LINEAR_HZ_PER_MEL, logarithmic)
