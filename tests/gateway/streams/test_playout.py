# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend's audio on its way to the caller, on a line whose clock the tests turn."""

import random

import pytest

from gateway.streams.messages import BackendFault, FlowControl, MarkReached, PlayoutCleared, StreamFormat
from gateway.streams.playout import AHEAD_S, CAPACITY_MS, XOFF_MS, XON_MS, PlayoutTold, StreamPlayout
from tests.fakes.line import FRAME_S, FakeLine


class Scene:
    """A playout, its line and what the backend was told."""

    def __init__(self, encoding: StreamFormat | None = None) -> None:
        self.line = FakeLine()
        self.told: list[PlayoutTold] = []
        self.playout = StreamPlayout(self.line, encoding or StreamFormat(), self.told.append)
        self.now = 100.0
        self.longest_step_samples = 0

    def say(self, pcm: bytes) -> None:
        self.playout.receive_audio(pcm, "", self.now)

    def run(self, seconds: float) -> None:
        """Let time pass; the timer is served as a shell would."""
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            while self.playout.next_timeout is not None and self.playout.next_timeout <= self.now:
                before = self.line.queued_ms
                self.playout.handle_timeout(self.now)
                self.longest_step_samples = max(self.longest_step_samples, round(8 * (self.line.queued_ms - before)))
            for event in self.line.tick(self.now):
                self.playout.receive_playout(event, self.now)

    def marks(self, *, played: bool) -> list[str]:
        return [one.name for one in self.told if isinstance(one, MarkReached) and one.played is played]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def _speech(ms: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(ms * 16)


def test_half_a_minute_in_one_message_plays_in_full_and_in_small_steps(scene: Scene) -> None:
    speech = _speech(30_000)
    scene.say(speech)
    scene.playout.receive_mark("end", scene.now)
    assert scene.line.queued_ms <= AHEAD_S * 1000
    scene.run(29.9)
    assert scene.marks(played=True) == []
    scene.run(0.2)
    assert bytes(scene.line.sent) == speech
    assert scene.marks(played=True) == ["end"]
    assert 0 < scene.longest_step_samples <= 1600


def test_samples_may_be_cut_anywhere(scene: Scene) -> None:
    cut, speech, begin = random.Random(2), _speech(2000), 0
    while begin < len(speech):
        end = begin + cut.randint(1, 1001)
        scene.say(speech[begin:end])
        begin = end
    scene.run(2.1)
    assert bytes(scene.line.sent) == speech


def test_a_mark_is_told_in_the_frame_that_sends_what_was_before_it(scene: Scene) -> None:
    for name in ("a", "b"):
        scene.say(_speech(1000))
        scene.playout.receive_mark(name, scene.now)
    scene.run(0.98)
    assert scene.marks(played=True) == []
    scene.run(0.02)
    assert scene.marks(played=True) == ["a"]
    scene.run(1.0)
    assert scene.marks(played=True) == ["a", "b"]


def test_a_mark_after_nothing_is_reached_at_once(scene: Scene) -> None:
    scene.playout.receive_mark("nothing", scene.now)
    assert scene.told == [MarkReached("nothing", played=True)]


def test_more_marks_than_the_leg_has_utterances_are_all_told_in_order(scene: Scene) -> None:
    names = [f"m{index}" for index in range(300)]
    for index, name in enumerate(names):
        scene.say(_speech(20, index))
        scene.playout.receive_mark(name, scene.now)
    scene.run(8)
    assert scene.marks(played=True) == names


def test_clear_tells_what_was_heard_to_the_frame(scene: Scene) -> None:
    scene.say(_speech(1000))
    scene.playout.receive_mark("first", scene.now)
    scene.say(_speech(9000))
    scene.playout.receive_mark("second", scene.now)
    scene.run(3.0)
    scene.playout.clear(scene.now)
    assert scene.marks(played=True) == ["first"]
    assert scene.marks(played=False) == ["second"]
    assert scene.told[-1] == PlayoutCleared(3000, 7000, ("second",))
    sent = len(scene.line.sent)
    scene.run(1.0)
    assert len(scene.line.sent) == sent


def test_what_comes_after_a_clear_is_played_and_counted_anew(scene: Scene) -> None:
    scene.say(_speech(1000))
    scene.playout.clear(scene.now)
    answer = _speech(500, 7)
    scene.say(answer)
    scene.run(0.6)
    assert bytes(scene.line.sent) == answer
    scene.playout.clear(scene.now)
    assert scene.told[-1] == PlayoutCleared(500, 0, ())


def test_a_pause_keeps_what_is_queued_and_a_clear_ends_it(scene: Scene) -> None:
    scene.say(_speech(1000))
    scene.run(0.5)
    scene.playout.pause()
    scene.run(1.0)
    assert len(scene.line.sent) == 8000
    scene.playout.resume()
    scene.run(0.6)
    assert len(scene.line.sent) == 16000
    scene.playout.pause()
    scene.playout.clear(scene.now)
    assert not scene.line.is_paused


def test_the_backend_is_stopped_at_45_s_and_let_go_at_30(scene: Scene) -> None:
    for _ in range(46):
        scene.say(_speech(1000))
    (off,) = (one for one in scene.told if isinstance(one, FlowControl))
    assert off.xoff
    assert off.queued_ms == pytest.approx(XOFF_MS, abs=1000)
    scene.run(14.5)
    assert scene.told[-1] == off
    scene.run(3.0)
    on = scene.told[-1]
    assert isinstance(on, FlowControl)
    assert not on.xoff
    assert on.queued_ms == pytest.approx(XON_MS, abs=1500)


def test_what_exceeds_a_minute_is_refused_and_told_once(scene: Scene) -> None:
    scene.say(_speech(50_000))
    for _ in range(15):
        scene.say(_speech(1000))
    faults = [one for one in scene.told if isinstance(one, BackendFault)]
    assert len(faults) == 1
    assert scene.playout.queued_ms(scene.now) <= CAPACITY_MS + 40
    assert scene.playout.counters.refused_ms == pytest.approx(5000, abs=50)


def test_single_bytes_cost_no_more_memory_than_they_play(scene: Scene) -> None:
    scene.say(_speech(3000))
    for byte in _speech(1000):
        scene.say(bytes([byte]))
    assert len(scene.playout._backlog) < 30
    scene.run(4.2)
    assert len(scene.line.sent) == 4000 * 16


def test_one_chunk_in_the_middle_can_be_dropped(scene: Scene) -> None:
    chunks = {name: _speech(1000, seed) for seed, name in enumerate("abc")}
    for name, pcm in chunks.items():
        scene.playout.receive_audio(pcm, name, scene.now)
    scene.run(0.5)
    scene.playout.clear_chunk("b", scene.now)
    scene.run(2.0)
    assert bytes(scene.line.sent) == chunks["a"] + chunks["c"]


def test_a_stream_in_real_time_that_comes_just_before_the_tick_gets_a_frame_of_slack(scene: Scene) -> None:
    scene.playout.begin(scene.now)
    scene.run(0.1)
    for index in range(50):
        jitter = 0.004 if index == 25 else 0.0  # later than the tick that is 2 ms away
        scene.now += 0.018 + jitter
        scene.playout.receive_audio(b"\x00\x40" * 160, "", scene.now)
        scene.now += 0.002 - jitter
        for event in scene.line.tick(scene.now):
            scene.playout.receive_playout(event, scene.now)
    assert scene.playout.counters.gaps == 0
    assert scene.line.queued_ms == 20


@pytest.mark.parametrize(("pause_s", "gaps"), [(0.06, 1), (0.5, 0)])
def test_audio_that_comes_late_is_a_gap_and_a_pause_or_the_beginning_is_none(
    scene: Scene, pause_s: float, gaps: int
) -> None:
    for _ in range(2):
        scene.say(_speech(100))
        scene.run(0.1 + pause_s)
    assert scene.playout.counters.gaps == gaps


def test_what_follows_a_clear_is_no_gap(scene: Scene) -> None:
    scene.say(_speech(100))
    scene.run(0.04)
    scene.playout.clear(scene.now)
    scene.run(0.04)
    scene.say(_speech(100))
    assert scene.playout.counters.gaps == 0


def test_the_legs_rate_may_be_another() -> None:
    scene = Scene(StreamFormat("l16", 24000))
    scene.say(bytes(24000 * 2 * 3))
    scene.run(3.2)
    assert len(scene.line.sent) == pytest.approx(3000 * 16, abs=64)
