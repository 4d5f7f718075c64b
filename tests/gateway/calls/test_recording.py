# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be asked of a call's recording, and what it then does."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from gateway.api.control import RecordingOrder
from gateway.calls.recording import CallRecording, RecordingState
from gateway.errors import WrongCallState
from media.frames import PcmFrame
from media.ports import CallAudio, PcmHub
from media.recorder import RecordingWriter
from tests.media.decoder import KEY, played


class StillPort:
    """A native port where nothing happens: frames are given to its `CallAudio` by the test."""

    is_tapped = False

    def id(self) -> int:
        return 1

    def sampleRate(self) -> int:
        return 8000

    def write(self, utterance_id: int, rate_hz: int, pcm: bytes | bytearray | memoryview) -> int:
        return 0

    def listen(self, on: bool) -> None: ...

    def tapSent(self, on: bool) -> None:
        self.is_tapped = on


class RecordedCall:
    """A call as far as its recording sees it."""

    def __init__(self, folder: Path) -> None:
        self.writer = RecordingWriter("wav", KEY)
        self.port = StillPort()
        self.audio = CallAudio(PcmHub(), self.port)  # type: ignore[arg-type]
        self.recording = CallRecording(self.writer, folder, "call_1")
        self._position = 0

    async def order(self, order: RecordingOrder) -> None:
        match order:
            case "start":
                self.recording.start(self.audio, started_ms=40)
            case "pause":
                self.recording.pause()
            case "resume":
                self.recording.resume()
            case "stop":
                await self.recording.stop()

    def speak(self, frames: int) -> None:
        for _ in range(frames):
            pcm = np.full(160, 1000, "<i2").tobytes()
            # All of it comes at once here: arrival is set so that it follows the orders given before.
            frame = PcmFrame(pcm, 8000, self._position, time.monotonic() + 1)
            self._position += 160
            self.audio.receive(None, [frame], None)
            self.recording.receive_frames([frame])


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[RecordedCall]:
    call = RecordedCall(tmp_path)
    yield call
    call.writer.close()


async def test_a_call_is_recorded_paused_resumed_and_stopped(call: RecordedCall) -> None:
    call.speak(10)
    await call.order("start")
    call.speak(50)
    await call.order("pause")
    assert call.recording.state is RecordingState.PAUSED
    call.speak(50)
    await call.order("resume")
    call.speak(50)
    facts = await call.recording.stop()
    assert (facts.format, facts.encrypted, facts.started_ms, facts.duration_ms) == ("wav", True, 40, 3000)
    assert facts.complete
    ((begin_ms, end_ms),) = facts.paused_ms
    assert begin_ms <= 1000
    assert end_ms == 2000
    assert not call.port.is_tapped
    call.speak(50)
    assert await call.recording.close() == facts
    content, _ = played(call.recording.path, KEY)
    assert not content[8 * begin_ms : 8 * end_ms].any()
    assert content[16000:].all()


SO_FAR: dict[str, list[RecordingOrder]] = {
    "off": [],
    "on": ["start"],
    "paused": ["start", "pause"],
    "on again": ["start", "pause", "resume"],
    "ended": ["start", "stop"],
}


@pytest.mark.parametrize(
    ("so_far", "order", "problem"),
    [
        ("off", "pause", "not being recorded"),
        ("off", "resume", "not being recorded"),
        ("off", "stop", "not being recorded"),
        ("on", "start", "being recorded already"),
        ("on", "resume", "being recorded already"),
        ("paused", "start", "is paused"),
        ("paused", "pause", "is paused"),
        ("on again", "start", "being recorded already"),
        ("ended", "start", "has ended"),
        ("ended", "pause", "has ended"),
        ("ended", "resume", "has ended"),
        ("ended", "stop", "has ended"),
    ],
)
async def test_an_order_that_does_not_fit_is_refused_with_the_reason(
    call: RecordedCall, so_far: str, order: RecordingOrder, problem: str
) -> None:
    for before in SO_FAR[so_far]:
        await call.order(before)
    state = call.recording.state
    with pytest.raises(WrongCallState, match=problem):
        await call.order(order)
    assert call.recording.state is state


async def test_a_call_that_was_never_recorded_leaves_no_file(call: RecordedCall, tmp_path: Path) -> None:
    call.speak(10)
    assert await call.recording.close() is None
    assert not os.listdir(tmp_path)


async def test_a_call_that_ends_during_a_pause_is_silent_to_its_end(call: RecordedCall) -> None:
    await call.order("start")
    await call.order("pause")
    call.speak(50)
    facts = await call.recording.close()
    assert facts is not None
    assert facts.paused_ms == ((0, 1000),)
    assert call.recording.state is RecordingState.ENDED
    assert not played(call.recording.path, KEY)[0].any()
