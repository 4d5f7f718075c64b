# SPDX-License-Identifier: GPL-3.0-or-later
"""Text to speech, as the agent sees it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from media.frames import PcmSamples

Emotion = Literal["neutral", "calm", "friendly", "cheerful", "apologetic", "empathetic", "serious", "excited"]
"""What services call style or emotion; each maps these to its own words, or leaves them."""


@dataclass(frozen=True, slots=True)
class SpeechStyle:
    """How something is said; the default is the voice's own way."""

    rate: float = 1.0
    """Pace: 2.0 is twice as fast. 0.5 to 2."""
    pitch_semitones: float = 0.0
    """-12 to 12."""
    volume_db: float = 0.0
    """-20 to 6."""
    emotion: Emotion = "neutral"


PLAIN = SpeechStyle()


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of rendered speech."""

    samples: PcmSamples
    sample_rate_hz: int
    """The engine's own rate (22,050 Hz for Piper's medium voices); the session converts to the leg's."""
    done: SpeechStyle = PLAIN
    """What of the style asked for the engine has done itself. The rest of pace, pitch and volume is made of samples,
    on their way to the leg."""


class TextToSpeech(Protocol):
    """An engine or a hosted service; one for all calls."""

    def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncIterator[SpeechChunk]:
        """Render one clause of speakable text in this style, as far as the engine can: see `SpeechChunk.done`.
        `sample_rate_hz` is the leg's: a service that offers several rates gives this one, which saves a conversion.

        Chunks come as soon as they exist. Closing the iterator cancels. Raises `ServiceError`.
        """
        ...

    async def aclose(self) -> None: ...
