# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech that holds no tone, and what the detectors take for one in it: the prompts of Asterisk, in all languages that
are installed. For the unit test (a part of it) and scripts/bench/dtmf (all of it)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pjsua2 as pj

from media.frames import PcmSamples
from media.progress import CallProgress
from media.resample import resample
from media.wav import read_wav

_SOUNDS = Path("/usr/share/asterisk/sounds")
_NO_SPEECH = ("beep", "ascending-2tone", "descending-2tone")
KINDS = ("key", "BeepHeard", "SitHeard", "FaxCalling", "FaxAnswered", "RingbackHeard", "BusyHeard", "CongestionHeard")


def prompts(share: int = 1) -> Iterator[tuple[str, PcmSamples, int]]:
    """Every `share`-th prompt once, in a fixed order: its name, its samples, its rate."""
    # A language's folder has links to others' (en, en_US); each file once.
    files = sorted({path.resolve() for path in _SOUNDS.glob("*/**/*.wav")})
    spoken = [path for path in files if not path.name.startswith(_NO_SPEECH) and "silence" not in path.parts]
    for path in spoken[::share]:
        yield f"{path.parent.name}/{path.name}", *read_wav(path)


def speech_minutes(share: int = 1) -> float:
    return sum(len(samples) / rate_hz for _, samples, rate_hz in prompts(share)) / 60


def talk_off(sample_rate_hz: int, share: int = 1) -> dict[str, int]:
    """How often each kind of signal was found where there is none."""
    found: Counter[str] = Counter({kind: 0 for kind in KINDS})
    reader, progress = pj.DtmfReader(sample_rate_hz), CallProgress(sample_rate_hz)
    step = sample_rate_hz // 50
    pause = np.zeros(sample_rate_hz // 2, np.int16)
    for _, samples, rate_hz in prompts(share):
        heard = samples if rate_hz == sample_rate_hz else resample(samples, rate_hz, sample_rate_hz)
        heard = np.ascontiguousarray(np.concatenate([heard, pause]), dtype=np.int16)
        found["key"] += len(reader.read(heard))
        for at in range(0, len(heard), step):
            found.update(type(event).__name__ for event in progress.receive(heard[at : at + step]))
    return dict(found)
