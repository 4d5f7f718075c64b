# SPDX-License-Identifier: GPL-3.0-or-later
"""Call audio between asyncio and real PJMEDIA streams. L16 carries every sample, so content is compared bit by bit."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable

import numpy as np
import pjsua2 as pj
import pytest
import pytest_asyncio

from media.frames import FrameFlags, PcmFrame, PcmSamples
from media.playout import Heard, PlayoutEvent, UtteranceFinished, UtteranceStarted
from media.ports import CallAudio, PcmHub
from tests.media.loopback import Loopback, Pair


class Ear:
    """All that one end hears."""

    def __init__(self, audio: CallAudio) -> None:
        self.audio = audio
        self.frames: list[PcmFrame] = []
        audio.on_frames = self.frames.extend

    @property
    def samples(self) -> PcmSamples:
        return np.concatenate([frame.samples for frame in self.frames]) if self.frames else np.zeros(0, np.int16)

    def position_of(self, wanted: PcmSamples) -> int:
        """Where `wanted` begins in what was heard, -1 if it is not there."""
        return self.samples.tobytes().find(wanted.tobytes()) // 2


async def until(true: Callable[[], bool], timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


def noise(seconds: float, sample_rate_hz: int = 8000, seed: int = 1) -> PcmSamples:
    """Samples that do not repeat and are never zero."""
    random = np.random.default_rng(seed)
    return random.integers(100, 20000, round(seconds * sample_rate_hz), dtype=np.int16)


@pytest_asyncio.fixture(loop_scope="module")
async def pair(loopback: Loopback) -> AsyncIterator[Pair]:
    pair = await loopback.connect()
    yield pair
    pair.caller.close()
    pair.callee.close()
    await loopback.hang_up(pair)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_frames_come_every_20_ms_on_one_timeline(pair: Pair) -> None:
    ear = Ear(pair.callee)
    await until(lambda: len(ear.frames) >= 50)
    positions = [frame.position_samples for frame in ear.frames]
    assert np.all(np.diff(positions) == 160)
    assert all(len(frame.pcm) == 320 and frame.sample_rate_hz == 8000 for frame in ear.frames)
    arrivals = np.diff([frame.arrived_at for frame in ear.frames])
    assert np.all(arrivals >= 0)
    assert abs(float(np.mean(arrivals)) - 0.02) < 0.002
    assert 0 <= time.monotonic() - ear.frames[-1].arrived_at < 0.5


async def test_frames_are_what_their_class_would_have_made(pair: Pair) -> None:
    ear = Ear(pair.callee)
    await until(lambda: any(not frame.flags for frame in ear.frames))
    frame = ear.frames[-1]
    made = PcmFrame(frame.pcm, frame.sample_rate_hz, frame.position_samples, frame.arrived_at, frame.flags)
    assert type(frame) is PcmFrame
    assert frame == made
    assert hash(frame) == hash(made)
    assert repr(frame) == repr(made)
    assert frame.flags is FrameFlags.NONE
    assert ear.frames[0].flags in (FrameFlags.NONE, FrameFlags.CONCEALED)


async def test_both_ends_hear_the_other_bit_by_bit(pair: Pair) -> None:
    ears = Ear(pair.caller), Ear(pair.callee)
    await until(lambda: all(ear.frames and not ear.frames[-1].flags for ear in ears))
    spoken = noise(1.0, seed=1), noise(1.0, seed=2)
    assert pair.caller.play(1, spoken[0].tobytes()) == 8000
    assert pair.callee.play(1, memoryview(spoken[1].tobytes())) == 8000
    await until(lambda: ears[0].position_of(spoken[1]) >= 0 and ears[1].position_of(spoken[0]) >= 0)
    assert pair.caller.counters().frames_dropped == 0


@pytest.mark.parametrize(("codec", "rate_hz"), [("L16/16000/1", 16000), ("G722/16000/1", 16000), ("PCMU/8000/1", 8000)])
async def test_each_codec_keeps_its_own_rate(loopback: Loopback, codec: str, rate_hz: int) -> None:
    pair = await loopback.connect(codec)
    ear = Ear(pair.callee)
    assert pair.caller.sample_rate_hz == rate_hz
    assert pair.caller.frame_samples == rate_hz // 50
    tone = (8000 * np.sin(np.arange(rate_hz) * 2 * np.pi * 400 / rate_hz)).astype(np.int16)
    pair.caller.play(1, tone.tobytes())
    await until(lambda: len(ear.samples) > 1.5 * rate_hz)
    spectrum = np.abs(np.fft.rfft(ear.samples[: round(1.5 * rate_hz)]))
    assert abs(int(np.argmax(spectrum)) / 1.5 - 400) < 2
    await loopback.hang_up(pair)


async def test_an_utterance_reports_its_start_and_its_end(pair: Pair) -> None:
    events: list[PlayoutEvent] = []
    pair.caller.on_playout = events.append
    ear = Ear(pair.callee)
    await until(lambda: bool(ear.frames) and not ear.frames[-1].flags)
    spoken = noise(0.5)
    before = time.monotonic()
    pair.caller.play(7, spoken.tobytes())
    pair.caller.end_utterance(7)
    await until(lambda: len(events) == 2)
    started, finished = events
    assert isinstance(started, UtteranceStarted)
    assert isinstance(finished, UtteranceFinished)
    assert started.utterance_id == finished.utterance_id == 7
    assert finished.heard_samples == 4000
    assert before <= started.sent_at <= before + 0.5
    assert abs(finished.sent_at - started.sent_at - 0.48) < 0.1
    await until(lambda: ear.position_of(spoken) >= 0)
    heard = next(frame for frame in ear.frames if spoken[0] in frame.samples)
    assert 0 <= heard.arrived_at - started.sent_at < 0.5
    assert pair.caller.counters().underruns == 0


async def test_a_flush_says_exactly_what_the_other_end_hears(pair: Pair) -> None:
    ear = Ear(pair.callee)
    await until(lambda: bool(ear.frames) and not ear.frames[-1].flags)
    spoken = noise(5.0)
    pair.caller.play(1, spoken[:30000].tobytes())
    pair.caller.play(2, spoken[30000:].tobytes())
    await until(lambda: (pair.caller.progress() or Heard(0, 0)).heard_samples > 4000)
    first, second = pair.caller.clear().utterances
    assert first.utterance_id == 1
    assert first.heard_samples % 160 == 0
    assert first.heard_samples + first.discarded_samples == 30000
    assert second == Heard(2, 0, 10000)
    assert pair.caller.queued_ms == 0
    assert pair.caller.progress() is None
    assert pair.caller.play(2, b"\1\1" * 160) == 0  # late audio of what was flushed
    await asyncio.sleep(0.4)
    at = ear.position_of(spoken[: first.heard_samples])
    assert at >= 0
    after = ear.samples[at + first.heard_samples :]
    assert np.count_nonzero(after[:40]) > 0 or first.heard_samples == 0  # led out
    assert not np.any(after[40:])


async def test_a_pause_loses_nothing(pair: Pair) -> None:
    ear = Ear(pair.callee)
    await until(lambda: bool(ear.frames) and not ear.frames[-1].flags)
    spoken = noise(1.0)
    pair.caller.play(1, spoken.tobytes())
    await until(lambda: pair.caller.queued_ms < 700)
    pair.caller.pause()
    await asyncio.sleep(0.1)
    queued_ms = pair.caller.queued_ms
    await asyncio.sleep(0.2)
    assert pair.caller.queued_ms == queued_ms
    said = 8000 - round(queued_ms * 8)
    pair.caller.resume()
    await until(lambda: ear.position_of(spoken[said + 40 :]) >= 0)  # but for the lead-in
    assert ear.position_of(spoken[:said]) >= 0


async def test_an_announcement_is_heard_whole_and_what_was_being_said_goes_on_behind_it(pair: Pair) -> None:
    said: list[PlayoutEvent] = []
    announced: list[PlayoutEvent] = []
    pair.caller.on_playout, pair.caller.on_announcement = said.append, announced.append
    ear = Ear(pair.callee)
    await until(lambda: bool(ear.frames) and not ear.frames[-1].flags)
    spoken, announcement = noise(1.0), noise(0.5, seed=2)
    pair.caller.play(1, spoken.tobytes())
    pair.caller.end_utterance(1)
    await until(lambda: pair.caller.queued_ms < 700)
    assert pair.caller.announce(9, announcement.tobytes()) == 4000
    pair.caller.end_announcement(9)
    assert pair.caller.announcement_queued_ms > 400
    await until(lambda: len(said) == 2)
    assert [type(event) for event in (*said, *announced)] == 2 * [UtteranceStarted, UtteranceFinished]
    finished, announcement_finished = said[1], announced[1]
    assert isinstance(finished, UtteranceFinished)
    assert isinstance(announcement_finished, UtteranceFinished)
    assert (announcement_finished.utterance_id, announcement_finished.heard_samples) == (9, 4000)
    assert (finished.utterance_id, finished.heard_samples) == (1, 8000)
    assert announcement_finished.sent_at < finished.sent_at
    await until(lambda: ear.position_of(announcement[40:]) >= 0)  # but for what is led out under its beginning
    at = ear.position_of(announcement[40:]) - 40
    assert 0 <= ear.position_of(spoken[:800]) < at
    await until(lambda: ear.position_of(spoken[-400:]) > at)


async def test_an_announcement_is_cleared_by_itself(pair: Pair) -> None:
    pair.caller.play(1, noise(1.0).tobytes())
    pair.caller.announce(2, noise(2.0).tobytes())
    await until(lambda: (pair.caller.announcement_progress() or Heard(0, 0)).heard_samples > 0)
    queued_ms = pair.caller.queued_ms
    pair.caller.pause()
    (cut,) = pair.caller.clear_announcement().utterances
    assert cut.utterance_id == 2
    assert 0 < cut.heard_samples == 16000 - cut.discarded_samples
    assert pair.caller.queued_ms == queued_ms
    assert pair.caller.announcement_queued_ms == 0
    assert pair.caller.announcement_progress() is None


async def test_what_was_sent_can_be_listened_to(pair: Pair) -> None:
    sent: list[PcmFrame] = []
    pair.caller.tap_sent(sent.extend)
    spoken = noise(0.4)
    pair.caller.play(1, spoken.tobytes())
    await until(lambda: len(sent) > 30)
    assert spoken.tobytes() in b"".join(frame.pcm for frame in sent)
    assert np.all(np.diff([frame.position_samples for frame in sent]) == 160)


async def test_hold_keeps_the_queue_and_a_reinvite_may_change_the_rate(loopback: Loopback) -> None:
    pair = await loopback.connect("L16/8000/1")
    rates: list[int] = []
    pair.caller.on_rate = rates.append
    ear, own_ear = Ear(pair.callee), Ear(pair.caller)
    await until(lambda: bool(ear.frames) and not ear.frames[-1].flags)
    pair.caller.play(1, noise(3.0).tobytes())
    await until(lambda: pair.caller.queued_ms < 2500)
    await loopback.ask(lambda: loopback.call(pair.callee_id).setHold(pj.CallOpParam(True)))
    await loopback.media()
    await loopback.media()
    await asyncio.sleep(0.1)
    held_ms = pair.caller.queued_ms
    await asyncio.sleep(0.2)

    await loopback.prefer("L16/16000/1")
    unhold = pj.CallOpParam(True)
    unhold.opt.flag = pj.PJSUA_CALL_UNHOLD
    await loopback.ask(lambda: loopback.call(pair.callee_id).reinvite(unhold))
    await until(lambda: rates == [16000])
    assert pair.caller.sample_rate_hz == 16000
    assert pair.caller.queued_ms <= held_ms
    heard = len(ear.frames)
    await until(lambda: len(ear.frames) > heard + 20)
    assert ear.frames[-1].sample_rate_hz == 16000
    positions = np.array([frame.position_samples / frame.sample_rate_hz for frame in own_ear.frames])
    assert np.all(np.diff(positions) > 0)
    await until(lambda: pair.caller.queued_ms == 0)
    assert np.any(ear.frames[-20].samples)
    await loopback.hang_up(pair)


async def test_a_sink_that_fails_harms_no_other_call(loopback: Loopback, pair: Pair) -> None:
    faults: list[str] = []

    def fail(frames: list[PcmFrame]) -> None:
        raise RuntimeError("no")

    ear = Ear(pair.callee)
    pair.caller.on_fault = lambda: faults.append("caller")
    pair.caller.on_frames = fail
    await until(lambda: bool(faults))
    heard = len(ear.frames)
    await until(lambda: len(ear.frames) > heard + 10)
    assert faults == ["caller"]


async def test_audio_outlives_its_call_harmlessly(loopback: Loopback) -> None:
    pair = await loopback.connect()
    ear = Ear(pair.caller)
    await until(lambda: len(ear.frames) > 5)
    await loopback.hang_up(pair)
    assert not pair.caller.attached
    assert pair.caller.play(1, noise(1.0).tobytes()) == 8000
    assert pair.caller.clear().utterances == (Heard(1, 0, 8000),)
    pair.caller.close()
    pair.caller.close()


async def test_calls_leave_nothing_behind(loopback: Loopback) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    async def calls(count: int) -> None:
        for _ in range(count):
            pair = await loopback.connect()
            pair.caller.play(1, noise(0.2).tobytes())
            await loopback.hang_up(pair)
            pair.caller.close()
            pair.callee.close()

    await calls(5)
    await asyncio.sleep(0.1)
    before = open_files(), threads(), pj.media_clock_stats()["tickers"]
    await calls(40)
    await until(lambda: pj.media_clock_stats()["tickers"] == before[2])
    assert (open_files(), threads()) == before[:2]


async def test_a_hub_is_watched_by_one_loop() -> None:
    hub, other = PcmHub(), asyncio.new_event_loop()
    hub.start(other)
    with pytest.raises(ValueError, match="already"):
        hub.start(asyncio.get_running_loop())
    hub.close()
    other.close()
