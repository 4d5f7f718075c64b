# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise suppression: noise goes down, speech stays, and no sample is lost or invented."""

import numpy as np
import pytest

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.level import dbov
from media.noise import NoiseSuppressor, is_installed
from media.resample import resample
from tests.agent.local.recordings import over_the_line, prompts
from tests.media.sound import noise


def suppressed(suppressor: NoiseSuppressor, samples: PcmSamples, block: int) -> PcmSamples:
    return np.concatenate([suppressor.process(samples[at : at + block]) for at in range(0, len(samples), block)])


def test_the_library_is_there_for_the_tests() -> None:
    assert is_installed()


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 24000, 48000])
def test_steady_noise_goes_down(sample_rate_hz: int) -> None:
    hiss = noise(4.0, sample_rate_hz, -40)
    after = suppressed(NoiseSuppressor(sample_rate_hz, "medium"), hiss, sample_rate_hz // 50)
    assert dbov(after[len(after) // 2 :]) < -46


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000])
def test_speech_stays_speech_and_is_late_by_what_is_said(sample_rate_hz: int) -> None:
    path, _ = list(prompts().values())[7]
    speech = resample(over_the_line(path), 8000, sample_rate_hz)
    suppressor = NoiseSuppressor(sample_rate_hz, "low")
    after = suppressed(suppressor, speech, sample_rate_hz // 50)
    assert dbov(after) == pytest.approx(dbov(speech), abs=6.0)
    likeness = np.correlate(after.astype(np.float64), speech.astype(np.float64)[: -sample_rate_hz // 5], "valid")
    # The suppressor's own windows come on top.
    assert 0 <= int(np.argmax(likeness)) - suppressor.delay_samples <= sample_rate_hz * 12 // 1000


@pytest.mark.parametrize("block", [80, 160, 161, 480])
def test_as_many_samples_come_out_as_go_in(block: int) -> None:
    suppressor = NoiseSuppressor(8000, "high")
    for at in range(0, 8000, block):
        piece = noise(1.0, 8000, -30)[at : at + block]
        assert len(suppressor.process(piece)) == len(piece)


def test_an_odd_rate_is_refused() -> None:
    with pytest.raises(MediaMisuse):
        NoiseSuppressor(11025, "low")
