# SPDX-License-Identifier: GPL-3.0-or-later
"""A leg's way out without a clock of its own: `tick` sends 20 ms. A twin of the native playout, one call at a time."""

from collections.abc import Iterator
from itertools import count

from media.playout import Cleared, Heard, PlayoutEvent, UtteranceFinished, UtteranceStarted

FRAME_S = 0.02


class FakeLine:
    """8 kHz, a frame every 20 ms at whole multiples of it."""

    def __init__(self) -> None:
        self.sample_rate_hz = 8000
        self.utterance_ids: Iterator[int] = count(1)
        self.sent = bytearray()
        """All that was sent, without the silence of an empty queue."""
        self.is_paused = False
        self._queue: list[tuple[int, bytearray]] = []
        self._heard: dict[int, int] = {}
        self._ended: set[int] = set()
        self._closed_id = 0

    @property
    def queued_ms(self) -> float:
        return sum(len(pcm) for _, pcm in self._queue) / 16

    def play(self, utterance_id: int, pcm: bytes | bytearray | memoryview, sample_rate_hz: int = 0) -> int:
        if utterance_id <= self._closed_id:
            return 0
        if self._queue and self._queue[-1][0] == utterance_id:
            self._queue[-1][1].extend(pcm)
        else:
            self._queue.append((utterance_id, bytearray(pcm)))
        return len(pcm) // 2

    def end_utterance(self, utterance_id: int) -> None:
        self._ended.add(utterance_id)
        self._closed_id = max(self._closed_id, utterance_id)

    def clear(self) -> Cleared:
        cut = tuple(Heard(one, self._heard.get(one, 0), len(pcm) // 2) for one, pcm in self._queue)
        self._queue.clear()
        self._closed_id = max([self._closed_id, *(heard.utterance_id for heard in cut), *self._heard])
        return Cleared(cut)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self, repeat_ms: int = 0) -> None:
        self.is_paused = False

    def tick(self, now: float) -> list[PlayoutEvent]:
        """Send one frame; what is told of it."""
        told: list[PlayoutEvent] = []
        room = 0 if self.is_paused else 320
        while self._queue and room:
            utterance_id, pcm = self._queue[0]
            if utterance_id not in self._heard:
                told.append(UtteranceStarted(utterance_id, now))
            part = pcm[:room]
            del pcm[:room]
            room -= len(part)
            self.sent += part
            self._heard[utterance_id] = self._heard.get(utterance_id, 0) + len(part) // 2
            if pcm:
                break
            self._queue.pop(0)
        for utterance_id in [one for one in self._ended if one in self._heard]:
            if all(one != utterance_id for one, _ in self._queue):
                self._ended.discard(utterance_id)
                told.append(UtteranceFinished(utterance_id, self._heard[utterance_id], now))
        return told
