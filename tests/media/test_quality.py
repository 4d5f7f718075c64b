# SPDX-License-Identifier: GPL-3.0-or-later
"""From counted frames to a score."""

import pytest

from media.emodel import Scale
from media.quality import Reception, burst_ratio, percent, score

CODECS = {"PCMU": 8000, "PCMA": 8000, "L16": 8000, "G722": 16000, "OPUS": 48000}


def reception(lost: int = 0, gaps: int = 0, delay_ms: float = 0.0, frames: int = 1000) -> Reception:
    return Reception(frames, lost, gaps, delay_ms)


@pytest.mark.parametrize(("codec", "rate_hz"), CODECS.items())
def test_a_clean_call_is_good_on_every_codec_and_loss_spoils_it(codec: str, rate_hz: int) -> None:
    clean, lossy, broken = (score(codec, rate_hz, reception(lost, lost)).mos for lost in (0, 50, 500))
    assert clean > 4.3
    assert lossy < clean - 0.2
    assert broken < 2.6


def test_narrowband_and_wideband_legs_say_which_scale_they_were_rated_on() -> None:
    assert score("L16", 8000, reception()).scale is Scale.NARROWBAND
    assert score("L16", 16000, reception()).scale is Scale.WIDEBAND
    assert score("PCMU", 8000, reception()).scale is Scale.NARROWBAND
    assert score("OPUS", 8000, reception()).scale is Scale.WIDEBAND


def test_the_burst_ratio_is_1_for_random_loss_and_grows_with_the_runs() -> None:
    # 100 of 1,000 lost at random come in runs of 1.11 on average: 90 runs.
    assert burst_ratio(reception(lost=100, gaps=90)) == pytest.approx(1.0)
    assert burst_ratio(reception(lost=100, gaps=25)) == pytest.approx(3.6)


def test_runs_that_nobody_counted_are_taken_for_random() -> None:
    assert burst_ratio(reception(lost=100)) == 1
    assert burst_ratio(reception(lost=1000, gaps=1)) == 1


def test_bursts_score_worse_than_as_much_random_loss() -> None:
    bursts = score("PCMU", 8000, reception(lost=200, gaps=40)).mos
    assert bursts < score("PCMU", 8000, reception(lost=200, gaps=160)).mos - 0.1


def test_waiting_counts_as_delay() -> None:
    assert score("PCMU", 8000, reception(delay_ms=300)).mos < score("PCMU", 8000, reception(delay_ms=40)).mos - 0.5


def test_a_share_stays_a_share_whatever_is_reported() -> None:
    assert percent(1, 4) == 25
    assert percent(0, 0) == 0
    assert percent(5, 4) == 100
    assert percent(-3, 4) == 0
