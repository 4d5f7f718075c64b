# SPDX-License-Identifier: GPL-3.0-or-later
"""Call progress is recognised at every rate, soft or in noise; speech, noise and keys are none of it."""

from collections.abc import Sequence

import numpy as np
import pytest

from media.cadence import BusyHeard, CongestionHeard, RingbackHeard
from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.progress import (
    BeepHeard,
    CallProgress,
    FaxAnswered,
    FaxCalling,
    ProgressEvent,
    SitHeard,
    SitKind,
)
from media.tones import busy, congestion, dtmf, ringback, silence, tone
from tests.media.sound import babble, noise

_LOW, _HIGH = 913.8, 985.2
_LOW2, _HIGH2 = 1370.6, 1428.5
_THIRD = (1776.7, 380)
RATES = pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 48000])
LINES = pytest.mark.parametrize(
    ("level_dbov", "noise_dbov"), [(-10.0, -120.0), (-24.0, -50.0), (-33.0, -60.0), (-20.0, -40.0)]
)
"""How loud the signal is, and the noise of the line."""


def hear(
    *parts: PcmSamples, sample_rate_hz: int = 8000, noise_dbov: float = -120.0, frame_samples: int = 0
) -> list[ProgressEvent]:
    """What a leg that is quiet for half a second before and after makes of the parts."""
    quiet = silence(500, sample_rate_hz)
    heard = np.concatenate([quiet, *parts, quiet]).astype(np.int64)
    if noise_dbov > -100:
        heard += noise(len(heard) / sample_rate_hz, sample_rate_hz, noise_dbov, seed=5)[: len(heard)]
    line = np.clip(heard, -32768, 32767).astype(np.int16)
    progress = CallProgress(sample_rate_hz)
    step = frame_samples or sample_rate_hz // 50
    return [event for at in range(0, len(line), step) for event in progress.receive(line[at : at + step])]


def tones(parts: Sequence[tuple[float, int]], sample_rate_hz: int, level_dbov: float = -20.0) -> PcmSamples:
    """One tone after another, each its frequency and milliseconds; 0 Hz is silence."""
    made = [tone((hz,), ms, sample_rate_hz, level_dbov) if hz else silence(ms, sample_rate_hz) for hz, ms in parts]
    return np.concatenate(made)


@RATES
@LINES
@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ((_LOW, 274), (_LOW2, 274), SitKind.INTERCEPT),
        ((_HIGH, 380), (_LOW2, 274), SitKind.VACANT),
        ((_LOW, 274), (_HIGH2, 380), SitKind.REORDER),
        ((_HIGH, 274), (_LOW2, 380), SitKind.REORDER),
        ((_HIGH, 380), (_HIGH2, 380), SitKind.NO_CIRCUIT),
        ((_LOW, 380), (_LOW2, 380), SitKind.NO_CIRCUIT),
        ((950.0, 330), (1400.0, 330), SitKind.UNSPECIFIED),
    ],
)
def test_special_information_tones_are_told_apart(
    first: tuple[float, int],
    second: tuple[float, int],
    kind: SitKind,
    sample_rate_hz: int,
    level_dbov: float,
    noise_dbov: float,
) -> None:
    third = (1800.0, 330) if kind is SitKind.UNSPECIFIED else _THIRD
    sound = tones([first, second, third], sample_rate_hz, level_dbov)
    (event,) = hear(sound, sample_rate_hz=sample_rate_hz, noise_dbov=noise_dbov)
    assert isinstance(event, SitHeard)
    assert event.kind is kind


def test_gaps_between_the_tones_up_to_itus_30_ms_are_none() -> None:
    sound = tones([(950, 330), (0, 30), (1400, 330), (0, 30), (1800, 330)], 8000)
    assert [type(event) for event in hear(sound)] == [SitHeard]


def test_three_tones_in_another_order_or_far_apart_are_no_information_tones() -> None:
    falling = tones([(1776.7, 380), (1370.6, 274), (913.8, 274)], 8000)
    apart = tones([(913.8, 274), (0, 200), (1370.6, 274), (0, 200), (1776.7, 380)], 8000)
    assert not any(isinstance(event, SitHeard) for event in hear(falling) + hear(apart))


@RATES
@LINES
@pytest.mark.parametrize("country", ["us", "eu"])
def test_every_ring_is_told_once(country: str, sample_rate_hz: int, level_dbov: float, noise_dbov: float) -> None:
    sound = _at(ringback(18_000, sample_rate_hz, country), level_dbov)
    events = hear(sound, sample_rate_hz=sample_rate_hz, noise_dbov=noise_dbov)
    assert [type(event) for event in events] == [RingbackHeard] * len(events)
    assert {event.country for event in events if isinstance(event, RingbackHeard)} == {country}
    assert len(events) == (3 if country == "us" else 4)


@RATES
@LINES
@pytest.mark.parametrize("country", ["us", "eu"])
def test_busy_and_congestion_are_told_once_and_apart(
    country: str, sample_rate_hz: int, level_dbov: float, noise_dbov: float
) -> None:
    engaged = _at(busy(6000, sample_rate_hz, country), level_dbov)
    crowded = _at(congestion(6000, sample_rate_hz, country), level_dbov)
    for sound, kind in ((engaged, BusyHeard), (crowded, CongestionHeard)):
        (event,) = hear(sound, sample_rate_hz=sample_rate_hz, noise_dbov=noise_dbov)
        assert isinstance(event, kind)
        assert event.country == country


@RATES
@LINES
def test_a_calling_fax_machine_is_known_by_its_second_tone(
    sample_rate_hz: int, level_dbov: float, noise_dbov: float
) -> None:
    once = [(1100.0, 500), (0.0, 3000)]
    first = hear(tones(once, sample_rate_hz, level_dbov), sample_rate_hz=sample_rate_hz, noise_dbov=noise_dbov)
    assert first == []
    (event,) = hear(tones(once * 2, sample_rate_hz, level_dbov), sample_rate_hz=sample_rate_hz, noise_dbov=noise_dbov)
    assert isinstance(event, FaxCalling)


@RATES
@LINES
def test_an_answering_fax_machine_is_told_once(sample_rate_hz: int, level_dbov: float, noise_dbov: float) -> None:
    sound = tones([(2100, 3000)], sample_rate_hz, level_dbov)
    (event,) = hear(sound, sample_rate_hz=sample_rate_hz, noise_dbov=noise_dbov)
    assert isinstance(event, FaxAnswered)
    assert 1400 <= event.at_ms <= 1700  # a second of it


@RATES
@LINES
@pytest.mark.parametrize(
    ("frequency_hz", "duration_ms"), [(440, 100), (800, 300), (1000, 500), (1400, 2000), (2180, 200)]
)
def test_a_beep_and_then_silence_is_told(
    frequency_hz: int, duration_ms: int, sample_rate_hz: int, level_dbov: float, noise_dbov: float
) -> None:
    announcement = babble(1.0, sample_rate_hz, level_dbov)
    sound = tones([(0, 300), (frequency_hz, duration_ms)], sample_rate_hz, level_dbov)
    (event,) = hear(announcement, sound, sample_rate_hz=sample_rate_hz, noise_dbov=noise_dbov)
    assert isinstance(event, BeepHeard)
    assert event.frequency_hz == pytest.approx(frequency_hz, abs=5)
    assert event.duration_ms == pytest.approx(duration_ms, abs=40)


@pytest.mark.parametrize(("frequency_hz", "duration_ms"), [(1000, 60), (1000, 2300), (350, 300), (2400, 300)])
def test_a_tone_too_short_too_long_too_low_or_too_high_is_no_beep(frequency_hz: int, duration_ms: int) -> None:
    assert hear(tones([(frequency_hz, duration_ms)], 8000)) == []


def test_a_tone_that_speech_or_another_tone_follows_is_no_beep() -> None:
    assert hear(tones([(1000, 300)], 8000), babble(1.0, 8000, -20)) == []
    assert hear(tones([(1000, 300), (1300, 300)], 8000)) == []


def test_speech_noise_keys_and_silence_are_no_progress() -> None:
    for sound in (
        babble(20.0, 8000, -20, seed=3),
        noise(20.0, 8000, -25),
        dtmf("0123456789*#ABCD" * 3, 8000),
        silence(5000, 8000),
    ):
        assert hear(sound) == []


def test_how_the_audio_is_cut_does_not_matter() -> None:
    sound = np.concatenate([ringback(7000, 8000), tones([(950, 330), (1400, 330), (1800, 330)], 8000)])
    wanted = hear(sound)
    assert [type(event) for event in wanted] == [RingbackHeard, SitHeard]
    for frame_samples in (1, 77, 240, 8000, 100_000):
        assert hear(sound, frame_samples=frame_samples) == wanted


def test_a_rate_that_no_leg_has_is_refused() -> None:
    with pytest.raises(MediaMisuse, match="44100"):
        CallProgress(44100)


def _at(samples: PcmSamples, level_dbov: float) -> PcmSamples:
    """What was made at -13 dBov, at another level."""
    scaled: PcmSamples = np.rint(samples * 10 ** ((level_dbov + 13) / 20)).astype(np.int16)
    return scaled
