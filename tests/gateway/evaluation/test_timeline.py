# SPDX-License-Identifier: GPL-3.0-or-later
"""What was heard, and when."""

import numpy as np
import pytest

from gateway.evaluation.mouth import Utterance
from gateway.evaluation.timeline import Heard, speech_ended_at
from media.frames import PcmFrame

RATE_HZ = 8000
START = 100.0
"""Of the line, on the clock."""


def line(*sounds: tuple[float, float], seconds: float = 10.0) -> Heard:
    """Frames of silence, with sound in these spans (seconds from the start)."""
    samples = np.zeros(round(seconds * RATE_HZ), np.int16)
    for began, ended in sounds:
        samples[round(began * RATE_HZ) : round(ended * RATE_HZ)] = 5000
    frames = [
        PcmFrame(samples[begin : begin + 160].tobytes(), RATE_HZ, begin, START + begin / RATE_HZ)
        for begin in range(0, len(samples), 160)
    ]
    return Heard(frames)


def said(began: float, seconds: float) -> Utterance:
    """An utterance with 100 ms of silence behind it."""
    samples = np.full(round(seconds * RATE_HZ), 5000, np.int16)
    quiet = np.zeros(RATE_HZ // 10, np.int16)
    return Utterance(np.concatenate([samples, quiet]), RATE_HZ, START + began)


def test_sounds_are_separated_by_silence_and_clicks_are_none() -> None:
    heard = line((1.0, 1.5), (1.6, 2.0), (3.0, 3.01), (4.0, 5.0))
    assert [(round(one.began_at - START, 2), round(one.ended_at - START, 2)) for one in heard.sounds] == [
        (1.0, 2.0),
        (4.0, 5.0),
    ]


def test_a_call_in_which_nothing_came_has_no_sounds() -> None:
    heard = Heard([])
    assert heard.sounds == []
    assert len(heard.between(0.0, 1e9)) == 0


def test_speech_ends_with_its_last_audible_sample() -> None:
    assert speech_ended_at(said(2.0, 1.0)) == pytest.approx(START + 3.0)


def test_the_answer_is_the_first_sound_that_begins_after_the_utterance_has() -> None:
    heard = line((0.5, 2.5), (4.0, 5.0), (6.0, 7.0))
    assert heard.answer_to(said(2.0, 1.0), START + 9.0) == pytest.approx(START + 4.0)
    assert heard.answer_to(said(2.0, 1.0), START + 3.5) is None


@pytest.mark.parametrize(
    ("sounds", "silent_at"),
    [
        ([(1.0, 3.4)], 3.4),  # stopped 0.4 s after it was spoken over
        ([(1.0, 3.4), (3.8, 6.0)], None),  # paused, and went on
        ([(1.0, 3.2), (3.4, 3.6), (5.0, 6.0)], 3.6),
        ([(1.0, 6.0)], None),  # went on
        ([(1.0, 2.0), (5.0, 6.0)], None),  # was silent anyway
        ([], None),
    ],
)
def test_the_agent_stops_for_an_interruption_or_does_not(
    sounds: list[tuple[float, float]], silent_at: float | None
) -> None:
    found = line(*sounds).fell_silent_after(said(3.0, 1.0))
    assert found == (None if silent_at is None else pytest.approx(START + silent_at))


def test_what_was_heard_in_a_span_is_cut_out() -> None:
    heard = line((1.0, 2.0))
    part = heard.between(START + 0.99, START + 2.5)
    assert len(part) == pytest.approx(1.5 * RATE_HZ, abs=320)
    assert np.count_nonzero(part) == RATE_HZ
