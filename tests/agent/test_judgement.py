# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the end-of-turn model early."""

import numpy as np
import pytest

from agent.judgement import filled
from tests.fakes.scene import Scene
from tests.fakes.services import ScriptedDetector, ScriptedLlm, ScriptedTts
from tests.fakes.virtual_time import in_virtual_time


def test_a_pause_is_filled_up_with_its_own_sound() -> None:
    turn = np.concatenate((np.full(8_000, 1_000), np.tile([7, -7], 400))).astype(np.int16)
    longer = filled(turn, 8_000, 100.0, 200.0)
    assert len(longer) == 8_000 + 1_600
    assert np.array_equal(longer[:8_800], turn)
    assert set(longer[8_000:].tolist()) == {7, -7}


@pytest.mark.parametrize("silent_ms", [200.0, 350.0])
def test_a_pause_that_is_long_enough_stays_as_it_is(silent_ms: float) -> None:
    turn = np.arange(4_000, dtype=np.int16)
    assert np.array_equal(filled(turn, 8_000, silent_ms, 200.0), turn)


def test_no_sound_stays_no_sound() -> None:
    assert len(filled(np.empty(0, np.int16), 8_000, 0.0, 200.0)) == 0


@in_virtual_time
async def test_the_model_has_answered_when_it_is_asked() -> None:
    """It takes 90 ms; the decision falls at 200 ms of silence plus recognition, 10 ms here."""
    detector, llm, tts = ScriptedDetector(0.95, answers_s=0.09), ScriptedLlm(["Certainly."]), ScriptedTts(0.0)
    async with Scene(detector=detector, llm=llm, tts=tts) as scene:
        scene.stt.final_s = 0.01
        ended_at = await scene.leg.speak("what time do you open")
        first = None
        while first is None:
            await scene.leg.pause_for(5)
            first = next((packet.sent_at for packet in scene.leg.packets if packet.peak), None)
        assert first - ended_at == pytest.approx(0.23, abs=0.031)
        assert len(detector.asked_samples) == 1


@in_virtual_time
async def test_each_pause_is_judged_for_itself() -> None:
    detector = ScriptedDetector(0.1)
    async with Scene(detector=detector) as scene:
        await scene.leg.speak("I would like")
        await scene.leg.pause_for(400)
        await scene.leg.speak("an appointment")
        await scene.leg.pause_for(400)
        first, second = detector.asked_samples
        assert second > first
