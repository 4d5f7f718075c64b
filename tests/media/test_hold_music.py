# SPDX-License-Identifier: GPL-3.0-or-later
"""Music on hold against speech, tones and noise."""

import numpy as np
import pytest

from media.frames import PcmSamples
from media.hold_music import HoldMusic
from media.wav import read_wav
from tests.wer import SOUNDS_FOLDER


def music(seconds: float, sample_rate_hz: int) -> PcmSamples:
    """Three voices of plucked notes, each with its overtones."""
    rng = np.random.default_rng(7)
    sound = np.zeros(round((seconds + 2) * sample_rate_hz))
    for note_s in (0.4, 0.6, 1.2):
        for begin in np.arange(0, seconds, note_s):
            base_hz = 220 * 2 ** (rng.choice((0, 3, 5, 7, 10, 12)) / 12)
            t = np.arange(round(1.5 * note_s * sample_rate_hz)) / sample_rate_hz
            note = sum(np.sin(2 * np.pi * base_hz * k * t) / k for k in range(1, 6)) * np.exp(-2 * t / note_s)
            start = round(begin * sample_rate_hz)
            sound[start : start + len(t)] += 2_000 * note
    return np.asarray(sound[: round(seconds * sample_rate_hz)], np.int16)


def speech(seconds: float) -> PcmSamples:
    """Recorded prompts, at 8 kHz."""
    sound: list[PcmSamples] = []
    for path in sorted(SOUNDS_FOLDER.rglob("*.wav")):
        samples, sample_rate_hz = read_wav(path)
        if sample_rate_hz == 8000 and len(samples) > 8_000:
            sound.append(samples)
        if sum(map(len, sound)) > seconds * 8_000:
            break
    return np.concatenate(sound)


def played_share(samples: PcmSamples, sample_rate_hz: int) -> float:
    """Of the frames, how many were taken for music."""
    ear, step = HoldMusic(sample_rate_hz), sample_rate_hz // 50
    heard = [ear.receive(samples[start : start + step]) for start in range(0, len(samples), step)]
    return sum(heard) / len(heard)


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 48000])
def test_music_is_told_after_five_seconds_at_any_rate(sample_rate_hz: int) -> None:
    assert played_share(music(20, sample_rate_hz), sample_rate_hz) > 0.7


def test_five_minutes_of_prompts_are_no_music() -> None:
    samples = speech(300)
    assert len(samples) > 250 * 8_000
    assert played_share(samples, 8000) == 0


def test_neither_noise_nor_a_steady_tone_nor_silence_is_music() -> None:
    noise = np.random.default_rng(1).normal(0, 1_000, 160_000).astype(np.int16)
    t = np.arange(160_000) / 8000
    dial_tone = (4_000 * (np.sin(2 * np.pi * 350 * t) + np.sin(2 * np.pi * 440 * t))).astype(np.int16)
    assert played_share(noise, 8000) == 0
    assert played_share(dial_tone, 8000) == 0
    assert played_share(np.zeros(160_000, np.int16), 8000) == 0


def test_music_ends_within_two_seconds_of_somebody_speaking() -> None:
    ear = HoldMusic(8000)
    assert ear.receive(music(10, 8000))
    talk = speech(10)
    assert ear.receive(talk[:1600])
    assert not ear.receive(talk[1600:24_000])
