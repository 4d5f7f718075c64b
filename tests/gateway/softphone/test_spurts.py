# SPDX-License-Identifier: GPL-3.0-or-later
"""The softphone's ear: when did the far end speak?"""

import numpy as np
import pytest

from gateway.softphone.spurts import Spurt, SpurtDetector, last_audible_sample
from media.frames import PcmFrame, PcmSamples
from media.tones import silence, tone

RATE_HZ = 8000
FRAME = 160


def _feed(detector: SpurtDetector, samples: PcmSamples, start: float = 100.0) -> list[Spurt]:
    spurts = []
    for index in range(len(samples) // FRAME):
        pcm = samples[index * FRAME : (index + 1) * FRAME].astype("<i2").tobytes()
        spurt = detector.receive_frame(PcmFrame(pcm, RATE_HZ, index * FRAME, start + index * 0.020))
        spurts += [spurt] if spurt else []
    return spurts


def _sound(duration_ms: int) -> PcmSamples:
    return tone((400.0,), duration_ms, RATE_HZ, level_dbov=-20.0)


def _quiet(duration_ms: int) -> PcmSamples:
    return silence(duration_ms, RATE_HZ)


def test_a_spurt_is_found_to_five_milliseconds() -> None:
    audio = np.concatenate([_quiet(505), _sound(700), _quiet(1500)])
    (spurt,) = _feed(SpurtDetector(gap_ms=1200), audio)
    assert spurt.started_at == pytest.approx(100.505, abs=0.006)
    assert spurt.ended_at == pytest.approx(101.205, abs=0.006)


def test_a_pause_shorter_than_the_gap_does_not_end_a_spurt() -> None:
    audio = np.concatenate([_sound(500), _quiet(900), _sound(500), _quiet(1500)])
    (spurt,) = _feed(SpurtDetector(gap_ms=1200), audio)
    assert spurt.ended_at - spurt.started_at == pytest.approx(1.9, abs=0.012)


def test_a_click_is_no_answer() -> None:
    audio = np.concatenate([_quiet(300), _sound(10), _quiet(2000)])
    assert _feed(SpurtDetector(gap_ms=1200), audio) == []


def test_comfort_noise_is_no_answer() -> None:
    noise = np.random.default_rng(1).normal(0, 60, RATE_HZ * 3).astype(np.int16)
    assert _feed(SpurtDetector(gap_ms=1200), noise) == []


def test_what_is_being_said_when_the_call_ends_is_not_lost() -> None:
    detector = SpurtDetector(gap_ms=1200)
    assert _feed(detector, np.concatenate([_quiet(200), _sound(600)])) == []
    spurt = detector.finish()
    assert spurt is not None
    assert len(spurt.samples) >= RATE_HZ * 0.6
    assert detector.finish() is None


def test_the_silence_at_the_end_of_a_prompt_is_not_speech() -> None:
    samples = np.concatenate([_quiet(100), _sound(400), _quiet(800)])
    assert last_audible_sample(samples, RATE_HZ) == pytest.approx(RATE_HZ * 0.5, abs=RATE_HZ * 0.006)
