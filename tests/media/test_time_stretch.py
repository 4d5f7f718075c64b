# SPDX-License-Identifier: GPL-3.0-or-later
"""Pace without pitch and pitch without pace, at any rate and in any pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.time_stretch import TimeStretch

TONE_HZ = 220.0


def tone(sample_rate_hz: int, seconds: float = 1.0, hz: float = TONE_HZ) -> PcmSamples:
    moments = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    return (8_000 * np.sin(2 * np.pi * hz * moments)).astype(np.int16)


def stretched(samples: PcmSamples, stretch: TimeStretch, piece: int = 160) -> PcmSamples:
    pieces = [stretch.process(samples[begin : begin + piece]) for begin in range(0, len(samples), piece)]
    return np.concatenate([*pieces, stretch.flush()])


def pitch_hz(samples: PcmSamples, sample_rate_hz: int) -> float:
    """Of the middle half: the highest line of its spectrum."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), size))
    return float(np.argmax(spectrum)) * sample_rate_hz / size


@pytest.mark.parametrize("sample_rate_hz", [8_000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize(
    ("rate", "semitones"), [(0.5, 0.0), (0.8, 0.0), (1.25, 0.0), (2.0, 0.0), (1.0, 3.0), (1.0, -4.0), (0.8, -2.0)]
)
def test_a_tone_lasts_as_long_and_sounds_as_high_as_it_should(
    sample_rate_hz: int, rate: float, semitones: float
) -> None:
    output = stretched(tone(sample_rate_hz), TimeStretch(sample_rate_hz, rate, semitones))
    assert len(output) == round(sample_rate_hz / rate)
    expected_hz = TONE_HZ * 2 ** (semitones / 12)
    assert pitch_hz(output, sample_rate_hz) == pytest.approx(expected_hz, rel=0.005)
    middle = output[len(output) // 4 : 3 * len(output) // 4].astype(float)
    assert np.sqrt((middle**2).mean()) == pytest.approx(8_000 / np.sqrt(2), rel=0.1)


def test_at_its_own_pace_and_pitch_nothing_changes() -> None:
    samples = tone(16_000)
    assert np.abs(stretched(samples, TimeStretch(16_000)).astype(int) - samples).max() <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2_000), st.integers(0, 3_000), st.sampled_from([0.7, 1.0, 1.4]), st.sampled_from([0.0, 2.0]))
def test_the_length_is_right_for_any_pieces(piece: int, count: int, rate: float, semitones: float) -> None:
    samples = tone(8_000)[:count]
    whole = stretched(samples, TimeStretch(8_000, rate, semitones), 4_000)
    assert len(whole) == round(count / rate)
    assert np.array_equal(whole, stretched(samples, TimeStretch(8_000, rate, semitones), piece))


def test_a_stream_begins_anew_after_its_end() -> None:
    stretch = TimeStretch(8_000, 0.8, 1.0)
    assert np.array_equal(stretched(tone(8_000), stretch), stretched(tone(8_000), stretch))


def test_little_is_held_back_and_memory_is_bounded() -> None:
    stretch = TimeStretch(8_000, 0.5)
    given_samples = 0
    for _ in range(500):
        given_samples += len(stretch.process(tone(8_000, 0.02)))
    assert 2 * 8_000 * 10.0 - given_samples <= 2 * 8_000 * 0.06
    assert len(stretch._overlap._held) <= 8_000 * 0.1


@pytest.mark.parametrize(("rate", "semitones"), [(0.1, 0.0), (5.0, 0.0), (1.0, 13.0), (float("nan"), 0.0)])
def test_what_cannot_be_done_is_refused(rate: float, semitones: float) -> None:
    with pytest.raises(MediaMisuse):
        TimeStretch(8_000, rate, semitones)
