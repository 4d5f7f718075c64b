# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.local.turn_audio import TurnAudio
from media.frames import PcmSamples
from tests.agent.local.recordings import noise, silence

RATE_HZ = 16000


def speech(seconds: float) -> PcmSamples:
    return noise(seconds, 3000, RATE_HZ)


def quiet(milliseconds: int) -> PcmSamples:
    return silence(milliseconds, RATE_HZ)


def test_positions_count_from_the_beginning_and_the_samples_come_back_unchanged() -> None:
    audio = TurnAudio(max_s=30)
    spoken = speech(1.0)
    audio.append(spoken)
    assert (audio.start, audio.end, audio.seconds) == (0, RATE_HZ, 1.0)
    assert np.array_equal(audio.samples(), spoken)
    assert np.array_equal(audio.samples(until=100), spoken[:100])


def test_the_end_of_the_last_sound_is_known_to_20_ms() -> None:
    audio = TurnAudio(max_s=30)
    audio.append(quiet(200))
    assert not audio.has_sound
    audio.append(speech(1.0))
    audio.append(quiet(300))
    assert audio.has_sound
    assert audio.quiet_ms == pytest.approx(300, abs=20)


def test_a_line_with_a_steady_hum_is_quiet_beside_speech_and_sound_without_it() -> None:
    audio = TurnAudio(max_s=30)
    hum = noise(0.5, 60, RATE_HZ)  # -55 dBFS, 34 dB above nothing, 39 dB below the voice
    audio.append(hum)
    assert audio.has_sound
    audio.append(noise(0.5, 6000, RATE_HZ))
    audio.append(hum)
    assert audio.quiet_ms == pytest.approx(500, abs=20)


def test_an_offset_of_the_line_is_no_sound() -> None:
    audio = TurnAudio(max_s=30)
    audio.append(np.full(RATE_HZ, 500, np.int16))
    assert not audio.has_sound


def test_beyond_the_bound_the_oldest_samples_are_dropped_and_counted() -> None:
    audio = TurnAudio(max_s=1)
    spoken = speech(1.5)
    audio.append(spoken)
    assert (audio.start, audio.end, audio.dropped_samples) == (8000, 24000, 8000)
    assert np.array_equal(audio.samples(), spoken[8000:])


def test_dropping_keeps_the_rest_and_forgets_sound_that_is_gone() -> None:
    audio = TurnAudio(max_s=30)
    audio.append(speech(1.0))
    audio.append(quiet(500))
    audio.drop_before(RATE_HZ + 1600)
    assert (audio.start, audio.end) == (17600, 24000)
    assert not audio.has_sound
    assert not audio.samples().any()


def test_the_next_turn_keeps_the_newest_part_and_judges_loudness_afresh() -> None:
    audio = TurnAudio(max_s=30)
    audio.append(noise(1.0, 10000, RATE_HZ))
    audio.append(noise(1.0, 100, RATE_HZ))  # 40 dB below: quiet in this turn
    assert audio.quiet_ms == pytest.approx(1000, abs=20)
    audio.next_turn(keep_ms=500)
    assert audio.seconds == pytest.approx(0.5)
    assert audio.has_sound
    audio.next_turn(keep_ms=0)
    assert not audio.has_sound


def test_the_quietest_moment_is_found_among_the_newest_seconds() -> None:
    audio = TurnAudio(max_s=30)
    for piece in (speech(2.0), quiet(400), speech(3.0), noise(0.3, 300, RATE_HZ), speech(1.0)):
        audio.append(piece)
    assert audio.quietest(newest_s=30, window_ms=200) / RATE_HZ == pytest.approx(2.2, abs=0.12)
    assert audio.quietest(newest_s=4, window_ms=200) / RATE_HZ == pytest.approx(5.55, abs=0.08)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30), st.integers(0, 30000))
def test_the_size_of_the_pieces_makes_no_difference(lengths: list[int], dropped: int) -> None:
    whole, pieces = TurnAudio(max_s=30), TurnAudio(max_s=30)
    samples = np.concatenate((speech(0.5), quiet(200), speech(0.5), quiet(5000)))[: sum(lengths)]
    whole.append(samples)
    for length in lengths:
        pieces.append(samples[:length])
        samples = samples[length:]
    for audio in (whole, pieces):
        audio.drop_before(dropped)
    assert (whole.start, whole.end, whole.sound_end) == (pieces.start, pieces.end, pieces.sound_end)
    assert np.array_equal(whole.samples(), pieces.samples())
