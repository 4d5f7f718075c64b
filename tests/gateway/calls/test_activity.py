# SPDX-License-Identifier: GPL-3.0-or-later
"""The echo against a playout that takes one frame every 20 ms of simulated time."""

import random
from itertools import count
from typing import cast

import numpy as np

from gateway.calls.activity import Echo
from media.frames import PcmFrame, PcmSamples
from media.ports import CallAudio

_FRAME = 160
_LOUD = np.full(_FRAME, 5000, np.int16)
_QUIET = np.full(_FRAME, 20, np.int16)


class Line:
    """Plays like the native playout; time passes with `until`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.queue = b""
        self.gaps = 0
        self.longest_ms = 0.0
        self.sample_rate_hz = 8000
        self.utterance_ids = count(1)
        self.echo = Echo(cast(CallAudio, self))
        self._position = 0
        self._playing = False

    @property
    def queued_ms(self) -> float:
        return len(self.queue) / 16

    def play(self, utterance_id: int, pcm: bytes, sample_rate_hz: int = 0) -> int:
        assert sample_rate_hz in (0, 8000)
        self.queue += pcm
        self.longest_ms = max(self.longest_ms, self.queued_ms)
        self._playing = True
        return len(pcm) // 2

    def until(self, now: float) -> None:
        """The clock's ticks up to then."""
        while round(self.now + 0.02, 6) <= now:
            self.now = round(self.now + 0.02, 6)
            self.gaps += self._playing and len(self.queue) < 2 * _FRAME
            self._playing = len(self.queue) >= 2 * _FRAME
            self.queue = self.queue[2 * _FRAME :]

    def hear(self, samples: PcmSamples, at: float) -> None:
        self.until(at)
        self.echo.receive_frames([PcmFrame(samples.tobytes(), 8000, self._position, at)])
        self._position += _FRAME


def test_frames_that_come_a_little_early_and_late_are_sent_without_a_gap() -> None:
    line, chance = Line(), random.Random(1)
    for number in range(1000):
        line.hear(_LOUD, 100.01 + number * 0.02 + chance.uniform(0, 0.03))
    assert line.gaps <= 1
    assert line.longest_ms <= 120


def test_a_burst_after_a_gap_does_not_delay_the_echo_for_ever() -> None:
    line = Line()
    for number in range(100):
        line.hear(_LOUD, 100.01 + number * 0.02)
    for _ in range(50):
        line.hear(_LOUD, 103.0)
    assert line.longest_ms <= 2 * 160 + 40
    for number in range(100):
        line.hear(_QUIET, 103.01 + number * 0.02)
    assert line.queued_ms <= 180
    assert line.queued_ms > 0


def test_a_faster_clock_at_the_other_end_does_not_fill_the_queue() -> None:
    line = Line()
    for number in range(100_000):
        line.hear(_QUIET if number % 50 == 0 else _LOUD, 100.01 + number * 0.02 * (1 - 2e-4))
    assert line.longest_ms <= 240
    assert line.gaps == 0


def test_a_slower_clock_leaves_a_gap_now_and_then_only() -> None:
    line = Line()
    for number in range(100_000):
        line.hear(_LOUD, 100.01 + number * 0.02 * (1 + 2e-4))
    assert line.gaps <= 12  # 400 ms are missing, and 40 ms of silence bridge each gap


def test_a_queue_that_is_longer_than_it_should_be_is_found_out() -> None:
    line = Line()
    for number in range(100):
        line.hear(_LOUD, 100.01 + number * 0.02)
    line.queue += bytes(2 * 8000)  # the clock stood still for a second
    for number in range(200):
        line.hear(_QUIET, 102.01 + number * 0.02)
    assert line.queued_ms <= 200
