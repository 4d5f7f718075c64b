# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's end of a call that does not exist: it plays, in time, what a backend sends."""

from collections import deque
from collections.abc import Sequence
from typing import Any, assert_never

from gateway.streams.messages import (
    Answer,
    Audio,
    BackendFault,
    BackendMessage,
    CallAnswered,
    Clear,
    ClearChunk,
    FlowControl,
    HangUp,
    Malformed,
    Mark,
    MarkReached,
    Mute,
    Pause,
    PlayoutCleared,
    Record,
    Reject,
    Resume,
    SendKeys,
    StreamEvent,
    StreamFormat,
    Transfer,
    TransferProgress,
)

_BYTES_PER_SAMPLE = {"l16": 2.0, "pcmu": 1.0, "pcma": 1.0, "g722": 0.5}


def bytes_per_ms(format: StreamFormat) -> float:
    """Of every encoding but Opus, whose packets tell nothing by their length."""
    return _BYTES_PER_SAMPLE[format.encoding] * format.sample_rate_hz / 1000


class Line:
    """Sync and clockless: `receive` and `handle_timeout` give what a gateway would say. Times in seconds."""

    def __init__(self, format: StreamFormat, now: float, *, answered: bool, xoff_ms: int, xon_ms: int) -> None:
        self.answered = answered
        self.orders: list[BackendMessage] = []
        """Everything the backend asked for but audio."""
        self.heard_ms = 0.0
        """Audio that a caller would have heard."""
        self.received_ms = 0.0
        self.early_ms = 0.0
        """Audio that came while the call still rang; nobody hears it."""
        self.over: str | None = None
        """Why the backend ended the call; None while it goes on."""
        self._bytes_per_ms = bytes_per_ms(format)
        self._queue: deque[float | str] = deque()
        """Milliseconds of audio, or the name of a mark."""
        self._queued_ms = 0.0
        self._burst_ms = 0.0
        """Played since the queue was last empty."""
        self._paused = False
        self._xoff_ms, self._xon_ms = xoff_ms, xon_ms
        self._xoff = False
        self.now = now
        """When the line was last played."""

    @property
    def is_xoff(self) -> bool:
        return self._xoff

    @property
    def has_marks(self) -> bool:
        """A mark waits to be reached."""
        return any(isinstance(item, str) for item in self._queue)

    def receive(self, message: BackendMessage, now: float) -> list[StreamEvent]:
        told = self.handle_timeout(now)
        if not isinstance(message, Audio):
            self.orders.append(message)
        match message:
            case Audio():
                self._take_audio(len(message.payload) / self._bytes_per_ms)
            case Mark():
                self._queue.append(message.name)
            case Clear():
                told += self._clear()
            case Pause():
                self._paused = True
            case Resume():
                self._paused = False
            case HangUp():
                self.over = "backend_hangup"
            case Reject():
                self.over = "rejected"
            case Answer():
                if not self.answered:
                    self.answered = True
                    told.append(CallAnswered())
            case Transfer():
                told.append(TransferProgress("trying"))
            case Malformed():
                told.append(BackendFault("not understood", message.detail))
            case Mute() | Record() | SendKeys() | ClearChunk():
                pass
            case _:
                assert_never(message)
        return told + self.handle_timeout(now)

    def handle_timeout(self, now: float) -> list[StreamEvent]:
        """Play what is due until now."""
        due_ms, self.now = (now - self.now) * 1000, now
        told: list[StreamEvent] = []
        while self._queue and not self._paused:
            first = self._queue[0]
            if isinstance(first, str):
                self._queue.popleft()
                told.append(MarkReached(first, played=True))
                continue
            if due_ms <= 0:
                break
            played = min(first, due_ms)
            due_ms -= played
            self.heard_ms += played
            self._burst_ms += played
            self._queued_ms -= played
            if played < first:
                self._queue[0] = first - played
            else:
                self._queue.popleft()
        if not self._queue:
            self._queued_ms = self._burst_ms = 0.0
        return told + self._flow()

    def _take_audio(self, ms: float) -> None:
        if not self.answered:
            self.early_ms += ms
            return
        self._queue.append(ms)
        self._queued_ms += ms
        self.received_ms += ms

    def _clear(self) -> Sequence[Any]:
        marks = tuple(item for item in self._queue if isinstance(item, str))
        told: list[StreamEvent] = [MarkReached(name, played=False) for name in marks]
        told.append(PlayoutCleared(round(self._burst_ms), round(self._queued_ms), marks))
        self._queue.clear()
        self._queued_ms = self._burst_ms = 0.0
        self._paused = False
        return told

    def _flow(self) -> list[StreamEvent]:
        if not self._xoff and self._queued_ms > self._xoff_ms:
            self._xoff = True
        elif self._xoff and self._queued_ms < self._xon_ms:
            self._xoff = False
        else:
            return []
        return [FlowControl(self._xoff, round(self._queued_ms))]
