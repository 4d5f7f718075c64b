# SPDX-License-Identifier: GPL-3.0-or-later
"""Gain control: one level for all callers, and no pumping."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.gain import FALL_DB_PER_S, MAX_BOOST_DB, MAX_CUT_DB, RISE_DB_PER_S, AutomaticGain, soft_limit
from media.level import dbov
from tests.media.sound import babble, noise, sine

RATE_HZ = 8000
FRAME = 160


def levelled(gain: AutomaticGain, samples: PcmSamples, speech: bool = True) -> PcmSamples:
    blocks = [gain.process(block, speech) for block in np.split(samples, len(samples) // FRAME)]
    return np.concatenate(blocks)


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_one_second_a_whisper_and_a_shout_are_within_three_decibels(sample_rate_hz: int, seed: int) -> None:
    levels = []
    for dbov_in in (-35.0, -10.0):
        gain = AutomaticGain(sample_rate_hz)
        voice = babble(4.0, sample_rate_hz, dbov_in, seed)
        assert abs(dbov(voice) - dbov_in) < 1.0
        blocks = [gain.process(block, speech=True) for block in np.split(voice, 200)]
        levels.append([dbov(np.concatenate(blocks[start : start + 50])) for start in (50, 100, 150)])
    quiet, loud = levels
    for quiet_dbov, loud_dbov in zip(quiet, loud, strict=True):
        assert abs(quiet_dbov - loud_dbov) < 3.0
        assert quiet_dbov == pytest.approx(-20.0, abs=2.5)


def test_silence_between_sentences_does_not_swell_up() -> None:
    gain = AutomaticGain(RATE_HZ)
    levelled(gain, babble(2.0, RATE_HZ, -30))
    settled_db = gain.gain_db
    line_noise = noise(10.0, RATE_HZ, -62, seed=2)
    after = levelled(gain, line_noise, speech=False)
    assert gain.gain_db == settled_db
    assert dbov(after) == pytest.approx(-62 + settled_db, abs=0.5)


def test_a_detector_that_calls_an_idle_line_speech_does_not_make_it_pump() -> None:
    gain = AutomaticGain(RATE_HZ)
    levelled(gain, babble(2.0, RATE_HZ, -20))
    settled_db = gain.gain_db
    levelled(gain, noise(10.0, RATE_HZ, -66, seed=2), speech=True)
    assert gain.gain_db == pytest.approx(settled_db, abs=0.5)


def test_pauses_that_a_detector_takes_for_speech_are_no_part_of_the_level() -> None:
    words = np.split(babble(6.0, RATE_HZ, -25), 12)
    pauses = np.split(noise(6.0, RATE_HZ, -50), 12)
    sharp, dull = AutomaticGain(RATE_HZ), AutomaticGain(RATE_HZ)
    for word, pause in zip(words, pauses, strict=True):
        for gain, pause_is_speech in ((sharp, False), (dull, True)):
            levelled(gain, word, speech=True)
            levelled(gain, pause, speech=pause_is_speech)
    assert dull.gain_db == pytest.approx(sharp.gain_db, abs=1.0)


@pytest.mark.parametrize(
    "before",
    [sine(1000, 1.0, RATE_HZ, -10), babble(3.0, RATE_HZ, -14, seed=2), babble(3.0, RATE_HZ, -20, seed=3)],
    ids=["beep", "18 dB louder", "12 dB louder"],
)
def test_whoever_is_much_quieter_than_what_came_before_is_soon_as_loud_as_anybody(before: PcmSamples) -> None:
    quiet = babble(9.0, RATE_HZ, -32)
    gain, unburdened = AutomaticGain(RATE_HZ), AutomaticGain(RATE_HZ)
    levelled(gain, before)
    levelled(gain, quiet)
    levelled(unburdened, quiet)
    assert gain.gain_db == pytest.approx(unburdened.gain_db, abs=3.0)


def test_within_a_sentence_the_gain_hardly_moves() -> None:
    gain = AutomaticGain(RATE_HZ)
    levelled(gain, babble(3.0, RATE_HZ, -30))
    moves = []
    for block in np.split(babble(3.0, RATE_HZ, -30, seed=7), 150):
        gain.process(block, speech=True)
        moves.append(gain.gain_db)
    assert max(moves) - min(moves) < 1.5


def test_a_slammed_door_does_not_turn_the_next_sentence_down() -> None:
    gain = AutomaticGain(RATE_HZ)
    levelled(gain, babble(2.0, RATE_HZ, -32))
    settled_db = gain.gain_db
    levelled(gain, noise(0.06, RATE_HZ, -3), speech=True)
    levelled(gain, babble(0.2, RATE_HZ, -32))
    assert gain.gain_db > settled_db - 3.0


def test_a_direct_current_offset_is_not_taken_for_loudness() -> None:
    with_offset, without = AutomaticGain(RATE_HZ), AutomaticGain(RATE_HZ)
    voice = babble(2.0, RATE_HZ, -35)
    levelled(without, voice)
    levelled(with_offset, (voice + 1500).astype(np.int16))
    assert with_offset.gain_db == pytest.approx(without.gain_db, abs=0.2)


def test_the_gain_keeps_its_limits() -> None:
    faint, deafening = AutomaticGain(RATE_HZ), AutomaticGain(RATE_HZ, target_dbov=-30)
    levelled(faint, babble(4.0, RATE_HZ, -50))
    levelled(deafening, babble(4.0, RATE_HZ, -9))
    assert faint.gain_db == MAX_BOOST_DB
    assert deafening.gain_db == -MAX_CUT_DB


def test_the_gain_never_moves_faster_than_its_slew() -> None:
    gain = AutomaticGain(RATE_HZ)
    before_db = gain.gain_db
    for block in np.split(np.concatenate((babble(1.0, RATE_HZ, -45), babble(1.0, RATE_HZ, -5))), 100):
        gain.process(block, speech=True)
        assert -FALL_DB_PER_S * 0.02 - 1e-9 <= gain.gain_db - before_db <= RISE_DB_PER_S * 0.02 + 1e-9
        before_db = gain.gain_db


def test_a_moving_gain_leaves_no_steps_between_blocks() -> None:
    gain = AutomaticGain(RATE_HZ)
    steady = np.full(160 * 40, 100, np.int16)
    rising = levelled(gain, (steady + 300 * (-1) ** np.arange(len(steady))).astype(np.int16))
    # Every second sample is a constant of the input: with a gain that moves in straight lines it hardly moves.
    assert gain.gain_db > 5
    assert np.abs(np.diff(rising[::2].astype(int))).max() < 10  # a step per block would be 280


def test_how_the_audio_is_cut_hardly_matters() -> None:
    voice = babble(2.0, RATE_HZ, -33)
    levels = []
    for blocks in (50, 100, 200):
        gain = AutomaticGain(RATE_HZ)
        for block in np.split(voice, blocks):
            gain.process(block, speech=True)
        levels.append(gain.gain_db)
    assert max(levels) - min(levels) < 1.5


def test_before_anything_was_said_the_audio_is_untouched() -> None:
    samples = noise(0.02, RATE_HZ, -30)
    assert AutomaticGain(RATE_HZ).process(samples, speech=False) is samples


def test_an_empty_block_is_no_fault() -> None:
    assert not len(AutomaticGain(RATE_HZ).process(np.empty(0, np.int16), speech=True))


def test_the_speech_level_is_the_callers_own() -> None:
    gain = AutomaticGain(RATE_HZ)
    levelled(gain, babble(2.0, RATE_HZ, -31))
    assert gain.speech_dbov == pytest.approx(-31, abs=1.5)


def test_the_limiter_leaves_what_is_not_loud_alone() -> None:
    samples = sine(440, 0.1, RATE_HZ, -7)
    assert np.array_equal(soft_limit(samples.astype(np.float32)), samples)


def test_the_limiter_bends_instead_of_clipping() -> None:
    ramp = np.linspace(-80000, 80000, 4001, dtype=np.float32)
    limited = soft_limit(ramp.copy())
    steps = np.diff(limited.astype(int))
    assert (steps >= 0).all()
    assert limited[0] == -limited[-1] == -32767
    assert np.abs(np.diff(steps)).max() <= 2  # no corner anywhere, not at the knee either


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-60, 0), st.booleans(), st.integers(1, 1000)), min_size=1, max_size=20))
def test_no_sequence_of_levels_makes_it_wrap_or_lose_samples(steps: list[tuple[float, bool, int]]) -> None:
    gain = AutomaticGain(RATE_HZ)
    for level_dbov, speech, count in steps:
        block = noise(count / RATE_HZ, RATE_HZ, level_dbov, seed=count)
        after = gain.process(block, speech)
        assert len(after) == count
        loud = np.abs(block.astype(int)) > 1000
        assert (np.sign(after[loud]) == np.sign(block[loud])).all()


def test_a_senseless_target_or_rate_is_refused() -> None:
    with pytest.raises(MediaMisuse):
        AutomaticGain(0)
    with pytest.raises(MediaMisuse):
        AutomaticGain(8000, target_dbov=0.0)
