# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves the caller's telephone: his voice, the noise around him, and the echo of what he hears.

On a clean line an utterance is written at once, and between them nothing is. With noise or echo there is always
something to send: then every received frame, which come as regularly as any clock, tops the queue up to `LEAD_MS`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from media.frames import PcmFrame, PcmSamples
from media.playout import PlayoutEvent, UtteranceFinished, UtteranceStarted

LEAD_MS = 80
"""So far ahead noise and echo are written: a machine that stands still for less is not heard."""
_BLOCK_MS = 20
FRAME_S = 0.020

Signal = NDArray[np.float32]


class Line(Protocol):
    """`media.ports.CallAudio`, as far as a mouth needs it."""

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def queued_ms(self) -> float: ...
    def play(self, utterance_id: int, pcm: bytes, sample_rate_hz: int = 0) -> int: ...
    def end_utterance(self, utterance_id: int) -> None: ...


@dataclass(slots=True)
class Utterance:
    """Something the caller says, once, on one line."""

    samples: PcmSamples
    sample_rate_hz: int
    began_at: float | None = None
    """Monotonic seconds: when its first sample left the mouth; None while it has not."""
    is_over: bool = False
    ids: set[int] = field(default_factory=set)


class Mouth:
    """One call's. `noise`: at the line's rate, repeated for ever. `echo`: delay in ms, and loss in dB."""

    def __init__(
        self, line: Line, new_id: Callable[[], int], noise: PcmSamples | None, echo: tuple[float, float] | None
    ) -> None:
        self._line = line
        self._new_id = new_id
        self._noise = noise
        self._noise_at = 0
        self._echo = echo
        self._heard: Signal = np.zeros(0, np.float32)
        """The newest second of what the caller hears, while it may still come back."""
        self._echo_at: int | None = None
        """The next sample of `_heard` that comes back; negative: before there was any."""
        self._speaking: Utterance | None = None
        self._voice: PcmSamples = np.zeros(0, np.int16)
        self._id: int | None = None

    @property
    def lead_ms(self) -> float:
        """How much later than now an utterance begins that is said now."""
        return self._line.queued_ms if self._is_busy_line else 0.0

    @property
    def _is_busy_line(self) -> bool:
        return self._noise is not None or self._echo is not None

    def say(self, utterance: Utterance) -> None:
        """Begin it as soon as can be; one at a time."""
        self._speaking = utterance
        utterance_id = self._new_id()
        utterance.ids = {utterance_id}
        if self._is_busy_line:
            self._voice, self._id = utterance.samples, utterance_id
            return
        self._line.play(utterance_id, np.ascontiguousarray(utterance.samples, dtype="<i2").tobytes())
        self._line.end_utterance(utterance_id)

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        """What the caller hears; also the clock of a line that is never silent."""
        if not self._is_busy_line:
            return
        if self._echo is not None:
            self._heard = np.concatenate((self._heard, *(frame.samples.astype(np.float32) for frame in frames)))
        size = self._line.sample_rate_hz * _BLOCK_MS // 1000
        while self._line.queued_ms < LEAD_MS:
            block = self._take_echo(size) + self._take_noise(size)
            said, self._voice = self._voice[:size], self._voice[size:]
            block[: len(said)] += said
            if self._id is None or (not len(said) and self._speaks_under(self._id)):
                self._id = self._new_id()
            self._line.play(self._id, np.clip(np.rint(block), -32768, 32767).astype("<i2").tobytes())

    def receive_playout(self, event: PlayoutEvent) -> None:
        """What the line has sent."""
        said = self._speaking
        if said is None or event.utterance_id not in said.ids:
            return
        match event:
            case UtteranceStarted():
                # The first sample of a frame left the mouth one frame before the frame was sent.
                said.began_at = event.sent_at - FRAME_S
            case UtteranceFinished():
                said.is_over = True
                self._speaking = None

    def _speaks_under(self, utterance_id: int) -> bool:
        return self._speaking is not None and utterance_id in self._speaking.ids

    def _take_noise(self, count: int) -> Signal:
        if self._noise is None:
            return np.zeros(count, np.float32)
        indices = (self._noise_at + np.arange(count)) % len(self._noise)
        self._noise_at += count
        return self._noise[indices].astype(np.float32)

    def _take_echo(self, count: int) -> Signal:
        block = np.zeros(count, np.float32)
        if self._echo is None:
            return block
        delay_ms, loss_db = self._echo
        rate_hz = self._line.sample_rate_hz
        if self._echo_at is None:
            ahead = round((delay_ms - self._line.queued_ms) * rate_hz / 1000)
            self._echo_at = len(self._heard) - ahead
        first, last = self._echo_at, min(self._echo_at + count, len(self._heard))
        if last > max(first, 0):
            block[max(first, 0) - first : last - first] = self._heard[max(first, 0) : last]
        self._echo_at += count
        spent = max(0, min(self._echo_at, len(self._heard) - rate_hz))
        self._heard, self._echo_at = self._heard[spent:], self._echo_at - spent
        return block * np.float32(10 ** (-loss_db / 20))
