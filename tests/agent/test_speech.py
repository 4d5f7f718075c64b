# SPDX-License-Identifier: GPL-3.0-or-later
"""When the caller speaks: gate, model, hysteresis, positions and times."""

from collections.abc import Iterable

import numpy as np
import pytest

from agent.config import SpeechConfig
from agent.speech import (
    SpeechDetector,
    SpeechDismissed,
    SpeechEnded,
    SpeechEvent,
    SpeechModel,
    SpeechStarted,
    SpeechSuspected,
)
from media.frames import FrameFlags, PcmFrame, PcmSamples
from media.line_clock import LineClock

RATE_HZ = 8_000
FRAME = 160
WINDOW = 256
CONFIG = SpeechConfig(start_probability=0.5, end_probability=0.35, min_speech_ms=128, min_silence_ms=96, gate_ms=300)
EPOCH = 500.0
"""Our clock when the leg's timeline was at 0."""


class ReadsOff:
    """A model to script: the probability is written into the samples, in percent."""

    def __init__(self, log: list[int]) -> None:
        self._log = log
        self._held: PcmSamples = np.empty(0, np.int16)
        log.append(0)

    def process(self, samples: PcmSamples) -> list[float]:
        self._log[-1] += len(samples)
        held = np.concatenate((self._held, samples))
        count = len(held) // WINDOW
        self._held = held[count * WINDOW :]
        return [float(np.mean(window)) / 100 for window in held[: count * WINDOW].reshape(count, WINDOW)]


class Line:
    """Feeds a detector 20 ms frames made of (windows, percent) pieces, and keeps what it says."""

    def __init__(self, config: SpeechConfig = CONFIG) -> None:
        self.models: list[int] = []
        """For every model that was made: how many samples it was given."""
        self.detector = SpeechDetector(self._make, RATE_HZ, config)
        self.position = 0
        self.late_s = 0.0
        self.events: list[SpeechEvent] = []

    def _make(self, sample_rate_hz: int) -> SpeechModel:
        assert sample_rate_hz == RATE_HZ
        return ReadsOff(self.models)

    def feed(self, *pieces: tuple[int, int], flags: FrameFlags | None = None, swing: int = 0) -> list[SpeechEvent]:
        """Returns what is new. A frame is flagged as speech when it has any, unless `flags` says otherwise.

        `swing` is loudness that the model does not see: every other sample is higher, every other lower.
        """
        samples = np.concatenate([np.full(windows * WINDOW, percent, np.int16) for windows, percent in pieces])
        samples[::2] += swing
        samples[1::2] -= swing
        fresh: list[SpeechEvent] = []
        for begin in range(0, len(samples), FRAME):
            frame = samples[begin : begin + FRAME]
            heard = FrameFlags.SPEECH if frame.any() else FrameFlags.NONE
            self.detector.receive_frame(self._frame(frame, heard if flags is None else flags))
            fresh += self.detector.events()
        self.events += fresh
        return fresh

    def _frame(self, samples: PcmSamples, flags: FrameFlags) -> PcmFrame:
        begin, self.position = self.position, self.position + len(samples)
        arrived_at = EPOCH + self.position / RATE_HZ + self.late_s
        return PcmFrame(samples.astype("<i2").tobytes(), RATE_HZ, begin, arrived_at, flags)


def kinds(events: Iterable[SpeechEvent]) -> list[type[SpeechEvent]]:
    return [type(event) for event in events]


def spoken_at(windows: int) -> float:
    """When that many windows of the timeline had been spoken."""
    return EPOCH + windows * WINDOW / RATE_HZ


def is_near(moment: float, windows: int) -> bool:
    """The same, to a window: the model's own windows begin where the gate opened."""
    return abs(moment - spoken_at(windows)) <= 0.0321


def test_speech_is_told_with_the_times_of_its_first_and_last_sample() -> None:
    line = Line()
    line.feed((10, 0), (20, 90), (20, 0))
    suspected, started, ended = line.events
    assert isinstance(suspected, SpeechSuspected)
    assert isinstance(started, SpeechStarted)
    assert isinstance(ended, SpeechEnded)
    assert suspected.started_at == started.started_at
    assert is_near(started.started_at, 10)
    assert started.started_at == EPOCH + started.position_samples / RATE_HZ
    assert is_near(ended.ended_at, 30)
    assert ended.ended_at == EPOCH + ended.position_samples / RATE_HZ
    assert 0 <= ended.arrived_at - ended.ended_at < 0.04


def test_suspicion_comes_with_the_first_window_and_certainty_with_the_minimum() -> None:
    line = Line()
    line.feed((10, 0))
    assert kinds(line.feed((2, 60))) == [SpeechSuspected]
    assert not line.detector.is_speaking
    assert kinds(line.feed((3, 60))) == [SpeechStarted]
    assert line.detector.is_speaking


def test_a_click_is_suspected_and_dismissed() -> None:
    line = Line()
    line.feed((10, 0), (2, 90), (10, 0))
    assert kinds(line.events) == [SpeechSuspected, SpeechDismissed]


def test_what_began_as_speech_goes_on_at_a_lower_probability() -> None:
    line = Line()
    line.feed((10, 0), (5, 60), (20, 40))
    assert kinds(line.events) == [SpeechSuspected, SpeechStarted]
    line.feed((10, 34))
    assert isinstance(line.events[-1], SpeechEnded)
    assert is_near(line.events[-1].ended_at, 35)


def test_the_lower_probability_does_not_begin_speech() -> None:
    line = Line()
    line.feed((40, 49))
    assert line.events == []


def test_a_gap_within_a_word_ends_nothing_and_the_silence_clock_starts_at_the_last_sample() -> None:
    line = Line()
    line.feed((5, 0), (10, 90), (2, 0), (3, 90), (10, 0))
    assert kinds(line.events) == [SpeechSuspected, SpeechStarted, SpeechEnded]
    assert isinstance(line.events[-1], SpeechEnded)
    assert is_near(line.events[-1].ended_at, 20)


def test_a_word_has_ended_when_it_has_faded_out_even_if_the_model_lets_go_of_it_later() -> None:
    line = Line()
    line.feed((10, 0))
    line.feed((20, 90), swing=20_000)
    line.feed((4, 90), (10, 0))
    ended = line.events[-1]
    assert isinstance(ended, SpeechEnded)
    assert is_near(ended.ended_at, 30)
    assert 0 <= ended.arrived_at - ended.ended_at < 0.001


def test_on_a_noisy_line_the_model_alone_says_when_a_word_has_ended() -> None:
    line = Line()
    line.feed((10, 0), swing=2_000)
    line.feed((20, 90), swing=20_000)
    line.feed((4, 90), (10, 0), swing=2_000)
    ended = line.events[-1]
    assert isinstance(ended, SpeechEnded)
    assert is_near(ended.ended_at, 34)


def test_the_loudness_of_one_word_is_no_measure_for_the_next() -> None:
    line = Line(CONFIG.model_copy(update={"end_probability": 0.05}))
    line.feed((10, 0))
    line.feed((20, 90), swing=32_000)
    line.feed((10, 0))
    line.feed((20, 90), swing=500)
    line.feed((4, 6), (10, 0))
    ended = line.events[-1]
    assert isinstance(ended, SpeechEnded)
    assert is_near(ended.ended_at, 60)


def test_while_the_line_is_silent_the_model_never_runs() -> None:
    line = Line()
    line.feed((500, 0))
    assert line.models == []


def test_noise_that_opens_the_gate_wakes_the_model_only_for_a_while() -> None:
    line = Line()
    line.feed((50, 0), (5, 10), (500, 0))
    # The lead-in of 100 ms, 160 ms of noise, 300 ms of gate.
    assert len(line.models) == 1
    assert line.models[0] == pytest.approx(8 * 560, abs=2 * FRAME)
    assert line.events == []


def test_the_model_hears_what_came_just_before_the_gate_opened() -> None:
    line = Line()
    line.feed((50, 0))
    # The cheap detector hears a voice only 64 ms into the word.
    line.feed((2, 90), flags=FrameFlags.NONE)
    line.feed((10, 90), (10, 0))
    started = next(event for event in line.events if isinstance(event, SpeechStarted))
    assert started.position_samples == pytest.approx(50 * WINDOW, abs=WINDOW)


def test_the_gate_stays_open_while_the_model_hears_speech() -> None:
    line = Line()
    line.feed((10, 0), (5, 90))
    line.feed((50, 90), flags=FrameFlags.NONE)
    assert kinds(line.events) == [SpeechSuspected, SpeechStarted]


def test_the_networks_jitter_does_not_move_speech_but_its_arrival() -> None:
    line = Line()
    line.feed((20, 0))
    line.late_s = 0.06
    line.feed((10, 90))
    line.late_s = 0.0
    line.feed((10, 0))
    ended = line.events[-1]
    assert isinstance(ended, SpeechEnded)
    assert is_near(ended.ended_at, 30)
    assert 0.06 <= ended.arrived_at - ended.ended_at < 0.1


def test_a_gap_in_the_timeline_counts_as_silence() -> None:
    line = Line()
    line.feed((10, 0), (10, 90))
    line.position += RATE_HZ
    line.feed((2, 0))
    assert isinstance(line.events[-1], SpeechEnded)
    assert line.events[-1].position_samples == pytest.approx(20 * WINDOW, abs=WINDOW)


def test_a_timeline_that_begins_anew_ends_the_speech_and_starts_the_clock_afresh() -> None:
    line = Line()
    line.feed((100, 0), (10, 90))
    line.position, line.late_s = 0, 20.0
    line.feed((10, 0), (10, 90), (10, 0))
    assert kinds(line.events) == [SpeechSuspected, SpeechStarted, SpeechEnded] * 2
    assert isinstance(line.events[-1], SpeechEnded)
    assert line.events[-1].ended_at == pytest.approx(EPOCH + 20 + 20 * WINDOW / RATE_HZ, abs=0.032)


def test_another_rate_ends_the_speech() -> None:
    line = Line()
    line.feed((10, 0), (10, 90))
    line.detector.receive_rate(16_000)
    assert kinds(line.detector.events()) == [SpeechEnded]
    assert not line.detector.is_speaking


def test_a_line_that_stops_sending_falls_silent_after_a_while() -> None:
    line = Line()
    line.feed((10, 0), (10, 90))
    last_at = EPOCH + line.position / RATE_HZ
    assert line.detector.next_timeout() == pytest.approx(last_at + 0.3)
    line.detector.handle_timeout(last_at + 0.29)
    assert line.detector.events() == []
    line.detector.handle_timeout(last_at + 0.301)
    assert kinds(line.detector.events()) == [SpeechEnded]
    assert line.detector.next_timeout() is None


def test_a_silent_line_needs_no_timer() -> None:
    line = Line()
    line.feed((10, 0))
    assert line.detector.next_timeout() is None


def test_the_line_clock_follows_the_fastest_frame_and_forgets_it_slowly() -> None:
    clock = LineClock()
    clock.receive(1.0, 101.05)
    assert clock.spoken_at(1.0) == pytest.approx(101.05)
    clock.receive(1.02, 101.02)
    assert clock.spoken_at(1.0) == pytest.approx(101.0)
    clock.receive(1.04, 101.10)
    assert clock.spoken_at(1.0) == pytest.approx(101.0, abs=1e-4)
    # 100 s in which every frame comes 5 ms later than that: a clock that drifts by 50 millionths.
    for second in range(2, 103):
        clock.receive(second, 100.005 + second)
    assert clock.spoken_at(1.0) == pytest.approx(101.005, abs=1e-4)


def test_the_line_clock_follows_a_timeline_that_jumps() -> None:
    clock = LineClock()
    clock.receive(1_000.0, 1_000.0)
    clock.receive(0.02, 1_000.02)
    assert clock.spoken_at(0.02) == pytest.approx(1_000.02)
    clock.receive(500.0, 1_000.04)
    assert clock.spoken_at(500.0) == pytest.approx(1_000.04)
