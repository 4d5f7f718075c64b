# SPDX-License-Identifier: GPL-3.0-or-later
"""Gain control behind the voice detector it works with, on recorded speech: the bar of quiet and loud callers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from media.frames import FrameFlags, PcmSamples
from media.gain import AutomaticGain
from media.speech_level import SpeechLevelMeter
from media.vad import WebRtcVad, mark_speech
from tests.agent.local.recordings import over_the_line, prompts
from tests.media.sound import frames, noise
from tests.mulaw import from_mu_law, mu_law

RATE_HZ = 8000
FRAME = 160


def active_dbov(samples: PcmSamples) -> float:
    meter = SpeechLevelMeter()
    meter.receive(list(frames(samples, RATE_HZ)))
    assert meter.levels.speech_dbov is not None
    return meter.levels.speech_dbov


def caller(first: int, level_dbov: float, noise_dbov: float = -60.0, gap_s: float = 0.3) -> PcmSamples:
    """Five sentences at that active speech level, in the line's noise, over G.711."""
    gap = np.zeros(round(gap_s * RATE_HZ), np.int16)
    pieces = [np.concatenate((over_the_line(path), gap)) for path, _ in list(prompts().values())[first : first + 5]]
    speech = np.concatenate(pieces)
    scaled = speech * 10 ** ((level_dbov - active_dbov(speech)) / 20)
    line = scaled + noise(len(speech) / RATE_HZ + 0.1, RATE_HZ, noise_dbov)[: len(speech)]
    return from_mu_law(mu_law(np.clip(line, -32768, 32767).astype(np.int16)))


def levelled(samples: PcmSamples) -> tuple[PcmSamples, NDArray[np.float64], NDArray[np.bool_]]:
    """What comes out, the gain after each frame, and whether the frame was flagged as speech."""
    detector, gain = WebRtcVad(mode=3), AutomaticGain(RATE_HZ)
    blocks, gains, flagged = [], [], []
    for frame in frames(samples, RATE_HZ):
        marked = mark_speech(frame, detector)
        flagged.append(FrameFlags.SPEECH in marked.flags)
        blocks.append(gain.process(marked.samples, flagged[-1]))
        gains.append(gain.gain_db)
    return np.concatenate(blocks), np.array(gains), np.array(flagged)


def after_one_second_of_speech(flagged: NDArray[np.bool_]) -> int:
    """The frame at which the detector has heard a second of speech."""
    return int(np.searchsorted(np.cumsum(flagged), 50))


@pytest.mark.parametrize("first", [0, 40, 80, 120, 160])
@pytest.mark.parametrize("noise_dbov", [-70.0, -50.0])
def test_callers_at_minus_35_and_minus_10_dbov_are_within_3_db_after_a_second(first: int, noise_dbov: float) -> None:
    quiet, _, flagged_quiet = levelled(caller(first, -35.0, noise_dbov))
    loud, _, flagged_loud = levelled(caller(first, -10.0, noise_dbov))
    begin = FRAME * max(after_one_second_of_speech(flagged_quiet), after_one_second_of_speech(flagged_loud))
    window = 2 * RATE_HZ
    for at in range(begin, len(quiet) - window + 1, window):
        assert abs(active_dbov(quiet[at : at + window]) - active_dbov(loud[at : at + window])) < 3.0
    assert active_dbov(quiet[begin:]) == pytest.approx(active_dbov(loud[begin:]), abs=1.5)


def test_a_loud_caller_is_turned_down_without_clipping() -> None:
    loud, _, _ = levelled(caller(0, -10.0))
    assert np.abs(loud.astype(np.int32)).max() < 32767


@pytest.mark.parametrize("level_dbov", [-35.0, -10.0])
@pytest.mark.parametrize("noise_dbov", [-60.0, -50.0])
def test_between_sentences_the_gain_stands_still(level_dbov: float, noise_dbov: float) -> None:
    _, gains, flagged = levelled(caller(0, level_dbov, noise_dbov, gap_s=4.0))
    assert np.abs(np.diff(gains))[~flagged[1:]].max() == 0.0
    settled = gains[after_one_second_of_speech(flagged) :]
    assert settled.max() - settled.min() < 3.0  # so that is all the noise beneath can rise by


@pytest.mark.parametrize("noise_dbov", [-65.0, -55.0, -45.0, -35.0])
def test_noise_alone_is_not_lifted_to_the_level_of_speech(noise_dbov: float) -> None:
    _, gains, _ = levelled(noise(20.0, RATE_HZ, noise_dbov))
    assert gains[-1] < 4.0
