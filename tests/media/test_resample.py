# SPDX-License-Identifier: GPL-3.0-or-later
"""The resampler: same sound, same length, same place, whatever the pieces."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.level import dbov
from media.resample import StreamResampler, resample
from tests.media.sound import noise, sine

RATES_HZ = (8000, 16000, 22050, 24000, 48000)
PAIRS = list(itertools.permutations(RATES_HZ, 2))


def in_pieces(samples: PcmSamples, from_hz: int, to_hz: int, sizes: list[int]) -> PcmSamples:
    resampler = StreamResampler(from_hz, to_hz)
    cuts = np.cumsum(sizes)
    return np.concatenate([resampler.process(piece) for piece in np.split(samples, cuts)] + [resampler.flush()])


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_tone_is_the_same_tone_at_the_other_rate_and_not_shifted(from_hz: int, to_hz: int) -> None:
    heard = in_pieces(sine(1000, 1.0, from_hz), from_hz, to_hz, [from_hz // 50] * 49)
    wanted = sine(1000, 1.0, to_hz).astype(np.float64)
    assert len(heard) == len(wanted)
    middle = slice(to_hz // 10, -to_hz // 10)  # at the ends the filter sees the tone's edge
    error = heard[middle] - wanted[middle]
    assert np.sqrt(np.mean(error**2)) < 10 ** (-60 / 20) * np.sqrt(np.mean(wanted**2))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_every_frame_after_the_first_comes_out_whole_and_the_first_lacks_the_delay(from_hz: int, to_hz: int) -> None:
    resampler = StreamResampler(from_hz, to_hz)
    frame = noise(0.02, from_hz, -20)
    lengths = [len(resampler.process(frame)) for _ in range(50)]
    assert lengths == [to_hz // 50 - resampler.delay_samples] + [to_hz // 50] * 49
    assert len(resampler.flush()) == resampler.delay_samples
    assert resampler.delay_samples / to_hz < 0.0021


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(PAIRS), st.lists(st.integers(0, 700), max_size=12))
def test_how_the_stream_is_cut_changes_nothing(pair: tuple[int, int], sizes: list[int]) -> None:
    samples = noise(0.2, pair[0], -20)
    whole = in_pieces(samples, *pair, [])
    assert np.array_equal(in_pieces(samples, *pair, [min(size, len(samples)) for size in sizes]), whole)
    assert len(whole) == -(-len(samples) * pair[1] // pair[0])


def test_single_samples_are_as_good_as_a_whole_piece() -> None:
    samples = noise(0.05, 22050, -20)
    single = in_pieces(samples, 22050, 8000, [1] * (len(samples) - 1))
    assert np.array_equal(single, in_pieces(samples, 22050, 8000, []))


@pytest.mark.parametrize("to_hz", [8000, 16000])
def test_what_the_lower_rate_cannot_carry_does_not_fold_back(to_hz: int) -> None:
    above = sine(0.75 * to_hz, 1.0, 48000)
    heard = in_pieces(above, 48000, to_hz, [])
    assert dbov(heard[to_hz // 10 : -to_hz // 10]) < dbov(above) - 55


@pytest.mark.parametrize("frequency_hz", [300, 1000, 2000, 3000, 3400])
def test_the_telephone_band_passes_flat(frequency_hz: int) -> None:
    before = sine(frequency_hz, 1.0, 8000)
    up = in_pieces(before, 8000, 16000, [])
    down = in_pieces(up, 16000, 8000, [])
    assert dbov(up[1600:-1600]) == pytest.approx(dbov(before), abs=0.1)
    assert dbov(down[800:-800]) == pytest.approx(dbov(before), abs=0.1)


def test_full_scale_clips_and_does_not_wrap() -> None:
    square = np.where(np.arange(1600) // 16 % 2, 32767, -32768).astype(np.int16)
    heard = in_pieces(square, 8000, 16000, [])
    middle = heard.reshape(-1, 32)[:, 8:24].mean(axis=1)
    assert np.array_equal(np.sign(middle), np.where(np.arange(len(middle)) % 2, 1, -1))


def test_silence_stays_silence() -> None:
    nothing = np.zeros(4000, np.int16)
    assert not in_pieces(nothing, 8000, 48000, [160]).any()
    assert not resample(nothing, 8000, 22050).any()


def test_equal_rates_pass_the_very_samples_through() -> None:
    resampler = StreamResampler(16000, 16000)
    samples = noise(0.02, 16000, -20)
    assert resampler.process(samples) is samples
    assert not len(resampler.flush())
    assert resampler.delay_samples == 0
    assert resample(samples, 16000, 16000) is samples


def test_after_a_flush_a_new_stream_begins() -> None:
    resampler = StreamResampler(24000, 16000)
    samples = noise(0.1, 24000, -20)
    first = np.concatenate((resampler.process(samples), resampler.flush()))
    second = np.concatenate((resampler.process(samples), resampler.flush()))
    assert np.array_equal(first, second)
    assert not len(resampler.flush())


def test_the_streams_memory_does_not_grow() -> None:
    resampler = StreamResampler(22050, 48000)
    for _ in range(200):
        resampler.process(noise(0.02, 22050, -20))
    assert len(resampler._held) < 1000


@pytest.mark.parametrize(("from_hz", "to_hz"), [*PAIRS, (11025, 8000), (44100, 16000), (12345, 8000)])
def test_a_whole_recording_keeps_its_length_and_its_tone(from_hz: int, to_hz: int) -> None:
    heard = resample(sine(1000, 1.0, from_hz), from_hz, to_hz)
    wanted = sine(1000, 1.0, to_hz)
    assert abs(len(heard) - to_hz) <= 1
    middle = slice(to_hz // 10, to_hz * 9 // 10)
    assert dbov(heard[middle] - wanted[middle]) < dbov(wanted) - 60


def test_rates_that_make_no_sense_are_refused() -> None:
    with pytest.raises(MediaMisuse, match="0 Hz"):
        StreamResampler(0, 8000)
    with pytest.raises(MediaMisuse, match="-8000 Hz"):
        resample(np.zeros(10, np.int16), 8000, -8000)
    with pytest.raises(MediaMisuse, match="22051 Hz"):
        StreamResampler(22051, 8000)


def test_nothing_in_is_nothing_out() -> None:
    assert not len(resample(np.empty(0, np.int16), 8000, 16000))
    assert not len(StreamResampler(8000, 16000).process(np.empty(0, np.int16)))
    assert not len(StreamResampler(8000, 16000).flush())
