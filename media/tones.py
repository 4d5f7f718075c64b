# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals made of sines: DTMF digits (ITU-T Q.23), ringing and busy tones (ITU-T E.180), the beep; and a single-tone
detector (Goertzel) to find one again.

Levels are in dBov of the whole signal, as everywhere (media.level).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import cos, pi

import numpy as np
from scipy.signal import lfilter
from scipy.signal.windows import tukey

from media.errors import MediaMisuse
from media.frames import PcmSamples
from media.level import FULL_SCALE, power_dbov

_EDGE_MS = 5
"""Every tone swells and fades this long (half a raised cosine), so that it does not click."""

_DTMF_ROWS = {"123A": 697, "456B": 770, "789C": 852, "*0#D": 941}
_DTMF_COLUMNS_HZ = (1209, 1336, 1477, 1633)
DTMF_HZ: dict[str, tuple[int, int]] = {
    key: (row_hz, column_hz)
    for keys, row_hz in _DTMF_ROWS.items()
    for key, column_hz in zip(keys, _DTMF_COLUMNS_HZ, strict=True)
}
"""The two frequencies of each of the sixteen keys."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """A tone and its rhythm."""

    frequencies_hz: tuple[int, ...]
    pattern_ms: tuple[int, ...]
    """On, off, on, off ... and from the start again."""


RINGBACK = {"us": Cadence((440, 480), (2000, 4000)), "eu": Cadence((425,), (1000, 4000))}
"""What the caller hears while it rings at the other end: North America; most of Europe (E.180 recommended)."""
BUSY = {"us": Cadence((480, 620), (500, 500)), "eu": Cadence((425,), (500, 500))}
CONGESTION = {"us": Cadence((480, 620), (250, 250)), "eu": Cadence((425,), (250, 250))}
"""The network has no way through; North America calls it reorder, or fast busy."""


def tone(
    frequencies_hz: Sequence[float], duration_ms: int, sample_rate_hz: int, level_dbov: float = -13.0
) -> PcmSamples:
    """Sines of equal strength together. Raises `MediaMisuse` for what the rate cannot carry or would clip."""
    if not frequencies_hz or not all(0 < frequency < sample_rate_hz / 2 for frequency in frequencies_hz):
        raise MediaMisuse(f"no tone of {list(frequencies_hz)} Hz at a rate of {sample_rate_hz} Hz")
    amplitude = FULL_SCALE * 10.0 ** (level_dbov / 20.0) * (2.0 / len(frequencies_hz)) ** 0.5
    if duration_ms < 0 or amplitude * len(frequencies_hz) > FULL_SCALE:
        raise MediaMisuse(f"no tone of {len(frequencies_hz)} sines at {level_dbov} dBov for {duration_ms} ms")
    count = sample_rate_hz * duration_ms // 1000
    time_s = np.arange(count) / sample_rate_hz
    signal = sum((np.sin(2 * pi * frequency * time_s) for frequency in frequencies_hz), np.zeros(count))
    if count:
        signal *= amplitude * tukey(count, alpha=min(1.0, 2 * _EDGE_MS / duration_ms))
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)


def silence(duration_ms: int, sample_rate_hz: int) -> PcmSamples:
    """No sound for a while."""
    return np.zeros(sample_rate_hz * duration_ms // 1000, np.int16)


def dtmf(
    digits: str, sample_rate_hz: int, on_ms: int = 100, off_ms: int = 100, level_dbov: float = -13.0
) -> PcmSamples:
    """Dialled digits as sound, a pause after each. Receivers need 40 ms of each (ITU-T Q.24)."""
    pieces: list[PcmSamples] = []
    for digit in digits.upper():
        if digit not in DTMF_HZ:
            raise MediaMisuse("a DTMF digit is one of 0-9, *, #, A-D")  # the digit itself may be secret
        pieces += [tone(DTMF_HZ[digit], on_ms, sample_rate_hz, level_dbov), silence(off_ms, sample_rate_hz)]
    return np.concatenate(pieces) if pieces else silence(0, sample_rate_hz)


def ringback(duration_ms: int, sample_rate_hz: int, country: str = "us") -> PcmSamples:
    """The ringing tone; `country` is a key of `RINGBACK`."""
    return _rhythm(RINGBACK, country, duration_ms, sample_rate_hz)


def busy(duration_ms: int, sample_rate_hz: int, country: str = "us") -> PcmSamples:
    """The busy tone; `country` is a key of `BUSY`."""
    return _rhythm(BUSY, country, duration_ms, sample_rate_hz)


def congestion(duration_ms: int, sample_rate_hz: int, country: str = "us") -> PcmSamples:
    """The congestion tone; `country` is a key of `CONGESTION`."""
    return _rhythm(CONGESTION, country, duration_ms, sample_rate_hz)


def beep(sample_rate_hz: int, duration_ms: int = 500, frequency_hz: float = 1000.0) -> PcmSamples:
    """The tone after which one may speak."""
    return tone((frequency_hz,), duration_ms, sample_rate_hz)


def tone_dbov(samples: PcmSamples, frequency_hz: float, sample_rate_hz: int) -> float:
    """How much of one frequency is in the audio, in dBov (Goertzel): a pure tone there shows its own level.

    The resolution is one over the length: 50 ms tell frequencies 20 Hz apart from each other.
    """
    if not 0 < frequency_hz < sample_rate_hz / 2:
        raise MediaMisuse(f"no {frequency_hz} Hz at a rate of {sample_rate_hz} Hz")
    count = len(samples)
    if count < 2:
        return power_dbov(0.0)
    # Goertzel's recursion is a resonator at the frequency; its last two outputs hold the correlation with it.
    turn = 2.0 * cos(2 * pi * frequency_hz / sample_rate_hz)
    *_, before, last = lfilter([1.0], [1.0, -turn, 1.0], samples.astype(np.float64))
    magnitude = last * last + before * before - turn * last * before
    return power_dbov(2.0 * float(magnitude) / (count * FULL_SCALE) ** 2)


def has_tone(samples: PcmSamples, frequency_hz: float, sample_rate_hz: int, min_share: float = 0.3) -> bool:
    """Whether the frequency carries at least `min_share` of the audio's power, and is there at all (-50 dBov)."""
    level_dbov = tone_dbov(samples, frequency_hz, sample_rate_hz)
    scaled = samples.astype(np.float64) / FULL_SCALE
    power = float(np.dot(scaled, scaled)) / max(1, len(samples))
    return level_dbov > -50.0 and 10.0 ** (level_dbov / 10.0) >= min_share * power


def _rhythm(cadences: dict[str, Cadence], country: str, duration_ms: int, sample_rate_hz: int) -> PcmSamples:
    if country not in cadences:
        raise MediaMisuse(f"no tones of {country!r} here, only of {sorted(cadences)}")
    cadence = cadences[country]
    pieces: list[PcmSamples] = []
    left_ms = duration_ms
    for index, part_ms in cycle(enumerate(cadence.pattern_ms)):
        if left_ms <= 0:
            break
        part_ms = min(part_ms, left_ms)
        sounding = index % 2 == 0
        pieces.append(
            tone(cadence.frequencies_hz, part_ms, sample_rate_hz) if sounding else silence(part_ms, sample_rate_hz)
        )
        left_ms -= part_ms
    return np.concatenate(pieces) if pieces else silence(0, sample_rate_hz)
