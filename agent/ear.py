# SPDX-License-Identifier: GPL-3.0-or-later
"""What speech recognition gets to hear: the caller's turns with a little before them, and none of the silence between.

frame > pre-roll, while nobody speaks (drops oldest)
      > SttStream and the turn's own audio (for the end-of-turn model), while the caller speaks
"""

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np
import structlog

from agent.services.stt import SttStream, Transcript
from media.frames import PcmFrame, PcmSamples

log = structlog.get_logger(__name__)

_TURN_AUDIO_S = 8
"""As much as an end-of-turn model looks at."""


class Ear:
    """One leg's ear, at one rate."""

    def __init__(self, sample_rate_hz: int, preroll_ms: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._preroll = _Audio(sample_rate_hz * preroll_ms // 1000)
        self._turn = _Audio(sample_rate_hz * _TURN_AUDIO_S)
        self._is_listening = False
        self._stream: SttStream | None = None
        self._is_attached = asyncio.Event()
        self._was_attached = False

    def attach(self, stream: SttStream) -> None:
        """Speech recognition is there: it also gets what the present turn has said so far."""
        self._stream, self._was_attached = stream, True
        self._is_attached.set()
        if self._turn.samples:
            self._tell(lambda stream: stream.push(self.turn_audio()))

    @property
    def is_lost(self) -> bool:
        """Speech recognition was there and has broken down: another one is to be attached."""
        return self._stream is None and self._was_attached

    def detach(self) -> None:
        """Speech recognition is gone; the turn's audio waits for the next one."""
        self._stream = None
        self._is_attached.clear()

    def hear(self, frame: PcmFrame) -> None:
        """Take the next frame of the leg."""
        if not self._is_listening:
            self._preroll.append(frame)
            return
        self._turn.append(frame)
        self._tell(lambda stream: stream.push(frame.samples))

    def listen(self) -> None:
        """The caller speaks, and has for a little while: pass on what was held back, and what comes."""
        if not self._is_listening:
            self._is_listening = True
            for frame in self._preroll.take():
                self.hear(frame)

    def pause(self) -> None:
        """The caller is silent: hold frames back until `listen`."""
        self._is_listening = False

    def forget(self) -> None:
        """The turn is over: the next one starts from the frames held back."""
        self._is_listening = False
        self._turn.take()
        self._tell(lambda stream: stream.next_turn(0))

    async def transcript(self) -> Transcript:
        """The best transcript of the turn so far; waits for `attach`. Raises `ServiceError`."""
        await self._is_attached.wait()
        assert self._stream is not None, "attached"
        return await self._stream.final()

    def turn_audio(self) -> PcmSamples:
        """The newest 8 s of the turn, int16, shape (n,)."""
        pcm = b"".join(frame.pcm for frame in self._turn.frames)
        return np.frombuffer(pcm, dtype="<i2")

    def _tell(self, news: Callable[[SttStream], None]) -> None:
        if self._stream is None:
            return
        try:
            news(self._stream)
        except Exception as error:  # whatever its client has met: it must not take the call's audio with it
            log.warning("stt_stream_lost", cause=type(error).__name__)
            self.detach()


class _Audio:
    """Frames up to a number of samples; drops oldest."""

    def __init__(self, max_samples: int) -> None:
        self.frames: deque[PcmFrame] = deque()
        self.samples = 0
        self._max_samples = max_samples

    def append(self, frame: PcmFrame) -> None:
        self.frames.append(frame)
        self.samples += len(frame.pcm) // 2
        while self.samples > self._max_samples:
            self.samples -= len(self.frames.popleft().pcm) // 2

    def take(self) -> list[PcmFrame]:
        frames = list(self.frames)
        self.frames.clear()
        self.samples = 0
        return frames
