# SPDX-License-Identifier: GPL-3.0-or-later
"""One call's recording: the caller as the line brought them left, what was really sent right.

    OFF --start--> ON --pause--> PAUSED        and from ON and PAUSED, stop > ENDED
                    +<--resume----+

A call has one recording, in one file. What is stopped cannot be started again: pause and resume keep a call's times
right, a second file would not.
"""

import asyncio
import time
from enum import Enum
from pathlib import Path

import structlog

from gateway.api.control import RecordingOrder
from gateway.errors import WrongCallState
from gateway.store.records import RecordingFacts
from media.frames import PcmFrame
from media.ports import CallAudio
from media.recorder import Recorder, RecordingWriter

log = structlog.get_logger(__name__)


class RecordingState(Enum):
    """Whether a call is being recorded."""

    OFF = "off"
    ON = "on"
    PAUSED = "paused"
    """Silence is recorded."""
    ENDED = "ended"


_NEXT: dict[tuple[RecordingState, RecordingOrder], RecordingState] = {
    (RecordingState.OFF, "start"): RecordingState.ON,
    (RecordingState.ON, "pause"): RecordingState.PAUSED,
    (RecordingState.ON, "stop"): RecordingState.ENDED,
    (RecordingState.PAUSED, "resume"): RecordingState.ON,
    (RecordingState.PAUSED, "stop"): RecordingState.ENDED,
}

_WHY_NOT: dict[RecordingState, str] = {
    RecordingState.OFF: "the call is not being recorded: start it first",
    RecordingState.ON: "the call is being recorded already",
    RecordingState.PAUSED: "the recording is paused: resume or stop it",
    RecordingState.ENDED: "the recording has ended, and a call has one only",
}


class CallRecording:
    """Nothing is recorded before `start`; a recording that was never started has no file."""

    def __init__(self, writer: RecordingWriter, folder: Path, call_id: str) -> None:
        self.path = folder / f"{call_id}{writer.suffix}"
        """A call id is random: nothing in the name says who called."""
        self.state = RecordingState.OFF
        self._writer = writer
        self._recorder: Recorder | None = None
        self._audio: CallAudio | None = None
        self._started_ms = 0

    def start(self, audio: CallAudio, started_ms: int) -> None:
        """Record from here on, `started_ms` after the call was answered. Take the caller's frames with
        `receive_frames`; ours come from the leg itself. This and the others raise `WrongCallState`."""
        self._move("start")
        self._started_ms = started_ms
        self._recorder, self._audio = self._writer.open(self.path, audio.sample_rate_hz), audio
        audio.tap_sent(self._receive_sent)

    def pause(self) -> None:
        """Record silence from here on; what is being said now never reaches the disk."""
        recorder = self._moved("pause")
        recorder.pause()

    def resume(self) -> None:
        """Record sound again."""
        recorder = self._moved("resume")
        recorder.resume(time.monotonic())

    async def stop(self) -> RecordingFacts:
        """End the recording; what it is, when it is whole and on the disk."""
        self._moved("stop")
        facts = await self.close()
        assert facts is not None
        return facts

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        if self._recorder is not None:
            for frame in frames:
                self._recorder.caller(frame)

    async def close(self) -> RecordingFacts | None:
        """The call is over: the same for a recording in any state; None when there is none."""
        recorder = self._recorder
        if recorder is None:
            return None
        self.state = RecordingState.ENDED
        if self._audio is not None:
            self._audio.untap_sent(self._receive_sent)
            self._audio = None
        recording = await asyncio.wrap_future(recorder.close())
        return RecordingFacts(
            format=self._writer.form,
            encrypted=self._writer.is_encrypted,
            started_ms=self._started_ms,
            duration_ms=round(recording.duration_s * 1000),
            complete=recording.complete,
            paused_ms=tuple((round(begin * 1000), round(end * 1000)) for begin, end in recording.paused_s),
        )

    def _moved(self, order: RecordingOrder) -> Recorder:
        self._move(order)
        assert self._recorder is not None
        return self._recorder

    def _move(self, order: RecordingOrder) -> None:
        old, new = self.state, _NEXT.get((self.state, order))
        if new is None:
            raise WrongCallState(_WHY_NOT[old])
        self.state = new
        log.info("recording_state", old=old.value, new=new.value)

    def _receive_sent(self, frames: list[PcmFrame]) -> None:
        assert self._recorder is not None
        for frame in frames:
            self._recorder.agent(frame)
