# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engines get to hear in these tests: real prompts as a telephone line delivers them."""

import wave
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from media.frames import PcmSamples
from tests.mulaw import from_mu_law, mu_law
from tests.wer import PROMPTS_PACKAGE, load_prompts

RATE_HZ = 8000
TWO_SENTENCES = "conf-invalid"
"""That is not a valid conference number. Please try again."""


def over_the_line(path: Path) -> PcmSamples:
    """The file's samples after mu-law, 8 kHz."""
    with wave.open(str(path)) as recording:
        return from_mu_law(mu_law(np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2")))


@lru_cache(maxsize=1)
def prompts() -> dict[str, tuple[Path, str]]:
    """All prompts with their words; they belong to the tests' needs, so without them the tests fail."""
    found = load_prompts()
    if not found:
        pytest.fail(f"the prompts are missing: apt-get install {PROMPTS_PACKAGE}")
    return found


def prompt(name: str) -> tuple[PcmSamples, str]:
    """A prompt's sound at 8 kHz, and its words."""
    path, words = prompts()[name]
    return over_the_line(path), words


def silence(milliseconds: int, rate_hz: int = RATE_HZ) -> PcmSamples:
    return np.zeros(rate_hz * milliseconds // 1000, np.int16)


def noise(seconds: float, level: float, rate_hz: int = RATE_HZ) -> PcmSamples:
    """White noise with that standard deviation."""
    return np.random.default_rng(1).normal(0, level, int(rate_hz * seconds)).astype(np.int16)
