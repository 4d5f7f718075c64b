# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from agent.local.engines import OfflineEngines
from media.resample import resample
from tests.agent.local.recordings import RATE_HZ, prompt, silence

FINISHED = ("conf-invalid", "agent-alreadyon", "vm-review", "demo-thanks", "vm-nobox")


async def test_finished_sentences_are_mostly_believed_and_their_halves_less(engines: OfflineEngines) -> None:
    finished, halves = [], []
    for name in FINISHED:
        samples, _ = prompt(name)
        pause = silence(200)
        finished.append(await engines.turn_detector.end_of_turn(np.concatenate((samples, pause)), RATE_HZ))
        half = samples[: len(samples) // 2]
        halves.append(await engines.turn_detector.end_of_turn(np.concatenate((half, pause)), RATE_HZ))
    assert sum(probability > 0.5 for probability in finished) >= 4
    assert np.mean(finished) > np.mean(halves) + 0.2
    assert all(0 <= probability <= 1 for probability in (*finished, *halves))


async def test_only_the_last_8_s_count(engines: OfflineEngines) -> None:
    samples = np.concatenate([prompt(name)[0] for name in FINISHED])
    whole = await engines.turn_detector.end_of_turn(samples, RATE_HZ)
    assert whole == await engines.turn_detector.end_of_turn(samples[-8 * RATE_HZ :], RATE_HZ)
    assert whole != await engines.turn_detector.end_of_turn(samples[: 8 * RATE_HZ], RATE_HZ)


@pytest.mark.parametrize("rate_hz", [16000, 24000, 48000])
async def test_the_rate_makes_little_difference(engines: OfflineEngines, rate_hz: int) -> None:
    samples = np.concatenate((prompt("conf-invalid")[0], silence(200)))
    at_8_khz = await engines.turn_detector.end_of_turn(samples, RATE_HZ)
    converted = await engines.turn_detector.end_of_turn(resample(samples, RATE_HZ, rate_hz), rate_hz)
    assert converted == pytest.approx(at_8_khz, abs=0.15)


@pytest.mark.parametrize(("name", "probability"), [("conf-invalid", 0.90), ("spy-misdn", 0.04)])
async def test_the_probabilities_are_those_of_pipecats_own_preprocessing(
    engines: OfflineEngines, name: str, probability: float
) -> None:
    samples = np.concatenate((prompt(name)[0], silence(200)))
    assert await engines.turn_detector.end_of_turn(samples, RATE_HZ) == pytest.approx(probability, abs=0.1)


async def test_no_audio_at_all_has_an_answer_too(engines: OfflineEngines) -> None:
    assert 0 <= await engines.turn_detector.end_of_turn(np.empty(0, np.int16), RATE_HZ) <= 1
