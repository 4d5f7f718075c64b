# SPDX-License-Identifier: GPL-3.0-or-later
"""Ringing, busy and congestion tones, known by their frequencies and by their rhythm (`media.tones.Cadence`).

The audio is cut into bursts by its level, and a burst is recognised by the spectrum of its inside: 440 and 480 Hz need
a tenth of a second to be told apart. Pure, no clock: time is samples.
"""

from dataclasses import dataclass

import numpy as np

from media.frames import PcmSamples
from media.level import FULL_SCALE, power_dbov
from media.tones import BUSY, CONGESTION, RINGBACK, Cadence

_HOP_MS = 10
_QUIET_DBOV = -45.0
_ABOVE_NOISE_DB = 8.0
_NOISE_RISE_DB = 0.04
"""In 10 ms: what lasts for seconds is the line's noise, unless it is louder than any line (`_NOISIEST_DBOV`)."""
_NOISIEST_DBOV, _FIRST_NOISE_DBOV, _LEAST_NOISE_DBOV = -30.0, -38.0, -60.0
_DROP_DB = 15.0
"""A burst is over when it has been so much softer for `_GAP_HOPS`; two tones that beat against each other are not."""
_GAP_HOPS = 4
_INSIDE_MS = 400
_SHARE = 0.85
_EACH_SHARE = 0.15
_OFF_HZ = 12.0


@dataclass(frozen=True, slots=True)
class Burst:
    """Sound between two silences."""

    began_ms: int
    duration_ms: int
    frequencies_hz: tuple[float, ...]
    """One or two that hold nearly all of it; none: it is something else."""


@dataclass(frozen=True, slots=True)
class RingbackHeard:
    """It has rung once more at the far end."""

    country: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class BusyHeard:
    """The line is busy. Told once."""

    country: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CongestionHeard:
    """The network is: the fast busy tone (reorder). Told once."""

    country: str
    at_ms: int


CadenceEvent = RingbackHeard | BusyHeard | CongestionHeard


class Bursts:
    """Cuts a stream into bursts."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._hop = sample_rate_hz * _HOP_MS // 1000
        self._fresh = np.zeros(0, np.int16)
        self._at_ms = 0
        self._inside: list[PcmSamples] = []
        self._began_ms: int | None = None
        self._peak_dbov = 0.0
        self._soft_hops = 0
        self._noise_dbov = _FIRST_NOISE_DBOV

    def receive(self, samples: PcmSamples) -> list[tuple[int, Burst | None, bool]]:
        """For every 10 ms: the time, the burst that ended, and whether it is silent."""
        self._fresh = np.concatenate([self._fresh, samples])
        steps = []
        while len(self._fresh) >= self._hop:
            hop, self._fresh = self._fresh[: self._hop], self._fresh[self._hop :]
            self._at_ms += _HOP_MS
            ended = self._step(hop)
            steps.append((self._at_ms, ended, self._began_ms is None))
        return steps

    def _step(self, hop: PcmSamples) -> Burst | None:
        wide = hop.astype(np.float64) / FULL_SCALE
        level_dbov = power_dbov(float(np.dot(wide, wide)) / self._hop)
        quiet_dbov = max(_QUIET_DBOV, self._noise(level_dbov) + _ABOVE_NOISE_DB)
        if self._began_ms is None:
            if level_dbov >= quiet_dbov:
                self._began_ms, self._peak_dbov, self._soft_hops = self._at_ms - _HOP_MS, level_dbov, 0
                self._inside = [hop]
            return None
        self._peak_dbov = max(self._peak_dbov, level_dbov)
        is_soft = level_dbov < max(quiet_dbov, self._peak_dbov - _DROP_DB)
        self._soft_hops = self._soft_hops + 1 if is_soft else 0
        if len(self._inside) * _HOP_MS < _INSIDE_MS:
            self._inside.append(hop)
        if self._soft_hops < _GAP_HOPS:
            return None
        duration_ms = self._at_ms - self._began_ms - self._soft_hops * _HOP_MS
        inside = self._inside[1 : max(1, duration_ms // _HOP_MS - 1)]
        burst = Burst(self._began_ms, duration_ms, self._frequencies(inside))
        self._began_ms = None
        return burst

    def _noise(self, level_dbov: float) -> float:
        """What the line sounds like when nobody does anything."""
        noise_dbov = min(level_dbov, self._noise_dbov + _NOISE_RISE_DB, _NOISIEST_DBOV)
        self._noise_dbov = max(noise_dbov, _LEAST_NOISE_DBOV)
        return self._noise_dbov

    def _frequencies(self, inside: list[PcmSamples]) -> tuple[float, ...]:
        if len(inside) < 8:
            return ()
        samples = np.concatenate(inside).astype(np.float64)
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * len(samples))) ** 2
        bin_hz = self._rate_hz / (4 * len(samples))
        lobe = round(2 * self._rate_hz / len(samples) / bin_hz)
        whole = float(power.sum())
        found: list[tuple[float, float]] = []
        for _ in range(2):
            peak = int(np.argmax(power))
            around = slice(max(0, peak - lobe), peak + lobe + 1)
            found.append((peak * bin_hz, float(power[around].sum()) / whole))
            power[around] = 0.0
        strong = sorted(frequency for frequency, share in found if share >= _EACH_SHARE)
        return tuple(strong) if sum(share for _, share in found) >= _SHARE else ()


class Cadences:
    """Recognises the rhythms of `media.tones`."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._bursts = Bursts(sample_rate_hz)
        self._last: Burst | None = None
        self._ringing: str | None = None
        """The country whose ring has sounded; told when the silence after it is long enough."""
        self._told: type[CadenceEvent] | None = None

    def receive(self, samples: PcmSamples) -> list[CadenceEvent]:
        """The next piece of the stream, any length."""
        events: list[CadenceEvent] = []
        for at_ms, burst, is_silent in self._bursts.receive(samples):
            if burst is not None:
                events += self._receive_burst(burst, at_ms)
            elif not is_silent:
                self._ringing = None
            elif self._ringing is not None and self._last is not None:
                silent_ms = at_ms - self._last.began_ms - self._last.duration_ms
                if silent_ms >= RINGBACK[self._ringing].pattern_ms[1] // 2:
                    events.append(RingbackHeard(self._ringing, at_ms))
                    self._ringing = None
        return events

    def _receive_burst(self, burst: Burst, at_ms: int) -> list[CadenceEvent]:
        before, self._last = self._last, burst
        self._ringing = next((name for name, one in RINGBACK.items() if _sounds_like(burst, one)), None)
        for kind, cadences in ((BusyHeard, BUSY), (CongestionHeard, CONGESTION)):
            for country, cadence in cadences.items():
                if before is not None and _sounds_like(before, cadence) and _sounds_like(burst, cadence):
                    pause_ms = burst.began_ms - before.began_ms - before.duration_ms
                    if _is_about(pause_ms, cadence.pattern_ms[1]):
                        told, self._told = self._told, kind
                        return [] if told is kind else [kind(country, at_ms)]
        if not burst.frequencies_hz:
            self._told = None
        return []


def _sounds_like(burst: Burst, cadence: Cadence) -> bool:
    if len(burst.frequencies_hz) != len(cadence.frequencies_hz) or not _is_about(
        burst.duration_ms, cadence.pattern_ms[0]
    ):
        return False
    pairs = zip(burst.frequencies_hz, sorted(cadence.frequencies_hz), strict=True)
    return all(abs(heard - wanted) <= _OFF_HZ for heard, wanted in pairs)


def _is_about(duration_ms: int, wanted_ms: int) -> bool:
    return abs(duration_ms - wanted_ms) <= max(40, wanted_ms // 8)
