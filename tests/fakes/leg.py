# SPDX-License-Identifier: GPL-3.0-or-later
"""A leg without a network: every 20 ms one frame of the caller's in, one packet of ours out.

The playout side is a Python twin of the native port's: tagged segments, first in first out, truth about what was sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from media.frames import FrameFlags, PcmFrame, PcmSamples
from media.playout import Cleared, Heard, PlayoutEvent, UtteranceFinished, UtteranceStarted
from tests.fakes.services import SPEECH_LEVEL, Utterances

FRAME_S = 0.02


@dataclass
class Segment:
    """One utterance in the queue."""

    utterance_id: int
    pcm: PcmSamples
    heard_samples: int = 0
    is_ended: bool = False
    is_begun: bool = False
    """Its start has been told."""

    @property
    def waiting_samples(self) -> int:
        return len(self.pcm) - self.heard_samples


@dataclass(frozen=True)
class Packet:
    """What went out in one 20 ms."""

    sent_at: float
    utterance_id: int | None
    peak: int
    gain: float
    pcm: PcmSamples
    """What was sent of utterances, in order; fewer samples than a packet's where nothing was."""


class FakeLeg:
    """A caller's line and our mouth on it. `run` is the clock that drives both."""

    def __init__(self, sample_rate_hz: int = 8000, max_queued_ms: float = 60_000.0) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.utterances = Utterances()
        self.packets: list[Packet] = []
        self.on_frames: Callable[[list[PcmFrame]], None] = lambda frames: None
        self.on_playout: Callable[[PlayoutEvent], None] = lambda event: None
        self.is_paused = False
        self.gain = 1.0
        self._max_queued_ms = max_queued_ms
        self._segments: deque[Segment] = deque()
        self._said: deque[PcmSamples] = deque()
        self._position = 0
        self._newest_id = 0
        self._closed_id = 0
        """Utterances up to this one take nothing more."""

    async def run(self) -> None:
        """Tick for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += FRAME_S
            await asyncio.sleep(due - loop.time())
            self._send(due)
            self._receive(due)

    async def speak(self, text: str, ms: int = 800, level: int | None = None) -> float:
        """The caller says this; returns when its last frame has come in, and that moment.

        `level` stands for it on the line, SPEECH_LEVEL or more is speech; by default one of its own.
        """
        count = ms * self.sample_rate_hz // 1000
        number = self.utterances.add(text, count) if level is None else level
        return await self.sound(np.full(count, number, np.int16))

    async def sound(self, samples: PcmSamples) -> float:
        """The caller's line sounds like this; returns when its last frame has come in, and that moment."""
        size = round(FRAME_S * self.sample_rate_hz)
        frames = [samples[begin : begin + size] for begin in range(0, len(samples), size)]
        self._said.extend(frames)
        while self._said:  # noqa: ASYNC110 - virtual time: a poll costs nothing
            await asyncio.sleep(FRAME_S / 4)
        return self.packets[-1].sent_at

    async def pause_for(self, ms: int) -> None:
        """The caller is silent."""
        await asyncio.sleep(ms / 1e3)

    def change_rate(self, sample_rate_hz: int) -> None:
        """A re-INVITE brought another codec."""
        self.sample_rate_hz = sample_rate_hz
        self._position = 0
        self._segments.clear()

    @property
    def queued_ms(self) -> float:
        return sum(segment.waiting_samples for segment in self._segments) * 1e3 / self.sample_rate_hz

    def play(self, utterance_id: int, pcm: bytes, sample_rate_hz: int = 0) -> int:
        assert sample_rate_hz in (0, self.sample_rate_hz), "the twin keeps no resampler"
        if utterance_id <= self._closed_id:
            return 0
        room = round((self._max_queued_ms - self.queued_ms) * self.sample_rate_hz / 1e3)
        samples = np.frombuffer(pcm, "<i2")[: max(0, room)]
        if not self._segments or self._segments[-1].utterance_id != utterance_id:
            if not len(samples):
                return 0
            assert utterance_id > self._newest_id, "ids only grow"
            self._newest_id = utterance_id
            self._segments.append(Segment(utterance_id, np.empty(0, np.int16)))
        segment = self._segments[-1]
        segment.pcm = np.concatenate((segment.pcm, samples))
        return len(samples)

    def end_utterance(self, utterance_id: int) -> None:
        for segment in self._segments:
            if segment.utterance_id == utterance_id:
                segment.is_ended = True
                self._closed_id = max(self._closed_id, utterance_id)
                return
        raise AssertionError(f"utterance {utterance_id} was not played, or has been cleared")

    def clear(self) -> Cleared:
        heard = tuple(
            Heard(segment.utterance_id, segment.heard_samples, segment.waiting_samples) for segment in self._segments
        )
        self._segments.clear()
        self._closed_id = self._newest_id
        return Cleared(heard)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self, repeat_ms: int = 0) -> None:
        if self.is_paused and self._segments:
            first = self._segments[0]
            repeated = min(first.heard_samples, repeat_ms * self.sample_rate_hz // 1000)
            if first.waiting_samples or not first.is_ended:
                first.heard_samples -= repeated
        self.is_paused = False

    def duck(self, gain: float) -> None:
        self.gain = gain

    def _receive(self, now: float) -> None:
        size = round(FRAME_S * self.sample_rate_hz)
        samples = self._said.popleft() if self._said else np.zeros(size, np.int16)
        flags = FrameFlags.SPEECH if samples[0] >= SPEECH_LEVEL else FrameFlags.NONE
        frame = PcmFrame(samples.astype("<i2").tobytes(), self.sample_rate_hz, self._position, now, flags)
        self._position += size
        self.on_frames([frame])

    def _send(self, now: float) -> None:
        room = round(FRAME_S * self.sample_rate_hz)
        utterance_id, peak = None, 0
        pieces: list[PcmSamples] = [np.empty(0, np.int16)]
        while room and self._segments and not self.is_paused:
            segment = self._segments[0]
            count = min(room, segment.waiting_samples)
            if count:
                if segment.heard_samples == 0 and not segment.is_begun:
                    segment.is_begun = True
                    self._tell(UtteranceStarted(segment.utterance_id, now))
                utterance_id = segment.utterance_id
                sent = segment.pcm[segment.heard_samples : segment.heard_samples + count]
                peak = max(peak, int(np.max(np.abs(sent))))
                pieces.append(sent)
                segment.heard_samples += count
                room -= count
            if segment.waiting_samples or not segment.is_ended:
                break
            self._segments.popleft()
            self._tell(UtteranceFinished(segment.utterance_id, segment.heard_samples, now))
        self.packets.append(Packet(now, utterance_id, peak, self.gain, np.concatenate(pieces)))

    def _tell(self, event: PlayoutEvent) -> None:
        """As from the native side: a moment later, on the loop."""
        asyncio.get_running_loop().call_soon(self._deliver, event)

    def _deliver(self, event: PlayoutEvent) -> None:
        self.on_playout(event)
