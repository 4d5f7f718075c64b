# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clause to its sound: out of what was rendered ahead, or from the text-to-speech engine as it comes.

    Clause > Phrases (ready) | speakable > TextToSpeech > what the engine left of the style > SpeechChunk

Pace, pitch and volume that the engine has no control for are made of the samples (`media.time_stretch`), in pieces of
`_SLICE_S`, and the event loop gets its turn between two of them.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from agent.clauses import Clause
from agent.config import AgentConfig
from agent.deadlines import asked_again, within
from agent.manner import combined
from agent.phrases import Phrases
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle, TextToSpeech
from agent.speakable import speakable, spelled
from agent.style_controls import still_to_do
from media.frames import PcmSamples
from media.gain import soft_limit
from media.time_stretch import TimeStretch

_SLICE_S = 0.1
"""Of the engine's sound: one or two milliseconds of work."""
_INAUDIBLE_RATE = 0.02
_INAUDIBLE_SEMITONES = 0.1


class Renderer:
    """One call's voice."""

    def __init__(self, config: AgentConfig, tts: TextToSpeech, phrases: Phrases) -> None:
        self.adaptation = PLAIN
        """To this caller; under what the markup says."""
        self.voice = config.voice
        self._config = config
        self._tts = tts
        self._phrases = phrases

    def is_ready(self, text: str) -> bool:
        """The sound of this clause is there."""
        return self._phrases.get(text) is not None

    def style_of(self, clause: Clause) -> SpeechStyle:
        """How the clause is to sound."""
        return combined(combined(self._config.voice_style.style, self.adaptation), clause.manner.style)

    def render(self, clause: Clause, sample_rate_hz: int) -> AsyncGenerator[SpeechChunk, None]:
        """The clause's sound in its style, as it comes; for a leg of that rate, if the engine has several. Closing it
        cancels. Raises `ServiceError`."""
        style = self.style_of(clause)
        return in_style(self._engine(clause, style, sample_rate_hz), style)

    async def _engine(
        self, clause: Clause, style: SpeechStyle, sample_rate_hz: int
    ) -> AsyncGenerator[SpeechChunk, None]:
        if not clause.manner.is_spelled and (ready := self._phrases.get(clause.text)) is not None:
            for chunk in ready:
                yield chunk
            return
        deadlines = self._config.deadlines
        text = words(clause)
        first_ms, next_ms = deadlines.tts_first_byte_ms, deadlines.tts_stall_ms

        def ask() -> AsyncGenerator[SpeechChunk, None]:
            speech = self._tts.synthesize(text, voice=self.voice, style=style, sample_rate_hz=sample_rate_hz)
            return within(speech, "tts", first_ms=first_ms, next_ms=next_ms)

        async with aclosing(asked_again(ask, within_ms=deadlines.retry_within_ms)) as chunks:
            async for chunk in chunks:
                yield chunk


def words(clause: Clause) -> str:
    """What an engine is given of the clause."""
    return spelled(clause.text) if clause.manner.is_spelled else speakable(clause.text)


async def in_style(speech: AsyncGenerator[SpeechChunk, None], style: SpeechStyle) -> AsyncGenerator[SpeechChunk, None]:
    """The engine's sound, with what it left of the style. Closing it closes `speech`."""
    finish: _Finish | None = None
    async with aclosing(speech) as chunks:
        async for chunk in chunks:
            rest = still_to_do(style, chunk.done)
            if finish is None or (finish.sample_rate_hz, finish.rest) != (chunk.sample_rate_hz, rest):
                if finish is not None and not finish.changes_nothing:
                    yield SpeechChunk(finish.flush(), finish.sample_rate_hz, style)
                finish = _Finish(chunk.sample_rate_hz, rest)
            if finish.changes_nothing:
                yield chunk
                continue
            step = round(_SLICE_S * chunk.sample_rate_hz)
            for begin in range(0, len(chunk.samples), step):
                yield SpeechChunk(finish.process(chunk.samples[begin : begin + step]), chunk.sample_rate_hz, style)
                await asyncio.sleep(0)
    if finish is not None and not finish.changes_nothing:
        yield SpeechChunk(finish.flush(), finish.sample_rate_hz, style)


class _Finish:
    """What the engine has left to do of a clause's style."""

    def __init__(self, sample_rate_hz: int, rest: SpeechStyle) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.rest = rest
        self._gain = 10 ** (rest.volume_db / 20)
        moves = abs(rest.rate - 1.0) > _INAUDIBLE_RATE or abs(rest.pitch_semitones) > _INAUDIBLE_SEMITONES
        self._stretch = TimeStretch(sample_rate_hz, rest.rate, rest.pitch_semitones) if moves else None

    @property
    def changes_nothing(self) -> bool:
        return self._stretch is None and self._gain == 1.0

    def process(self, samples: PcmSamples) -> PcmSamples:
        return self._scaled(samples if self._stretch is None else self._stretch.process(samples))

    def flush(self) -> PcmSamples:
        return self._scaled(np.empty(0, np.int16) if self._stretch is None else self._stretch.flush())

    def _scaled(self, samples: PcmSamples) -> PcmSamples:
        return samples if self._gain == 1.0 else soft_limit(samples.astype(np.float32) * np.float32(self._gain))
