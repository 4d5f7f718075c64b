# SPDX-License-Identifier: GPL-3.0-or-later
"""When did the far end speak? Found by level in received audio, to the sample, on the RTP clock. Pure."""

from dataclasses import dataclass

import numpy as np

from media.frames import PcmFrame, PcmSamples

AUDIBLE_DBOV = -45.0
"""Speech lies above, codec and comfort noise below."""
_WINDOW_MS = 5
_ONSET_MS = 30
"""Sound must last this long to be speech: a click is not an answer."""


@dataclass(frozen=True, slots=True)
class Spurt:
    """One stretch of speech, with pauses shorter than the detector's gap inside it."""

    started_at: float
    """Our clock (monotonic seconds) when its first audible sample could be heard."""
    ended_at: float
    """The same of its last audible sample."""
    samples: PcmSamples
    """What was heard, from a little before the start."""
    sample_rate_hz: int


def audible_windows(samples: PcmSamples, sample_rate_hz: int) -> list[bool]:
    """For every whole 5 ms of `samples`, whether its level is above `AUDIBLE_DBOV`."""
    size = sample_rate_hz * _WINDOW_MS // 1000
    count = len(samples) // size
    blocks = samples[: count * size].astype(np.float64).reshape(count, size)
    power = np.mean(np.square(blocks), axis=1) if count else np.zeros(0)
    return [bool(one) for one in power > (32768.0 * 10 ** (AUDIBLE_DBOV / 20)) ** 2]


def last_audible_sample(samples: PcmSamples, sample_rate_hz: int) -> int:
    """How many samples of a prompt it takes until its speech is over; the rest of the file is silence."""
    audible = audible_windows(samples, sample_rate_hz)
    windows = max((index + 1 for index, one in enumerate(audible) if one), default=len(audible))
    return min(len(samples), windows * sample_rate_hz * _WINDOW_MS // 1000)


class SpurtDetector:
    """Fed with every received frame in order; gives each spurt when the silence after it has lasted `gap_ms`."""

    def __init__(self, gap_ms: int = 1200) -> None:
        self._gap_s = gap_ms / 1000
        self._onset: float | None = None
        self._started: float | None = None
        self._last_audible = 0.0
        self._audio: list[PcmSamples] = []
        self._lead: list[PcmSamples] = []
        self._rate_hz = 8000

    @property
    def speaking_since(self) -> float | None:
        """When the spurt that is going on began; None while it is quiet."""
        return self._started

    def receive_frame(self, frame: PcmFrame) -> Spurt | None:
        """Take one frame; the spurt that ended with it, if one did."""
        self._rate_hz = frame.sample_rate_hz
        for index, audible in enumerate(audible_windows(frame.samples, frame.sample_rate_hz)):
            at = frame.arrived_at + index * _WINDOW_MS / 1000
            if audible:
                self._hear(at)
            elif self._started is None and self._onset is not None:
                self._onset = None
        self._keep(frame.samples)
        silent_s = frame.arrived_at - self._last_audible
        if self._started is not None and silent_s >= self._gap_s:
            return self.finish()
        return None

    def finish(self) -> Spurt | None:
        """End the spurt that is going on, if one is: the call is over."""
        if self._started is None:
            return None
        spurt = Spurt(self._started, self._last_audible, np.concatenate(self._audio), self._rate_hz)
        self._started = self._onset = None
        self._audio = []
        return spurt

    def _hear(self, at: float) -> None:
        self._last_audible = at + _WINDOW_MS / 1000
        if self._started is not None:
            return
        if self._onset is None:
            self._onset = at
        elif at - self._onset >= (_ONSET_MS - _WINDOW_MS) / 1000:
            self._started = self._onset
            self._audio = self._lead
            self._lead = []

    def _keep(self, samples: PcmSamples) -> None:
        if self._started is not None:
            self._audio.append(samples)
            return
        self._lead.append(samples)
        del self._lead[:-15]
