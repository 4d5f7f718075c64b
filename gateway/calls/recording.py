# SPDX-License-Identifier: GPL-3.0-or-later
"""One call's recording: the caller as the line brought them left, what was really sent right."""

import asyncio
from pathlib import Path

from media.frames import PcmFrame
from media.ports import CallAudio
from media.recorder import Recorder, RecordingWriter


class CallRecording:
    """Nothing is recorded before `start`; a recording that was never started has no file."""

    def __init__(self, writer: RecordingWriter, path: Path) -> None:
        self._writer = writer
        self._path = path
        self._recorder: Recorder | None = None

    def start(self, audio: CallAudio) -> None:
        """Record from here on. Take the caller's frames with `receive_frames`; ours come from the leg itself."""
        self._recorder = self._writer.open(self._path, audio.sample_rate_hz)
        audio.tap_sent(self._receive_sent)

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        if self._recorder is not None:
            for frame in frames:
                self._recorder.caller(frame)

    async def close(self) -> Path | None:
        """The file, whole and on the disk; None when there is none."""
        if self._recorder is None:
            return None
        return (await asyncio.wrap_future(self._recorder.close())).path

    def _receive_sent(self, frames: list[PcmFrame]) -> None:
        assert self._recorder is not None
        for frame in frames:
            self._recorder.agent(frame.position_samples, frame.pcm, frame.sample_rate_hz)
