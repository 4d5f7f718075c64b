# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated voice says, and what goes wrong while it does; shared by the simulators of speech synthesis."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from media.frames import PcmSamples
from media.g711 import mu_law

Speak = Callable[[str, int], Awaitable[PcmSamples]]
"""Text and a rate to int16 samples, shape (n,)."""
WORD_MS = 40
LEVEL = 1000
_MAX_WORDS = 7

Ending = Literal["stall", "drop", "close", "error", "end"]
"""Nothing more comes; the connection is cut; it is closed in good order; an error is reported; that was all."""


def sound_of(text: str, rate_hz: int) -> PcmSamples:
    """Of a voice without an engine: as long as the words, and as loud as they are many, so that texts differ."""
    words = len(text.split())
    return np.full(words * WORD_MS * rate_hz // 1000, LEVEL * min(words, _MAX_WORDS), np.int16)


class Ended(Exception):
    """The script says that this utterance ends here."""

    def __init__(self, how: Ending) -> None:
        super().__init__(how)
        self.how = how


@dataclass
class Speech:
    """One server's voice; all of it can be changed while it runs."""

    speak: Speak | None = None
    chunk_bytes: int = 333
    """An odd number, so that samples are cut in two."""
    first_s: float = 0.0
    every_s: float = 0.0
    """Between two chunks."""
    endings: list[tuple[int, Ending]] = field(default_factory=list)
    """Of the utterances to come: after so many chunks, this."""
    said: list[str] = field(default_factory=list)
    """Texts, as they were to be spoken."""
    finished: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    """Given up before all of their sound was sent."""

    async def chunks(self, text: str, rate_hz: int, *, is_mulaw: bool) -> AsyncGenerator[bytes, None]:
        """The sound, cut anywhere. Raises `Ended` where a script says so."""
        self.said.append(text)
        at, how = self.endings.pop(0) if self.endings else (-1, "end")
        try:
            if self.first_s:
                await asyncio.sleep(self.first_s)
            samples = sound_of(text, rate_hz) if self.speak is None else await self.speak(text, rate_hz)
            data = mu_law().encode(samples) if is_mulaw else samples.astype("<i2").tobytes()
            for number, begin in enumerate(range(0, len(data), self.chunk_bytes)):
                if number == at:
                    raise Ended(how)
                yield data[begin : begin + self.chunk_bytes]
                await asyncio.sleep(self.every_s)
            self.finished.append(text)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.append(text)
            raise
