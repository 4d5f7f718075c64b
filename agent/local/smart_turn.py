# SPDX-License-Identifier: GPL-3.0-or-later
"""smart-turn v3: has the caller finished, or only paused? Judged from the sound of the last 8 s.

    the turn's audio > its last 8 s at 16 kHz, zeros in front of less > mean 0, variance 1 > log-mel 80 x 800 > model

An accelerator, not a judge: ask once, after some 200 ms of silence (more silence makes it say "finished"), and let
short answers, which score low ("five" 0.47, "goodbye" 0.07), be ended by time or by `agent.cues`.
"""

from pathlib import Path

import numpy as np

from agent.local.inference import InferencePool, Priority
from agent.local.logmel import SAMPLE_RATE_HZ, Waveform, log_mel, waveform
from agent.local.onnx import OnnxModel
from media.frames import PcmSamples
from media.resample import resample

_WINDOW_S = 8
_VARIANCE_FLOOR = 1e-7


class SmartTurnModel:
    """The weights, shared by all calls. `judge` may run in several threads at once."""

    def __init__(self, path: Path) -> None:
        """Raises `ModelError`."""
        self._model = OnnxModel(path)

    def judge(self, samples: PcmSamples, sample_rate_hz: int) -> float:
        """Probability that the turn that ends with these samples is over."""
        window = np.zeros(_WINDOW_S * SAMPLE_RATE_HZ, np.float32)
        audio = _newest(samples, sample_rate_hz)
        if len(audio):
            window[-len(audio) :] = audio
        normalised = (window - window.mean()) / np.sqrt(window.var() + _VARIANCE_FLOOR)
        features = log_mel(normalised, len(window))[np.newaxis]
        (probability,) = self._model.run(None, {"input_features": features})
        return float(probability[0, 0])


def _newest(samples: PcmSamples, sample_rate_hz: int) -> Waveform:
    return waveform(resample(samples[-_WINDOW_S * sample_rate_hz :], sample_rate_hz, SAMPLE_RATE_HZ))


class SmartTurnDetector:
    """A `TurnDetector` on one model, shared by all calls."""

    def __init__(self, model: SmartTurnModel, pool: InferencePool) -> None:
        self._model = model
        self._pool = pool

    async def end_of_turn(self, samples: PcmSamples, sample_rate_hz: int) -> float:
        return await self._pool.run(Priority.END_OF_TURN, self._model.judge, samples, sample_rate_hz)

    async def aclose(self) -> None:
        """Nothing to do: the pool and the model belong to whoever made them."""
