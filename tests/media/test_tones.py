# SPDX-License-Identifier: GPL-3.0-or-later
"""Tones are where they should be, as loud as they should be, and found again."""

import numpy as np
import pytest

from media.errors import MediaMisuse
from media.level import SILENCE_DBOV, dbov
from media.tones import DTMF_HZ, beep, busy, dtmf, has_tone, ringback, silence, tone, tone_dbov
from tests.media.sound import babble, noise, sine


@pytest.mark.parametrize("digit", sorted(DTMF_HZ))
@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 48000])
def test_each_key_has_its_two_frequencies_and_none_of_the_others(digit: str, sample_rate_hz: int) -> None:
    samples = dtmf(digit, sample_rate_hz)[: sample_rate_hz // 10]
    heard = {
        frequency for pair in DTMF_HZ.values() for frequency in pair if has_tone(samples, frequency, sample_rate_hz)
    }
    assert heard == set(DTMF_HZ[digit])


def test_the_sixteen_keys_are_where_the_recommendation_has_them() -> None:
    assert len(DTMF_HZ) == 16
    assert (DTMF_HZ["1"], DTMF_HZ["0"], DTMF_HZ["#"], DTMF_HZ["D"]) == (
        (697, 1209),
        (941, 1336),
        (941, 1477),
        (941, 1633),
    )


def test_digits_follow_each_other_with_pauses() -> None:
    samples = dtmf("1#a", 8000, on_ms=80, off_ms=50)
    assert len(samples) == 3 * 1040
    assert has_tone(samples[1040:1680], 1477, 8000)
    assert not samples[1680:2080].any()
    assert has_tone(samples[2080:2720], 1633, 8000)
    assert not len(dtmf("", 8000))


@pytest.mark.parametrize("frequencies_hz", [(1000,), (440, 480), (697, 1209)])
def test_the_level_is_that_of_the_whole_signal(frequencies_hz: tuple[int, ...]) -> None:
    assert dbov(tone(frequencies_hz, 1000, 8000, -20)) == pytest.approx(-20, abs=0.1)


def test_a_tone_has_no_click_at_its_ends() -> None:
    samples = tone((1000,), 100, 48000, -10).astype(int)
    assert samples[0] == 0
    assert abs(samples[-1]) < 50
    assert np.abs(np.diff(samples[:48])).max() < 0.6 * np.abs(np.diff(samples)).max()


@pytest.mark.parametrize(
    ("country", "on_ms", "off_ms", "frequency_hz"), [("us", 2000, 4000, 440), ("eu", 1000, 4000, 425)]
)
def test_ringback_rings_in_its_rhythm(country: str, on_ms: int, off_ms: int, frequency_hz: int) -> None:
    samples = ringback(on_ms + off_ms + 500, 8000, country)
    assert len(samples) == 8 * (on_ms + off_ms + 500)
    assert has_tone(samples[: 8 * on_ms], frequency_hz, 8000)
    assert not samples[8 * on_ms : 8 * (on_ms + off_ms)].any()
    assert has_tone(samples[8 * (on_ms + off_ms) :], frequency_hz, 8000)


def test_busy_is_half_sound_half_silence() -> None:
    samples = busy(2000, 8000)
    assert has_tone(samples[:4000], 480, 8000)
    assert has_tone(samples[:4000], 620, 8000)
    assert not samples[4000:8000].any()
    assert has_tone(samples[8000:12000], 620, 8000)
    assert not len(busy(0, 8000))


def test_a_beep_is_one_tone() -> None:
    assert has_tone(beep(16000), 1000, 16000, min_share=0.9)
    assert len(beep(16000, duration_ms=300)) == 4800


@pytest.mark.parametrize("level_dbov", [-6, -20, -40, -60])
@pytest.mark.parametrize("frequency_hz", [350, 1004, 3400])
def test_a_pure_tone_shows_its_own_level(level_dbov: int, frequency_hz: int) -> None:
    assert tone_dbov(sine(frequency_hz, 0.5, 8000, level_dbov), frequency_hz, 8000) == pytest.approx(
        level_dbov, abs=0.1
    )


def test_a_neighbouring_tone_is_not_taken_for_it() -> None:
    samples = sine(1000, 0.1, 8000, -10)
    assert tone_dbov(samples, 1050, 8000) < -40
    assert not has_tone(samples, 1050, 8000)


def test_a_tone_is_found_in_noise_and_not_in_noise_alone_or_in_speech() -> None:
    hiss = noise(0.2, 8000, -30)
    assert has_tone((sine(1000, 0.2, 8000, -30) + hiss).astype(np.int16), 1000, 8000)
    assert not has_tone(hiss, 1000, 8000)
    assert not has_tone(babble(1.0, 8000, -20), 1000, 8000)


def test_silence_holds_no_tone() -> None:
    assert not has_tone(silence(100, 8000), 1000, 8000)
    assert not has_tone(silence(0, 8000), 1000, 8000)
    assert tone_dbov(silence(0, 8000), 1000, 8000) == SILENCE_DBOV


def test_what_cannot_sound_is_refused_without_naming_the_digit() -> None:
    with pytest.raises(MediaMisuse, match="0-9") as refused:
        dtmf("12x4", 8000)
    assert "x4" not in str(refused.value)
    with pytest.raises(MediaMisuse, match="4000"):
        tone((4000,), 100, 8000)
    with pytest.raises(MediaMisuse, match="2 sines"):
        tone((697, 1209), 100, 8000, level_dbov=-3)
    with pytest.raises(MediaMisuse, match="'xx'"):
        ringback(100, 8000, "xx")
    with pytest.raises(MediaMisuse):
        tone_dbov(silence(100, 8000), 0, 8000)
