# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario's caller says, rendered before the call: voice at its level, pauses as long as they say, noise."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.services.tts import SpeechStyle, TextToSpeech
from agent.speakable import speakable
from gateway.evaluation.scenario import Scenario, Step
from gateway.softphone.spurts import audible_windows
from media.frames import PcmSamples
from media.level import FULL_SCALE
from media.wav import read_wav

_EDGE_S = 0.1
"""Silence around what is said."""
_NOISE_HZ = 16000
_NOISE_S = 10.0
_WINDOWS_PER_S = 200
"""Of `audible_windows`."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Sound at any rate."""

    samples: PcmSamples
    sample_rate_hz: int


async def render(scenario: Scenario, step: Step, tts: TextToSpeech) -> Speech:
    """What a step with `say` or `play` says. Raises `ServiceError`, `AudioFileError`."""
    table = scenario.caller
    wanted_dbov = table.level_dbov if step.level_dbov is None else step.level_dbov
    if step.play is not None:
        samples, rate_hz = await asyncio.to_thread(read_wav, scenario.folder / step.play)
        return Speech(_at_level(samples, rate_hz, wanted_dbov), rate_hz)
    spoken: list[PcmSamples | int] = []
    rate_hz = 0
    for part in step.say:
        if isinstance(part, int):
            spoken.append(part)
            continue
        style = SpeechStyle(rate=step.pace or table.pace)
        chunks = [chunk async for chunk in tts.synthesize(speakable(part), style=style)]
        rate_hz = chunks[0].sample_rate_hz
        spoken.append(_trimmed(np.concatenate([chunk.samples for chunk in chunks]), rate_hz))
    edge = _silence(_EDGE_S, rate_hz)
    parts = [_silence(part / 1e3, rate_hz) if isinstance(part, int) else part for part in spoken]
    return Speech(_at_level(np.concatenate([edge, *parts, edge]), rate_hz, wanted_dbov), rate_hz)


def render_background(scenario: Scenario) -> Speech | None:
    """The noise, so far below the voice as the scenario has it; None on a clean line. Raises `AudioFileError`."""
    table = scenario.caller
    dbov = table.level_dbov - table.snr_db
    if isinstance(table.noise, Path):
        samples, rate_hz = read_wav(scenario.folder / table.noise)
        return Speech(_levelled(samples.astype(np.float64), dbov), rate_hz)
    if table.noise == "none":
        return None
    signal = np.random.default_rng(table.seed).standard_normal(round(_NOISE_S * _NOISE_HZ))
    if table.noise == "pink":
        spectrum = np.fft.rfft(signal)
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        spectrum[0] = 0.0
        signal = np.fft.irfft(spectrum, len(signal))
    return Speech(_levelled(signal, dbov), _NOISE_HZ)


def _silence(seconds: float, sample_rate_hz: int) -> PcmSamples:
    return np.zeros(round(seconds * sample_rate_hz), np.int16)


def _trimmed(samples: PcmSamples, sample_rate_hz: int) -> PcmSamples:
    """Without the silence at both ends: a pause in the script is as long as it says."""
    size = sample_rate_hz // _WINDOWS_PER_S
    audible = np.flatnonzero(audible_windows(samples, sample_rate_hz))
    return samples[audible[0] * size : (audible[-1] + 1) * size] if len(audible) else samples


def _at_level(samples: PcmSamples, sample_rate_hz: int, dbov: float) -> PcmSamples:
    """With its audible parts at that level."""
    audible = np.repeat(audible_windows(samples, sample_rate_hz), sample_rate_hz // _WINDOWS_PER_S)
    voiced = samples[: len(audible)][audible.astype(bool)]
    return _amplified(samples.astype(np.float64), _rms(voiced.astype(np.float64)), dbov)


def _levelled(signal: NDArray[np.float64], dbov: float) -> PcmSamples:
    return _amplified(signal, _rms(signal), dbov)


def _amplified(signal: NDArray[np.float64], rms: float, dbov: float) -> PcmSamples:
    """Clipped where it would be beyond full scale."""
    gain = FULL_SCALE * 10 ** (dbov / 20) / rms if rms else 1.0
    amplified: PcmSamples = np.clip(np.rint(signal * gain), -32768, 32767).astype(np.int16)
    return amplified


def _rms(signal: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(signal)))) if len(signal) else 0.0
