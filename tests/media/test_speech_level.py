# SPDX-License-Identifier: GPL-3.0-or-later
"""Active speech level and noise floor, against a P.56 meter written the long way, on recorded speech."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from media.frames import PcmSamples
from media.level import SILENCE_DBOV, dbov
from media.speech_level import SpeechLevelMeter
from tests.agent.local.recordings import over_the_line, prompts
from tests.media.sound import frames, noise, sine

RATE_HZ = 8000


def measured(samples: PcmSamples) -> SpeechLevelMeter:
    meter = SpeechLevelMeter()
    meter.receive(list(frames(samples, RATE_HZ)))
    return meter


def p56(samples: PcmSamples) -> float:
    """ITU-T P.56, method B, sample by sample: two exponential averages of 30 ms, 200 ms of hangover."""
    signal = samples.astype(np.float64) / 32768
    keep = np.exp(-1 / (RATE_HZ * 0.03))
    once = lfilter([1 - keep], [1, -keep], np.abs(signal))
    envelope: NDArray[np.float64] = lfilter([1 - keep], [1, -keep], once)
    hangover = RATE_HZ // 5
    power = float(np.sum(signal**2))
    before = None
    for threshold_db in np.arange(0, -96, -0.5):
        above = np.flatnonzero(envelope >= 10 ** (threshold_db / 20))
        if not len(above):
            continue
        gaps = np.diff(above, append=above[-1] + hangover + 1)
        active = float(np.minimum(gaps, hangover + 1).sum())
        level_db = 10 * np.log10(power / active)
        excess = level_db - threshold_db - 15.9
        if excess >= 0:
            assert before is not None
            share = before[1] / (before[1] - excess)
            return float(before[0] + share * (level_db - before[0]))
        before = level_db, excess
    raise AssertionError("there is no speech in it")


def sentences(first: int, gap_s: float) -> PcmSamples:
    gap = np.zeros(round(gap_s * RATE_HZ))
    pieces = [np.concatenate((over_the_line(path), gap)) for path, _ in list(prompts().values())[first : first + 5]]
    return np.concatenate(pieces).astype(np.int16)


@pytest.mark.parametrize("first", [0, 60, 120, 180])
@pytest.mark.parametrize("gap_s", [0.2, 3.0])
def test_the_level_is_that_of_p56(first: int, gap_s: float) -> None:
    speech = sentences(first, gap_s)
    speech = (speech + noise(len(speech) / RATE_HZ, RATE_HZ, -70)[: len(speech)]).astype(np.int16)
    assert measured(speech).levels.speech_dbov == pytest.approx(p56(speech), abs=0.7)


def test_pauses_do_not_count() -> None:
    dense, sparse = (measured(sentences(30, gap_s)).levels.speech_dbov for gap_s in (0.0, 6.0))
    assert dense is not None
    assert sparse == pytest.approx(dense, abs=0.7)


def test_a_louder_caller_is_that_much_louder() -> None:
    speech = sentences(0, 0.5)
    soft, loud = (measured((speech * gain).astype(np.int16)).levels.speech_dbov for gain in (0.1, 1.0))
    assert soft is not None
    assert loud == pytest.approx(soft + 20, abs=0.5)


@pytest.mark.parametrize("noise_dbov", [-65.0, -50.0, -40.0])
def test_the_noise_beneath_is_found_while_somebody_speaks(noise_dbov: float) -> None:
    speech = sentences(0, 1.0)
    noisy = (speech + noise(len(speech) / RATE_HZ, RATE_HZ, noise_dbov)[: len(speech)]).astype(np.int16)
    assert measured(noisy).levels.noise_dbov == pytest.approx(noise_dbov, abs=1.5)


def test_a_tone_has_the_level_it_has() -> None:
    tone = sine(1000, 5.0, RATE_HZ, -15)
    levels = measured(tone).levels
    assert levels.speech_dbov == pytest.approx(dbov(tone), abs=0.1)
    assert levels.peak_dbov == pytest.approx(-15, abs=1.0)


def test_digital_silence_is_nobodys_level() -> None:
    meter = measured(np.zeros(20 * RATE_HZ, np.int16))
    assert meter.levels.speech_dbov is None
    assert meter.levels.noise_dbov is None
    assert SILENCE_DBOV < -100


def test_half_a_word_is_no_level_yet() -> None:
    assert measured(noise(0.3, RATE_HZ, -20)).levels.speech_dbov is None
