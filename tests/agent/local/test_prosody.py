# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions, with synthesised speech: faster, slower, louder, higher are heard as such. Real callers are not here."""

from pathlib import Path

import numpy as np
import pytest

from agent.caller_mood import CallerMood, Mood
from agent.local.engines import OfflineEngines
from agent.local.piper import PiperVoiceModel
from agent.local.prosody import PooledProsody
from agent.prosody import measure
from media.frames import PcmSamples
from media.resample import resample
from media.time_stretch import TimeStretch

RATE_HZ = 8_000
USUAL = (
    "I would like to move my appointment to next Tuesday in the afternoon.",
    "Could you tell me how much a cleaning costs without insurance?",
    "My name is Anna and I have been a patient for two years.",
)
THEN = "I have been waiting for an answer for three weeks and nobody calls me back."


@pytest.fixture(scope="module")
def voice(model_folder: Path) -> PiperVoiceModel:
    return PiperVoiceModel(model_folder / "piper/voice.onnx", model_folder / "piper/voice.onnx.json")


def said(
    voice: PiperVoiceModel, text: str, *, rate: float = 1.0, semitones: float = 0.0, gain: float = 0.3
) -> PcmSamples:
    samples = resample(np.concatenate(list(voice.render(text, rate))), voice.sample_rate_hz, RATE_HZ)
    if semitones:
        stretch = TimeStretch(RATE_HZ, 1.0, semitones)
        samples = np.concatenate((stretch.process(samples), stretch.flush()))
    return (samples * gain).astype(np.int16)


@pytest.fixture(scope="module")
def caller(voice: PiperVoiceModel) -> CallerMood:
    mood = CallerMood()
    for text in USUAL:
        mood.receive_turn(measure(said(voice, text), RATE_HZ), text)
    return mood


def judged(
    caller: CallerMood, voice: PiperVoiceModel, *, rate: float = 1.0, semitones: float = 0.0, gain: float = 0.3
) -> Mood:
    return caller.judge(measure(said(voice, THEN, rate=rate, semitones=semitones, gain=gain), RATE_HZ), THEN)


def test_pace(caller: CallerMood, voice: PiperVoiceModel) -> None:
    slow, usual, fast = (judged(caller, voice, rate=rate).pace or 0.0 for rate in (0.6, 1.0, 1.7))
    assert slow < 0.8 * usual
    assert fast > 1.15 * usual


def test_loudness(caller: CallerMood, voice: PiperVoiceModel) -> None:
    soft, usual, loud = (judged(caller, voice, gain=gain).louder_db or 0.0 for gain in (0.1, 0.3, 0.9))
    assert usual - soft == pytest.approx(9.5, abs=3)
    assert loud - usual == pytest.approx(9.5, abs=3)


def test_pitch(caller: CallerMood, voice: PiperVoiceModel) -> None:
    low, usual, high = (judged(caller, voice, semitones=by).higher_semitones or 0.0 for by in (-4.0, 0.0, 4.0))
    assert usual - low == pytest.approx(4, abs=1.5)
    assert high - usual == pytest.approx(4, abs=1.5)


def test_fast_loud_and_high_is_agitated_and_the_usual_way_is_not(caller: CallerMood, voice: PiperVoiceModel) -> None:
    assert "agitated" in judged(caller, voice, rate=1.7, gain=0.9, semitones=4).cues
    assert judged(caller, voice).cues == ()


def test_pauses(voice: PiperVoiceModel) -> None:
    silence = np.zeros(RATE_HZ, np.int16)
    pieces = [said(voice, part) for part in ("I would like to", "move my", "appointment to next Tuesday.")]
    broken = measure(np.concatenate([pieces[0], silence, pieces[1], silence, pieces[2]]), RATE_HZ)
    fluent = measure(said(voice, USUAL[0]), RATE_HZ)
    assert sum(pause_s >= 0.9 for pause_s in broken.pauses_s) == 2
    assert broken.pause_share > fluent.pause_share + 0.2
    assert "hesitant" in CallerMood().judge(broken, USUAL[0]).cues


async def test_it_is_measured_in_the_inference_pool(voice: PiperVoiceModel, engines: OfflineEngines) -> None:
    completed = engines.pool.completed
    samples = said(voice, THEN)
    assert await PooledProsody(engines.pool).measure(samples, RATE_HZ) == measure(samples, RATE_HZ)
    assert engines.pool.completed == completed + 1
