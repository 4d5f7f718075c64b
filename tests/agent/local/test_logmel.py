# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from agent.local.logmel import HOP_SAMPLES, MEL_BANDS, SAMPLE_RATE_HZ, Waveform, log_mel, waveform


def tone(hz: float, seconds: float) -> Waveform:
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.5 * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def test_a_window_has_eighty_bands_and_a_column_every_10_ms() -> None:
    assert log_mel(tone(440, 1), 3 * SAMPLE_RATE_HZ).shape == (MEL_BANDS, 300)


@pytest.mark.parametrize(("hz", "band"), [(200.0, 4), (1000.0, 26), (3000.0, 55)])
def test_a_tone_is_loudest_in_the_band_whose_centre_it_is_nearest(hz: float, band: int) -> None:
    # Slaney's scale puts the centre of band n (from 0) at (n + 1) * 45.245 / 81 mel; 15 mel are 1 kHz.
    spectrogram = log_mel(tone(hz, 1), SAMPLE_RATE_HZ)
    assert abs(int(spectrogram[:, 50].argmax()) - band) <= 1


def test_the_range_is_80_db_below_the_loudest_cell() -> None:
    spectrogram = log_mel(tone(1000, 1), 2 * SAMPLE_RATE_HZ)
    assert spectrogram.max() - spectrogram.min() == pytest.approx(2.0)


def test_sound_appears_in_the_columns_of_its_time() -> None:
    audio = np.concatenate((np.zeros(SAMPLE_RATE_HZ, np.float32), tone(1000, 1)))
    loudness = log_mel(audio, 3 * SAMPLE_RATE_HZ).max(axis=0)
    assert np.flatnonzero(loudness > loudness.max() - 0.25)[[0, -1]] == pytest.approx([100, 199], abs=1)


def test_what_is_longer_than_the_window_is_cut_at_its_end() -> None:
    audio = tone(1000, 2)
    inside = log_mel(audio, SAMPLE_RATE_HZ)
    assert inside.shape == (MEL_BANDS, SAMPLE_RATE_HZ // HOP_SAMPLES)
    assert np.array_equal(inside, log_mel(audio[:SAMPLE_RATE_HZ], SAMPLE_RATE_HZ))


def test_the_values_are_those_of_whispers_own_preprocessing() -> None:
    # Computed for the same samples with another implementation, whose output is that of faster-whisper to the bit.
    audio = np.random.default_rng(1).normal(0, 0.1, 3 * SAMPLE_RATE_HZ).astype(np.float32)
    spectrogram = log_mel(audio, 10 * SAMPLE_RATE_HZ)
    assert spectrogram[[0, 10, 40, 79], [0, 100, 200, 150]] == pytest.approx(
        [0.417311, 0.626593, 0.610832, 0.534249], abs=1e-5
    )


def test_full_scale_is_one() -> None:
    assert waveform(np.array([-32768, 0, 16384], np.int16)).tolist() == [-1.0, 0.0, 0.5]
