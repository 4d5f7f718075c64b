# SPDX-License-Identifier: GPL-3.0-or-later
"""One caller's voice on a call: measured at pauses, told once per turn, and answered accordingly."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from agent.caller_voice import CallerVoice
from agent.config import AgentConfig, VoiceStyleConfig
from agent.errors import ServiceUnavailable
from agent.events import CallerProsody, ReplyFinished
from agent.prosody import TurnSound
from media.frames import PcmSamples
from tests.fakes.scene import Scene
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time

CALM = TurnSound(2.0, -30.0, 120.0, 5.0, (), 0)
ANGRY = TurnSound(1.2, -20.0, 160.0, 9.0, (), 0)
HESITANT = TurnSound(2.0, -30.0, 120.0, 5.0, (0.9, 1.1), 0)
WORDS = "we want to come to you today"
AUDIO = np.zeros(8_000, np.int16)


class ScriptedProsody:
    """Hears these turns, whatever was said; then the last one again."""

    def __init__(self, *sounds: TurnSound | ServiceUnavailable) -> None:
        self.measured = 0
        self._sounds = list(sounds)

    async def measure(self, samples: PcmSamples, sample_rate_hz: int) -> TurnSound:
        self.measured += 1
        sound = self._sounds.pop(0) if len(self._sounds) > 1 else self._sounds[0]
        if isinstance(sound, ServiceUnavailable):
            raise sound
        return sound


async def test_a_turn_is_told_once_when_it_is_over() -> None:
    voice = CallerVoice(ScriptedProsody(CALM))
    assert voice.over() is None
    await voice.hear(AUDIO, 8_000)
    voice.answer(0, WORDS)
    told = voice.over()
    assert told is not None
    assert (told.turn_index, told.speech_ms, told.pitch_hz, told.louder_db) == (0, 2_000, 120.0, None)
    assert voice.over() is None


async def test_a_reopened_turn_is_told_with_all_its_words() -> None:
    voice = CallerVoice(ScriptedProsody(CALM, replace(CALM, speech_s=4.0)))
    await voice.hear(AUDIO, 8_000)
    voice.answer(0, WORDS)
    await voice.hear(AUDIO, 8_000)
    voice.answer(0, f"{WORDS} or tomorrow")
    told = voice.over()
    assert told is not None
    assert told.speech_ms == 4_000


async def test_loudness_is_that_on_the_wire_whatever_the_gain_made_of_it() -> None:
    energy = 0.0
    voice = CallerVoice(ScriptedProsody(CALM), lambda: energy)
    levels = []
    for turn, power in enumerate((1e-3, 1e-2)):
        energy += power * CALM.speech_s
        await voice.hear(AUDIO, 8_000)
        voice.answer(turn, f"{WORDS} number {turn}")
        told = voice.over()
        assert told is not None
        levels.append((told.level_dbov, told.louder_db))
    assert levels == [(-30.0, None), (-20.0, pytest.approx(10.0))]


async def test_a_measurement_that_fails_leaves_everything_as_it_is() -> None:
    voice = CallerVoice(ScriptedProsody(ServiceUnavailable("offline engines", "busy")))
    assert await voice.hear(AUDIO, 8_000) == 1.0
    voice.answer(0, WORDS)
    assert voice.notes(WORDS) == ()
    assert voice.over() is None


async def test_hesitation_asks_for_more_time() -> None:
    assert await CallerVoice(ScriptedProsody(HESITANT)).hear(AUDIO, 8_000) > 1
    assert await CallerVoice(ScriptedProsody(CALM)).hear(AUDIO, 8_000) == 1


def scene(prosody: ScriptedProsody, style: VoiceStyleConfig | None = None) -> Scene:
    config = AgentConfig(greeting="", voice_style=style or VoiceStyleConfig())
    return Scene(config=config, llm=ScriptedLlm([0.1, "We are sorry to hear that."]), prosody=prosody)


async def answered(call: Scene, text: str, turns: int) -> float:
    """The caller's next turn; returns how long the answer was, seconds."""
    await call.leg.speak(text, ms=2_000)
    reply = await call.wait_for(ReplyFinished, turns)
    await asyncio.sleep(0.5)
    return reply.ended_at - reply.started_at


@in_virtual_time
async def test_an_agitated_caller_is_answered_more_slowly_and_the_model_is_told() -> None:
    async with scene(ScriptedProsody(CALM, ANGRY)) as call:
        calm_s = await answered(call, WORDS, 1)
        angry_s = await answered(call, "where is the bill you were to send me", 2)
        assert angry_s > 1.1 * calm_s
        first, second = call.llm.asked[0], call.llm.asked[-1]
        assert [note.source for note in first.notes] == []
        assert [note.source for note in second.notes] == ["caller"]
        assert "agitated" in second.notes[0].text
        told = call.all(CallerProsody)
        assert [event.turn_index for event in told] == [0, 1]
        assert told[1].louder_db == 10.0
        assert "agitated" in told[1].cues


@in_virtual_time
async def test_who_does_not_want_it_is_not_listened_to() -> None:
    prosody = ScriptedProsody(CALM, ANGRY)
    async with scene(prosody, VoiceStyleConfig(adapt=False)) as call:
        await answered(call, WORDS, 1)
        assert prosody.measured == 0
        assert call.all(CallerProsody) == []


@in_virtual_time
async def test_a_silent_caller_is_not_measured() -> None:
    prosody = ScriptedProsody(CALM)
    async with scene(prosody) as call:
        await call.leg.pause_for(30_000)
        assert prosody.measured == 0


@in_virtual_time
async def test_the_model_is_told_of_the_markup_unless_it_shall_not_use_it() -> None:
    for style, is_told in ((VoiceStyleConfig(), True), (VoiceStyleConfig(markup=False), False)):
        async with scene(ScriptedProsody(CALM), style) as call:
            await answered(call, WORDS, 1)
            assert ("<slow>" in call.llm.asked[0].messages[0].text) is is_told
