# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clause to its sound: out of what was rendered ahead, or from the text-to-speech engine as it comes.

    Clause > Phrases (ready) | speakable > TextToSpeech > SpeechChunk

`PreparedClause` is a clause whose sound is made before anybody may hear it: the beginning of a speculative answer.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent.clauses import Clause
from agent.config import AgentConfig
from agent.deadlines import within
from agent.errors import ServiceError
from agent.manner import combined
from agent.phrases import Phrases
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle, TextToSpeech
from agent.speakable import speakable, spelled


class Renderer:
    """One call's voice."""

    def __init__(self, config: AgentConfig, tts: TextToSpeech, phrases: Phrases) -> None:
        self.style = PLAIN
        """Of everything that is said, under what the markup says."""
        self._config = config
        self._tts = tts
        self._phrases = phrases

    def is_ready(self, text: str) -> bool:
        """The sound of this clause is there."""
        return self._phrases.get(text) is not None

    def style_of(self, clause: Clause) -> SpeechStyle:
        """How the clause is to sound."""
        return combined(self.style, clause.manner.style)

    async def render(self, clause: Clause) -> AsyncGenerator[SpeechChunk, None]:
        """The clause's sound, as it comes. Closing it cancels. Raises `ServiceError`."""
        if not clause.manner.is_spelled and (ready := self._phrases.get(clause.text)) is not None:
            for chunk in ready:
                yield chunk
            return
        deadlines = self._config.deadlines
        text = spelled(clause.text) if clause.manner.is_spelled else speakable(clause.text)
        speech = self._tts.synthesize(text, voice=self._config.voice, style=self.style_of(clause))
        in_time = within(speech, "tts", first_ms=deadlines.tts_first_byte_ms, next_ms=deadlines.tts_stall_ms)
        async with aclosing(in_time) as chunks:
            async for chunk in chunks:
                yield chunk


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
