# SPDX-License-Identifier: GPL-3.0-or-later
"""Text to speech, as the agent sees it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from media.frames import PcmSamples


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of rendered speech."""

    samples: PcmSamples
    sample_rate_hz: int
    """The engine's own rate (22,050 Hz for Piper's medium voices); the session converts to the leg's."""


class TextToSpeech(Protocol):
    """An engine or a hosted service; one for all calls."""

    def synthesize(self, text: str, *, voice: str | None = None, rate: float = 1.0) -> AsyncIterator[SpeechChunk]:
        """Render one clause of speakable text. `rate` 1.0 is the voice's own pace, 2.0 twice as fast.

        Chunks come as soon as they exist. Closing the iterator cancels. Raises `ServiceError`.
        """
        ...

    async def aclose(self) -> None: ...
