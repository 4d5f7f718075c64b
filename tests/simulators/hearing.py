# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated recogniser makes of audio: one word of a script for each stretch of sound, or an engine's words."""

from collections.abc import Awaitable, Callable, Sequence

import numpy as np

Recognize = Callable[[np.ndarray[tuple[int], np.dtype[np.int16]], int], Awaitable[str]]
"""int16 samples, shape (n,), and their rate, to what was said in them."""
WORD_MS = 200
"""Of sound, a scripted word."""


class Hearing:
    """One session's. The script is gone on with from turn to turn: each stretch of sound has one word, heard once."""

    def __init__(self, words: Sequence[str], sample_rate_hz: int, recognize: Recognize | None = None) -> None:
        self._words = words
        self.sample_rate_hz = sample_rate_hz
        self._recognize = recognize
        self._taken = 0
        self._turn = bytearray()
        self._sound_ms = 0.0
        self.heard_ms = 0.0
        """All audio so far."""
        self.turn_began_ms = 0.0

    def push(self, pcm: bytes) -> None:
        """Little-endian int16."""
        self._turn += pcm
        samples = np.frombuffer(pcm, "<i2")
        self.heard_ms += len(samples) * 1e3 / self.sample_rate_hz
        self._sound_ms += float(np.count_nonzero(samples)) * 1e3 / self.sample_rate_hz

    @property
    def words(self) -> list[str]:
        """Of the turn so far; of a script only."""
        count = round(self._sound_ms / WORD_MS)
        return list(self._words[self._taken : self._taken + count])

    async def finish(self) -> list[str]:
        """The turn's words; the next one begins."""
        words = self.words
        if self._recognize is not None:
            words = (await self._recognize(np.frombuffer(bytes(self._turn), "<i2"), self.sample_rate_hz)).split()
        self._taken += len(words)
        self._turn.clear()
        self._sound_ms = 0.0
        self.turn_began_ms = self.heard_ms
        return words
