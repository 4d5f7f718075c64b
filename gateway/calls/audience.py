# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is given the far end's frames: the recording, what the call is for, and ears. Frames that nobody wants do not
come."""

import asyncio
from collections.abc import Callable
from typing import assert_never

import structlog

from gateway.api.control import RecordingOrder
from gateway.calls.attendance import Attendance
from gateway.calls.journal import Journal
from gateway.calls.recording import CallRecording, RecordingState
from gateway.errors import WrongCallState
from media.frames import PcmFrame
from media.ports import CallAudio

log = structlog.get_logger(__name__)

_DISK_WAIT_S = 10.0
"""How long the end of a call waits for its recording to be on the disk."""
Ear = Callable[[list[PcmFrame]], None]


class Audience:
    """Of one call."""

    def __init__(self, call_id: str, recording: CallRecording, attendance: Attendance, journal: Journal) -> None:
        self._call_id = call_id
        self._recording = recording
        self._attendance = attendance
        self._journal = journal
        self._audio: CallAudio | None = None
        self._ears: tuple[Ear, ...] = ()
        self._activity_listens = True
        self.is_muted = False
        """Nobody is given what the far end says."""
        self.is_recorded = False
        """Since it was asked for, and until that is stopped; pauses included."""

    @property
    def recording(self) -> RecordingState:
        """Whether the call is being recorded."""
        return self._recording.state

    def attach(self, audio: CallAudio) -> None:
        """The call has audio now."""
        self._audio = audio
        self._listen()

    def add(self, ear: Ear) -> None:
        """From now on also give `ear` the frames, as they come; it must not block."""
        self._ears += (ear,)
        self._listen()

    def remove(self, ear: Ear) -> None:
        """End that; one that is not there is no fault."""
        self._ears = tuple(one for one in self._ears if one != ear)
        self._listen()

    def listen(self, on: bool) -> None:
        """Whether the activity wants them, which it does by itself. A recording and ears get theirs."""
        self._activity_listens = on
        self._listen()

    def mute(self, muted: bool) -> None:
        """Give all of them silence in place of what the far end says, or end that. Keys are heard all the same.

        Raises `WrongCallState` before the call has audio.
        """
        if self._audio is None:
            raise WrongCallState("the call has no audio yet")
        self._audio.mute_heard(muted)
        self.is_muted = muted

    async def record(self, order: RecordingOrder, elapsed_ms: int) -> None:
        """Start, pause, resume or stop the recording, `elapsed_ms` after the call was answered.

        Pausing takes effect before this returns. Raises `WrongCallState` when it does not fit.
        """
        match order:
            case "start":
                if self._audio is None:
                    raise WrongCallState("the call has no audio yet")
                self._recording.start(self._audio, elapsed_ms)
                self.is_recorded = True
                self._listen()
                self._journal.recording_began(self._call_id, self._recording.path)
            case "pause":
                self._recording.pause()
            case "resume":
                self._recording.resume()
            case "stop":
                self.is_recorded = False
                self._listen()
                self._journal.recording_ended(self._call_id, await self._recording.stop())
            case _:
                assert_never(order)

    async def close(self) -> bool:
        """The call is over: whether it was being recorded until now, and that is on the disk."""
        try:
            async with asyncio.timeout(_DISK_WAIT_S):
                recording = await self._recording.close()
        except TimeoutError:
            log.warning("recording_not_closed", cause="the disk does not answer", call_id=self._call_id)
            return False
        if recording is not None:
            self._journal.recording_ended(self._call_id, recording)
        return recording is not None and self.is_recorded

    def _listen(self) -> None:
        if self._audio is not None:
            wanted = self._activity_listens or self.is_recorded or bool(self._ears)
            self._audio.on_frames = self._receive_frames if wanted else None

    def _receive_frames(self, frames: list[PcmFrame]) -> None:
        if self.is_recorded:
            self._recording.receive_frames(frames)
        if self._attendance.activity is not None:
            self._attendance.activity.receive_frames(frames)
        for ear in self._ears:
            ear(frames)
