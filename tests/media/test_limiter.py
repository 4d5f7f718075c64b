# SPDX-License-Identifier: GPL-3.0-or-later
"""The limiter on the way out: never louder than the ceiling, never touched below it, never heard working."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.level import dbov
from media.limiter import CEILING_DB, Limiter
from tests.media.sound import babble, noise, sine

RATE_HZ = 8000
CEILING = 32768 * 10 ** (CEILING_DB / 20)


def limited(limiter: Limiter, samples: PcmSamples, block: int) -> PcmSamples:
    return np.concatenate([limiter.process(samples[at : at + block]) for at in range(0, len(samples), block)])


def test_what_is_not_too_loud_is_passed_on_as_it_is() -> None:
    samples = sine(440, 0.3, RATE_HZ, -7)
    assert Limiter(RATE_HZ).process(samples) is samples


@pytest.mark.parametrize("block", [160, 2400, 64_000])
def test_full_scale_speech_comes_out_below_the_ceiling_and_unclipped(block: int) -> None:
    loud = babble(8.0, RATE_HZ, -8.0)
    assert np.mean(np.abs(loud.astype(int)) >= 32767) > 1e-4
    quiet = limited(Limiter(RATE_HZ), loud, block)
    # The very first peak of a block cannot be foreseen: the soft limit bends it, below full scale.
    assert np.abs(quiet.astype(int)).max() < 32767
    assert np.mean(np.abs(quiet.astype(int)) > CEILING * 1.01) < 0.002


def test_a_loud_word_does_not_make_the_next_one_pump() -> None:
    limiter = Limiter(RATE_HZ)
    voice = babble(6.0, RATE_HZ, -10.0)
    limiter.process(voice[: 2 * RATE_HZ])
    gains = []
    for at in range(2 * RATE_HZ, len(voice), 400):
        limiter.process(voice[at : at + 400])
        gains.append(limiter.gain_db)
    assert max(gains) - min(gains) < 3.0


def test_the_gain_comes_back_when_it_is_quiet_again() -> None:
    limiter = Limiter(RATE_HZ)
    limiter.process(sine(440, 0.5, RATE_HZ, -3.01))
    assert limiter.gain_db < -2.5
    soft = noise(1.0, RATE_HZ, -40)
    limiter.process(soft)
    assert limiter.process(soft) is soft


def test_no_step_is_heard_where_the_gain_changes() -> None:
    swell = np.interp(np.arange(RATE_HZ), (0, 4000, 4200, RATE_HZ), (0.1, 0.1, 1.0, 1.0))
    tone = np.rint(sine(400, 1.0, RATE_HZ, -3.02) * swell).astype(np.int16)
    curve = limited(Limiter(RATE_HZ), tone, 4080).astype(float)
    bends, natural = (np.abs(np.diff(wave, 2)).max() for wave in (curve, sine(400, 0.5, RATE_HZ, -6.0).astype(float)))
    assert bends < 1.15 * natural


def test_loudness_stays_in_order() -> None:
    levels = [dbov(limited(Limiter(RATE_HZ), babble(3.0, RATE_HZ, level), 2400)) for level in (-24.0, -16.0, -9.0)]
    assert levels == sorted(levels)
    assert levels[-1] < -11.0


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-60, 0), st.integers(1, 1000)), min_size=1, max_size=20))
def test_no_sequence_of_blocks_makes_it_wrap_or_lose_samples(steps: list[tuple[float, int]]) -> None:
    limiter = Limiter(RATE_HZ)
    for level_dbov, count in steps:
        block = noise(count / RATE_HZ, RATE_HZ, level_dbov, seed=count)
        after = limiter.process(block)
        assert len(after) == len(block)
        loud = np.abs(block.astype(int)) > 1000
        assert (np.sign(after[loud]) == np.sign(block[loud])).all()
        assert limiter.gain_db <= 0.0


def test_a_senseless_rate_is_refused() -> None:
    with pytest.raises(MediaMisuse):
        Limiter(0)
