# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings: aligned, private, playable whatever happens to the process or the disk."""

import asyncio
import stat
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray
from structlog.testing import capture_logs

from media.errors import MediaMisuse
from media.frames import PcmFrame, PcmSamples
from media.level import dbov
from media.recorder import QUEUE_S, Recorder, Recording, RecordingWriter, WriterStats, _TrackQueue
from media.recording_file import RecordingFile
from media.wav import read_wav
from tests.media.sound import frames, noise, sine

RATE_HZ = 8000
FRAME = 160


@pytest.fixture(autouse=True)
def _own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger that is bound here: another test of this process may have let the module's own be kept as it was."""
    monkeypatch.setattr("media.recorder.log", structlog.get_logger("media.recorder"))


@pytest.fixture
def writer() -> Iterator[RecordingWriter]:
    writer = RecordingWriter()
    yield writer
    writer.close()


def tracks(path: Path) -> tuple[NDArray[np.int16], int]:
    """The file as an independent reader sees it."""
    with wave.open(str(path), "rb") as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (2, 2)
        content = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
        return content, wav.getframerate()


def sent(position_samples: int, pcm: bytes) -> PcmFrame:
    return PcmFrame(pcm, RATE_HZ, position_samples, 0.0)


def threadless(path: Path) -> Recorder:
    """A recorder whose thread was never started: a disk that never answers, or answers when `write` is called."""
    return Recorder(RecordingFile(path, RATE_HZ, "wav", None), RATE_HZ, threading.Condition())


def speak(recorder: Recorder, caller: PcmSamples, agent: PcmSamples, sample_rate_hz: int = RATE_HZ) -> None:
    for mine, yours in zip(frames(caller, sample_rate_hz), frames(agent, sample_rate_hz), strict=True):
        recorder.caller(mine)
        recorder.agent(yours)


def test_the_caller_is_left_the_agent_right_sample_for_sample(writer: RecordingWriter, tmp_path: Path) -> None:
    recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
    caller, agent = noise(3.0, RATE_HZ, -20, seed=1), noise(3.0, RATE_HZ, -30, seed=2)
    speak(recorder, caller, agent)
    recording = recorder.close().result(timeout=10)
    content, sample_rate_hz = tracks(recording.path)
    assert sample_rate_hz == RATE_HZ
    assert np.array_equal(content, np.column_stack((caller, agent)))
    assert recording.duration_s == 3.0
    assert recording.complete


def test_lost_packets_and_a_silent_agent_become_silence_of_the_right_length(
    writer: RecordingWriter, tmp_path: Path
) -> None:
    recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
    voice = noise(2.0, RATE_HZ, -20)
    for frame in frames(voice, RATE_HZ, start=40000):
        if not 48000 <= frame.position_samples < 52000:
            recorder.caller(frame)
    recorder.agent(sent(44000, voice[:800].tobytes()))
    recording = recorder.close().result(timeout=10)
    content, _ = tracks(recording.path)
    wanted = np.zeros((16000, 2), np.int16)
    wanted[:, 0] = voice
    wanted[8000:12000, 0] = 0
    wanted[4000:4800, 1] = voice[:800]
    assert np.array_equal(content, wanted)
    assert recording.start_position_samples == 40000


def speak_on(recorder: Recorder, seconds: range, *, lag_frames: int = 0) -> None:
    """A second is 50 frames of 1 (caller) and 2 (agent); the caller's come later by so many frames."""
    for index in range(seconds.start * 50, seconds.stop * 50):
        arrived_at = (index + 1) / 50
        if index >= lag_frames:
            pcm = np.full(FRAME, 1, "<i2").tobytes()
            recorder.caller(PcmFrame(pcm, RATE_HZ, (index - lag_frames) * FRAME, arrived_at))
        recorder.agent(PcmFrame(np.full(FRAME, 2, "<i2").tobytes(), RATE_HZ, index * FRAME, arrived_at))


def closed(recorder: Recorder) -> Recording:
    closing = recorder.close()
    assert recorder.write()
    return closing.result(timeout=0)


def test_what_is_paused_is_silent_on_both_tracks_and_keeps_its_time(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    speak_on(recorder, range(0, 1))
    recorder.write()
    recorder.pause()
    speak_on(recorder, range(1, 2))
    recorder.write()
    recorder.resume(now=2.0)
    speak_on(recorder, range(2, 3))
    recording = closed(recorder)
    content, _ = tracks(recording.path)
    assert recording.duration_s == 3.0
    assert recording.paused_s == ((1.0, 2.0),)
    assert content[:8000].tolist() == [[1, 2]] * 8000
    assert not content[8000:16000].any()
    assert content[16000:].tolist() == [[1, 2]] * 8000


def test_frames_that_wait_for_the_writer_when_a_pause_is_ordered_are_silenced_too(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    speak_on(recorder, range(0, 1))
    recorder.write()
    speak_on(recorder, range(1, 2))
    recorder.pause()
    recording = closed(recorder)
    content, _ = tracks(recording.path)
    assert content[:8000].all()
    assert not content[8000:].any()
    assert recording.paused_s == ((1.0, 2.0),)


def test_frames_from_before_a_resume_stay_silent_however_late_they_come(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    recorder.pause()
    speak_on(recorder, range(0, 1), lag_frames=5)
    recorder.resume(now=1.5)  # 25 frames wait in the native ring: they arrived before
    speak_on(recorder, range(1, 3), lag_frames=5)
    recording = closed(recorder)
    content, _ = tracks(recording.path)
    assert recording.paused_s == ((0.0, 1.5),)
    assert not content[:12000].any()
    assert content[12000 : -5 * FRAME].all()


def test_what_the_caller_said_before_a_resume_is_silent_though_it_arrives_after_it(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    recorder.pause()
    speak_on(recorder, range(0, 1), lag_frames=5)
    recorder.resume(now=1.0)
    speak_on(recorder, range(1, 2), lag_frames=5)  # at first the caller's last 100 ms of the pause
    recording = closed(recorder)
    content, _ = tracks(recording.path)
    assert recording.paused_s == ((0.0, 1.0),)
    assert not content[:8000].any()
    assert content[8000 : -5 * FRAME].all()


def test_a_caller_who_was_silent_for_long_brings_nothing_from_before_a_resume(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    recorder.caller(PcmFrame(b"\1\0" * FRAME, RATE_HZ, 0, 0.02))
    recorder.write()
    recorder.pause()
    for index in range(5 * 50):
        recorder.agent(PcmFrame(bytes(320), RATE_HZ, index * FRAME, (index + 1) / 50))
    recorder.resume(now=5.0)
    for index in range(245, 255):  # the first five were spoken before, and were under way for 100 ms
        recorder.caller(PcmFrame(b"\1\0" * FRAME, RATE_HZ, index * FRAME, (index + 6) / 50))
    content, _ = tracks(closed(recorder).path)
    assert not content[FRAME : 5 * RATE_HZ, 0].any()
    assert content[5 * RATE_HZ :, 0].all()


def test_pauses_that_touch_are_told_in_order_and_an_open_one_lasts_to_the_end(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    speak_on(recorder, range(0, 1))
    recorder.write()
    recorder.pause()
    recorder.pause()
    speak_on(recorder, range(1, 2))
    recorder.resume(now=2.0)
    recorder.resume(now=2.0)
    recorder.pause()  # what is queued is from the first pause
    speak_on(recorder, range(2, 3))
    recording = closed(recorder)
    assert recording.paused_s == ((1.0, 2.0), (2.0, 3.0))
    assert not tracks(recording.path)[0][8000:].any()


def test_after_a_change_of_rate_the_file_goes_on_at_its_own(writer: RecordingWriter, tmp_path: Path) -> None:
    recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
    low, high = sine(1000, 2.0, 8000), sine(1000, 2.0, 16000)
    for frame in [*frames(low[:8000], 8000), *frames(high[16000:], 16000, start=16000)]:
        recorder.caller(frame)
        recorder.agent(frame)
    content, sample_rate_hz = tracks(recorder.close().result(timeout=10).path)
    assert (sample_rate_hz, len(content)) == (8000, 16000)
    for channel in content.T:
        assert dbov(channel[8200:15800] - low[8200:15800]) < -70


def test_it_begins_with_the_earlier_of_the_two_tracks(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    voice = noise(0.5, RATE_HZ, -20)
    for frame in frames(voice[1600:], RATE_HZ, start=1600):
        recorder.caller(frame)
    for frame in frames(voice, RATE_HZ):
        recorder.agent(frame)
    content, _ = tracks(closed(recorder).path)
    assert np.array_equal(content[:, 1], voice)
    assert np.array_equal(content[1600:, 0], voice[1600:])


def test_many_calls_share_one_thread(writer: RecordingWriter, tmp_path: Path) -> None:
    before = threading.active_count()
    recorders = [writer.open(tmp_path / f"{index}.wav", RATE_HZ) for index in range(20)]
    for index, recorder in enumerate(recorders):
        speak(recorder, noise(0.5, RATE_HZ, -20, seed=index), np.zeros(4000, np.int16))
    assert threading.active_count() == before + 1
    for index, future in enumerate([recorder.close() for recorder in recorders]):
        content, _ = tracks(future.result(timeout=10).path)
        assert np.array_equal(content[:, 0], noise(0.5, RATE_HZ, -20, seed=index))


def test_our_own_reader_reads_it_too(writer: RecordingWriter, tmp_path: Path) -> None:
    recorder = writer.open(tmp_path / "call.wav", 48000)
    voice = noise(0.5, 48000, -20)
    speak(recorder, voice, voice, 48000)
    samples, sample_rate_hz = read_wav(recorder.close().result(timeout=10).path)
    assert sample_rate_hz == 48000
    assert np.array_equal(samples, voice)


def test_a_recording_without_audio_is_an_empty_file(writer: RecordingWriter, tmp_path: Path) -> None:
    recording = writer.open(tmp_path / "call.wav", RATE_HZ).close().result(timeout=10)
    content, _ = tracks(recording.path)
    assert len(content) == 0
    assert recording.duration_s == 0.0


def test_closing_twice_gives_the_same_recording_and_audio_after_it_is_ignored(
    writer: RecordingWriter, tmp_path: Path
) -> None:
    recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
    closing = recorder.close()
    recorder.agent(sent(0, bytes(320)))
    assert recorder.queued_samples == 0
    assert recorder.close() is closing
    assert closing.result(timeout=10).duration_s == 0.0


async def test_the_event_loop_can_wait_for_it(tmp_path: Path) -> None:
    writer = RecordingWriter()
    recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
    recorder.agent(sent(0, bytes(320)))
    recording = await asyncio.wrap_future(recorder.close())
    assert recording.duration_s == 0.02
    await asyncio.to_thread(writer.close)


def test_a_waiter_that_is_cancelled_does_not_cancel_the_writing(tmp_path: Path) -> None:
    writer = RecordingWriter()
    recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
    recorder.agent(sent(0, bytes(320)))
    assert not recorder.close().cancel()
    writer.close()
    assert len(tracks(tmp_path / "call.wav")[0]) == FRAME


def test_the_end_of_the_process_ends_recordings_properly(tmp_path: Path) -> None:
    writer = RecordingWriter()
    recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
    recorder.agent(sent(0, bytes(320)))
    writer.close()
    assert len(tracks(tmp_path / "call.wav")[0]) == FRAME
    assert recorder.close().result(timeout=0).complete
    with pytest.raises(MediaMisuse, match="closed"):
        writer.open(tmp_path / "other.wav", RATE_HZ)


def test_only_the_owner_may_read_it(writer: RecordingWriter, tmp_path: Path) -> None:
    recording = writer.open(tmp_path / "call.wav", RATE_HZ).close().result(timeout=10)
    assert stat.S_IMODE(recording.path.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_not_overwritten_and_the_log_says_why_once(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(b"somebody's")
    writer = RecordingWriter()
    with capture_logs() as lines, structlog.contextvars.bound_contextvars(call_id="c1"):
        recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
        speak(recorder, noise(1.0, RATE_HZ, -20), noise(1.0, RATE_HZ, -20))
        recording = recorder.close().result(timeout=10)
    writer.close()
    assert not recording.complete
    assert (tmp_path / "call.wav").read_bytes() == b"somebody's"
    stopped = [line for line in lines if line["event"] == "recording_stopped"]
    assert [line["reason"] for line in stopped] == ["EEXIST"]


def test_when_the_disk_does_not_keep_up_the_oldest_goes_and_memory_stays(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "call.wav")
    voice = noise(QUEUE_S + 5, RATE_HZ, -20)
    speak(recorder, voice, voice)
    assert recorder.queued_samples == 2 * QUEUE_S * RATE_HZ
    closing = recorder.close()
    assert recorder.write()
    recording = closing.result(timeout=0)
    assert not recording.complete
    assert recording.start_position_samples == 5 * RATE_HZ
    content, _ = tracks(tmp_path / "call.wav")
    assert np.array_equal(content[:, 0], voice[5 * RATE_HZ :])


def test_frames_that_follow_on_each_other_reach_the_writer_as_one_run() -> None:
    queue = _TrackQueue(max_samples=RATE_HZ)
    for position in (0, 160, 320, 640, 800):
        queue.put(position, RATE_HZ, bytes(320))
    queue.put(960, 16000, bytes(640))
    assert [(run.position_samples, len(run.pieces)) for run in queue.drain()] == [(0, 3), (640, 2), (960, 1)]
    assert not queue.drain()


def test_the_log_line_at_the_end_carries_the_call_and_no_audio(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []

    def note(logger: object, method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        seen.append(dict(line))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, note], cache_logger_on_first_use=False)
    try:
        writer = RecordingWriter()
        with structlog.contextvars.bound_contextvars(call_id="c7"):
            recorder = writer.open(tmp_path / "call.wav", RATE_HZ)
        recorder.agent(sent(0, bytes(320)))
        recorder.close().result(timeout=10)
        writer.close()
    finally:
        structlog.configure(**before)
    assert seen == [
        {
            "event": "recording_closed",
            "call_id": "c7",
            "duration_s": 0.02,
            "complete": True,
            "dropped_samples": 0,
            "late_samples": 0,
        }
    ]


def test_giving_a_frame_never_waits_for_the_disk(tmp_path: Path) -> None:
    recorder = threadless(tmp_path / "none" / "call.wav")
    frame = PcmFrame(bytes(320), RATE_HZ, 0, 0.0)
    recorder.caller(frame)
    assert not (tmp_path / "none").exists()
    assert recorder.queued_samples == FRAME
    recorder.write()
    recorder.caller(frame)
    assert recorder.queued_samples == 0  # stopped: nothing is gathered any more


def test_a_rate_no_leg_has_is_refused(writer: RecordingWriter, tmp_path: Path) -> None:
    with pytest.raises(MediaMisuse, match="44100"):
        writer.open(tmp_path / "call.wav", 44100)


def test_the_writer_counts_what_it_has_and_what_went_wrong(tmp_path: Path) -> None:
    (tmp_path / "taken.wav").touch()
    writer = RecordingWriter()
    good, bad = writer.open(tmp_path / "call.wav", RATE_HZ), writer.open(tmp_path / "taken.wav", RATE_HZ)
    assert (writer.stats().active, writer.stats().queued_s) == (2, 0.0)
    for recorder in (good, bad):
        recorder.close().result(timeout=10)
    writer.close()
    assert writer.stats() == WriterStats(active=0, queued_s=0.0, stopped=1, dropped_samples=0)


def test_several_threads_share_the_calls(tmp_path: Path) -> None:
    before = threading.active_count()
    writer = RecordingWriter(threads=3)
    recorders = [writer.open(tmp_path / f"{index}.wav", RATE_HZ) for index in range(9)]
    assert threading.active_count() == before + 3
    for recorder in recorders:
        speak(recorder, noise(0.5, RATE_HZ, -20), noise(0.5, RATE_HZ, -30))
    writer.close()
    assert threading.active_count() == before
    assert {len(tracks(tmp_path / f"{index}.wav")[0]) for index in range(9)} == {4000}
