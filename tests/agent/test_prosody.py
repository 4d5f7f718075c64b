# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured of sounds whose properties are known."""

import numpy as np
import pytest

from agent.prosody import NOTHING, measure
from media.frames import PcmSamples

RATE_HZ = 8_000


def voice(seconds: float, hz: float = 120.0, level: float = 5_000, sample_rate_hz: int = RATE_HZ) -> PcmSamples:
    """Six harmonics, as a throat makes them."""
    moments = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    harmonics = sum(np.sin(2 * np.pi * hz * order * moments) / order for order in range(1, 7))
    return np.asarray(level * harmonics, np.int16)


def quiet(seconds: float) -> PcmSamples:
    return np.random.default_rng(1).integers(-4, 5, round(seconds * RATE_HZ)).astype(np.int16)


@pytest.mark.parametrize("hz", [75.0, 110.0, 180.0, 260.0, 350.0])
@pytest.mark.parametrize("sample_rate_hz", [8_000, 16_000, 48_000])
def test_the_pitch_of_a_voice(hz: float, sample_rate_hz: int) -> None:
    sound = measure(voice(1.0, hz, sample_rate_hz=sample_rate_hz), sample_rate_hz)
    assert sound.pitch_hz == pytest.approx(hz, rel=0.01)
    assert sound.pitch_range_semitones < 0.5


def test_a_glide_has_a_range() -> None:
    moments = np.arange(2 * RATE_HZ) / RATE_HZ
    glide = (8_000 * np.sin(2 * np.pi * (100 * moments + 25 * moments**2))).astype(np.int16)
    sound = measure(glide, RATE_HZ)
    assert sound.pitch_hz == pytest.approx(150, rel=0.05)
    assert sound.pitch_range_semitones == pytest.approx(9.6, abs=1.5)


def test_noise_has_no_pitch() -> None:
    noise = np.random.default_rng(2).normal(0, 2_000, RATE_HZ).astype(np.int16)
    assert measure(noise, RATE_HZ).pitch_hz is None


def test_twice_the_amplitude_is_six_decibels() -> None:
    soft, loud = measure(voice(1.0, level=2_000), RATE_HZ), measure(voice(1.0, level=4_000), RATE_HZ)
    assert soft.level_dbov is not None
    assert loud.level_dbov is not None
    assert loud.level_dbov - soft.level_dbov == pytest.approx(6.0, abs=0.2)


def test_pauses_within_the_turn_count_and_those_around_it_do_not() -> None:
    sound = measure(
        np.concatenate([quiet(1.0), voice(0.8), quiet(0.6), voice(0.5), quiet(0.1), voice(0.5), quiet(1.0)]), RATE_HZ
    )
    assert len(sound.pauses_s) == 1
    assert sound.pauses_s[0] == pytest.approx(0.6, abs=0.06)
    assert sound.speech_s == pytest.approx(1.9, abs=0.12)
    assert sound.pause_share == pytest.approx(0.24, abs=0.04)


def test_even_bursts_are_laughter_and_a_steady_voice_is_not() -> None:
    bursts = np.concatenate([piece for _ in range(6) for piece in (voice(0.12, 250), quiet(0.1))])
    assert measure(bursts, RATE_HZ).laughter_bursts >= 5
    assert measure(voice(2.0), RATE_HZ).laughter_bursts == 0


@pytest.mark.parametrize("samples", [np.empty(0, np.int16), np.zeros(16_000, np.int16), voice(0.05)])
def test_what_is_no_speech_measures_nothing(samples: PcmSamples) -> None:
    assert measure(samples, RATE_HZ) == NOTHING
