# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ears on openings made by code: the short form of scripts/bench/amd, of clear cases, without transcripts, which
take their time; those have their tests in tests/agent/test_far_end.py."""

import asyncio
from pathlib import Path

import pytest

from agent.far_end import Verdict
from agent.local import catalogue
from agent.local.piper import PiperVoiceModel
from agent.local.silero import SileroModel
from tests.fakes.virtual_time import VirtualClockLoop
from tests.openings.corpus import OpeningMaker
from tests.openings.ears import Ears, hear
from tests.openings.opening import Opening
from tests.openings.replay import Told, replay
from tests.openings.speakers import piper
from tests.wer import PROMPTS_PACKAGE, SOUNDS_FOLDER


@pytest.fixture(scope="module")
def voice(model_folder: Path) -> PiperVoiceModel:
    return PiperVoiceModel(model_folder / catalogue.PIPER_VOICE, model_folder / catalogue.PIPER_CONFIG)


@pytest.fixture
def maker(voice: PiperVoiceModel) -> OpeningMaker:
    return OpeningMaker("tune", [piper(voice)], seed=3)


@pytest.fixture(scope="module")
def ears(model_folder: Path) -> Ears:
    return Ears(SileroModel(model_folder / catalogue.SILERO_MODEL), None)


def judged(opening: Opening, ears: Ears) -> Told:
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return replay(runner.run(hear(opening, ears)), with_words=False)


@pytest.mark.parametrize("text", ["Hello?", "Hello, who is this?", "This is Karen."])
def test_a_person_is_told_from_a_recording_by_the_silence_after_a_few_words(
    text: str, maker: OpeningMaker, ears: Ears
) -> None:
    told = judged(maker.person("hello", text), ears)
    assert told.first is Verdict.HUMAN
    assert told.floor_after_s == pytest.approx(0.3, abs=0.1)
    assert told.after_s is not None
    assert told.after_s < 3.0


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("carrier", ("vm-nobodyavail", "vm-intro")),
        ("carrier", ("vm-theperson", "digits/4", "digits/2", "vm-isunavail", "vm-intro")),
        ("queue", ("queue-periodic-announce",)),
    ],
)
@pytest.mark.skipif(not SOUNDS_FOLDER.exists(), reason=f"the package {PROMPTS_PACKAGE} is not installed")
def test_a_recorded_prompt_is_a_machine_and_its_beep_is_followed_at_once(
    kind: str, names: tuple[str, ...], maker: OpeningMaker, ears: Ears
) -> None:
    told = judged(maker.recorded(kind, names, 0), ears)
    assert told.first is told.settled is Verdict.MACHINE
    if kind == "carrier":
        assert told.message_after_s is not None
        assert 0 <= told.message_after_s <= 0.7


@pytest.mark.parametrize("index", range(5))
def test_every_kind_of_beep_is_followed_by_a_message_at_once(index: int, maker: OpeningMaker, ears: Ears) -> None:
    told = judged(
        maker.machine("personal", "You have reached the Wilson family. | Please leave us a message.", index), ears
    )
    assert told.message_after_s is not None
    assert 0 <= told.message_after_s <= 0.7


@pytest.mark.parametrize("kind", ["fax", "busy", "congestion", "sit"])
def test_tones_tell_before_anybody_speaks(kind: str, maker: OpeningMaker, ears: Ears) -> None:
    told = judged(maker.sound(kind, 0), ears)
    assert told.first is told.settled is Verdict.MACHINE
    assert told.after_s is not None
    assert told.after_s < 2.0
