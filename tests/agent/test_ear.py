# SPDX-License-Identifier: GPL-3.0-or-later
"""What speech recognition gets to hear."""

import numpy as np

from agent.ear import Ear
from agent.services.stt import Transcript
from media.frames import PcmFrame, PcmSamples
from tests.fakes.virtual_time import in_virtual_time

RATE_HZ = 8_000


class Tape:
    """A recogniser that only records."""

    def __init__(self) -> None:
        self.pushed: list[int] = []
        self.turns = 0

    def push(self, samples: PcmSamples) -> None:
        self.pushed += sorted({int(sample) for sample in samples})

    async def final(self) -> Transcript:
        return Transcript("done", True, 1.0)

    def next_turn(self, keep_ms: int) -> None:
        self.turns += 1

    async def aclose(self) -> None: ...


def hear(ear: Ear, *numbers: int) -> None:
    """Frames of 20 ms, each full of its number."""
    for number in numbers:
        samples = np.full(160, number, "<i2")
        ear.hear(PcmFrame(samples.tobytes(), RATE_HZ, number * 160, number / 50))


def listening() -> tuple[Ear, Tape]:
    ear, tape = Ear(RATE_HZ, preroll_ms=100), Tape()
    ear.attach(tape)
    hear(ear, *range(10))
    assert tape.pushed == []
    ear.listen()
    return ear, tape


def test_a_turn_begins_a_little_before_it_was_noticed() -> None:
    ear, tape = listening()
    assert tape.pushed == [5, 6, 7, 8, 9]
    hear(ear, 10, 11)
    assert tape.pushed == [5, 6, 7, 8, 9, 10, 11]


def test_what_comes_in_a_pause_is_held_back_and_passed_on_when_speech_resumes() -> None:
    ear, tape = listening()
    ear.pause()
    hear(ear, *range(10, 20))
    assert tape.pushed == [5, 6, 7, 8, 9]
    ear.listen()
    assert tape.pushed == [5, 6, 7, 8, 9, 15, 16, 17, 18, 19]


def test_listening_twice_repeats_nothing() -> None:
    ear, tape = listening()
    ear.listen()
    assert tape.pushed == [5, 6, 7, 8, 9]


def test_after_a_turn_the_next_one_begins_with_what_was_held_back() -> None:
    ear, tape = listening()
    ear.pause()
    hear(ear, 10, 11)
    ear.forget()
    assert tape.turns == 1
    assert len(ear.turn_audio()) == 0
    ear.listen()
    assert sorted(set(ear.turn_audio())) == [10, 11]


def test_the_turns_own_audio_is_its_newest_eight_seconds() -> None:
    ear, _ = listening()
    hear(ear, *range(10, 1_010))
    audio = ear.turn_audio()
    assert len(audio) == 8 * RATE_HZ
    assert (audio[0], audio[-1]) == (610, 1_009)


def test_a_recogniser_that_comes_late_gets_the_turn_so_far() -> None:
    ear, tape = Ear(RATE_HZ, preroll_ms=100), Tape()
    hear(ear, 1, 2)
    ear.listen()
    hear(ear, 3)
    ear.attach(tape)
    hear(ear, 4)
    assert tape.pushed == [1, 2, 3, 4]


@in_virtual_time
async def test_the_transcript_is_the_recognisers() -> None:
    ear, _ = listening()
    assert await ear.transcript() == Transcript("done", True, 1.0)
