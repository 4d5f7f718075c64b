# SPDX-License-Identifier: GPL-3.0-or-later
"""Levels in dBov, as RFC 6464 and RFC 6465 mean them."""

import numpy as np
import pytest

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.level import SILENCE_DBOV, LevelMeter, dbov
from tests.media.sound import noise, sine


def test_a_full_scale_square_wave_is_at_zero() -> None:
    assert dbov(np.full(160, -32768, np.int16)) == pytest.approx(0.0)


def test_a_full_scale_sine_is_at_minus_three() -> None:
    assert dbov((32767 * np.sin(np.arange(8000) / 3)).astype(np.int16)) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("samples", [np.zeros(160, np.int16), np.empty(0, np.int16)])
def test_silence_and_nothing_are_at_minus_127(samples: PcmSamples) -> None:
    assert dbov(samples) == SILENCE_DBOV


def test_the_quietest_sample_is_above_silence() -> None:
    assert dbov(np.ones(160, np.int16)) == pytest.approx(-90.3, abs=0.1)


def test_the_meter_knows_lately_from_in_all() -> None:
    meter = LevelMeter(8000)
    for block in np.split(np.concatenate((noise(2.0, 8000, -20), noise(2.0, 8000, -50))), 200):
        meter.add(block)
    assert meter.recent_dbov == pytest.approx(-41.5, abs=1.5)  # 2 s are five time constants: 21.7 dB down
    assert meter.mean_dbov == pytest.approx(-23.0, abs=0.1)
    assert meter.peak_dbov == pytest.approx(-7.0, abs=2.0)


def test_the_meter_is_right_from_its_first_block() -> None:
    meter = LevelMeter(16000)
    meter.add(sine(500, 0.02, 16000, -30))
    assert meter.recent_dbov == pytest.approx(-30, abs=0.1)
    assert meter.mean_dbov == pytest.approx(-30, abs=0.1)


def test_a_meter_that_heard_nothing_shows_silence() -> None:
    meter = LevelMeter(8000)
    meter.add(np.empty(0, np.int16))
    assert (meter.recent_dbov, meter.mean_dbov, meter.peak_dbov) == (SILENCE_DBOV,) * 3


def test_the_peak_of_the_most_negative_sample_is_full_scale() -> None:
    meter = LevelMeter(8000)
    meter.add(np.array([0, -32768, 5], np.int16))
    assert meter.peak_dbov == pytest.approx(0.0)


def test_a_meter_needs_a_rate_and_a_window() -> None:
    with pytest.raises(MediaMisuse):
        LevelMeter(8000, window_ms=0)
