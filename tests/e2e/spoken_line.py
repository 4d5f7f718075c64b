# SPDX-License-Identifier: GPL-3.0-or-later
"""A raw caller who speaks and listens."""

import time

import numpy as np

from media.tones import silence
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.mulaw import from_mu_law, mu_law

FRAME = 160
"""20 ms at 8 kHz."""


class Line:
    """A raw caller's two directions, in real time: 20 ms out, everything that came in judged by its level."""

    def __init__(self, caller: RawCaller) -> None:
        self._caller = caller
        self._next = time.monotonic()
        self.heard: list[tuple[float, bool]] = []
        self.loud_ms = 0
        """Of all that was heard, by the millisecond."""

    def listen(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self._tick(SILENCE)

    def until_heard(self, wait_s: float) -> float:
        """When the far end begins to speak."""
        for _ in range(round(wait_s * 50)):
            before = len(self.heard)
            self._tick(SILENCE)
            loud = [at for at, is_loud in self.heard[before:] if is_loud]
            if loud:
                return loud[0]
        raise AssertionError(f"nothing was heard for {wait_s} s")

    def speak(self, samples: np.ndarray, listen_s: float = 0.0) -> float:
        """Say this, then stay for `listen_s`; when the first audible sample was sent."""
        began = 0.0
        padded = np.concatenate([samples, silence(20, 8000)])
        for begin in range(0, len(padded) - FRAME + 1, FRAME):
            frame = padded[begin : begin + FRAME]
            if not began and _is_loud(frame):
                began = time.monotonic()
            self._tick(mu_law(frame))
        self.listen(listen_s)
        return began

    def _tick(self, payload: bytes) -> None:
        self._caller.speak(payload)
        self._next += 0.02
        time.sleep(max(0.0, self._next - time.monotonic()))
        for at, packet in self._caller.hear():
            samples = from_mu_law(packet)
            self.heard.append((at, _is_loud(samples)))
            self.loud_ms += sum(_is_loud(samples[begin : begin + 8]) for begin in range(0, len(samples), 8))


def _is_loud(samples: np.ndarray) -> bool:
    return len(samples) > 0 and float(np.mean(np.abs(samples.astype(np.float64)))) > 200
