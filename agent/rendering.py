# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clause to its sound: out of what was rendered ahead, or from the text-to-speech engine as it comes.

    Clause > Phrases (ready) | speakable > TextToSpeech > what the engine left of the style > SpeechChunk

Pace, pitch and volume that the engine has no control for are made of the samples (`media.time_stretch`), in pieces of
`_SLICE_S`, and the event loop gets its turn between two of them.

`PreparedClause` is a clause whose sound is made before anybody may hear it: the beginning of a speculative answer.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from agent.clauses import Clause
from agent.config import AgentConfig
from agent.deadlines import within
from agent.errors import ServiceError
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
        style = config.voice_style
        self._own_style = SpeechStyle(style.rate, style.pitch_semitones, style.volume_db, style.emotion)
        self.adaptation = PLAIN
        """To this caller; under what the markup says."""
        self._config = config
        self._tts = tts
        self._phrases = phrases

    def is_ready(self, text: str) -> bool:
        """The sound of this clause is there."""
        return self._phrases.get(text) is not None

    def style_of(self, clause: Clause) -> SpeechStyle:
        """How the clause is to sound."""
        return combined(combined(self._own_style, self.adaptation), clause.manner.style)

    async def render(self, clause: Clause) -> AsyncGenerator[SpeechChunk, None]:
        """The clause's sound in its style, as it comes. Closing it cancels. Raises `ServiceError`."""
        style = self.style_of(clause)
        finish: _Finish | None = None
        async with aclosing(self._engine(clause, style)) as chunks:
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

    async def _engine(self, clause: Clause, style: SpeechStyle) -> AsyncGenerator[SpeechChunk, None]:
        if not clause.manner.is_spelled and (ready := self._phrases.get(clause.text)) is not None:
            for chunk in ready:
                yield chunk
            return
        deadlines = self._config.deadlines
        text = spelled(clause.text) if clause.manner.is_spelled else speakable(clause.text)
        speech = self._tts.synthesize(text, voice=self._config.voice, style=style)
        in_time = within(speech, "tts", first_ms=deadlines.tts_first_byte_ms, next_ms=deadlines.tts_stall_ms)
        async with aclosing(in_time) as chunks:
            async for chunk in chunks:
                yield chunk


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


class PreparedClause:
    """A clause that is rendered before it may be heard. `fill` makes its sound, `chunks` plays it, while it is made or
    after. Holds one clause at most."""

    def __init__(self, clause: Clause, renderer: Renderer) -> None:
        self.clause = clause
        self._renderer = renderer
        self._chunks: list[SpeechChunk] = []
        self._failure: ServiceError | None = None
        self._is_whole = False
        self._is_filling = False
        self._changed = asyncio.Event()

    @property
    def is_whole(self) -> bool:
        """All of its sound is there."""
        return self._is_whole

    async def fill(self) -> None:
        """Render it, once. A service's failure is kept for whoever plays it. When this is cancelled, `chunks` renders
        the clause itself; not to be cancelled once `chunks` has begun."""
        self._is_filling = True
        try:
            async with aclosing(self._renderer.render(self.clause)) as chunks:
                async for chunk in chunks:
                    self._chunks.append(chunk)
                    self._changed.set()
            self._is_whole = True
        except ServiceError as error:
            self._failure = error
        except asyncio.CancelledError:
            self._chunks.clear()
            raise
        finally:
            self._is_filling = False
            self._changed.set()

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """Its sound from the beginning, waiting for what is being rendered. Raises `ServiceError`."""
        given = 0
        while True:
            for chunk in self._chunks[given:]:
                given += 1
                yield chunk
            if given < len(self._chunks):
                continue
            if self._failure is not None:
                raise self._failure
            if self._is_whole:
                return
            if not self._is_filling:
                async with aclosing(self._renderer.render(self.clause)) as rest:
                    async for chunk in rest:
                        yield chunk
                return
            self._changed.clear()
            await self._changed.wait()
