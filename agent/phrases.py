# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech rendered ahead: the greeting and the apologies, ready before anyone calls and when the voice has failed."""

from collections.abc import Iterable
from contextlib import aclosing

from agent.deadlines import within
from agent.sentences import ClauseChunker
from agent.services.tts import SpeechChunk, TextToSpeech
from agent.speakable import speakable


class Phrases:
    """One agent's phrases, shared by all its calls. Holds what `prepare` was given, nothing else."""

    def __init__(self, tts: TextToSpeech, voice: str | None = None, timeout_ms: int = 30_000) -> None:
        self._tts = tts
        self._voice = voice
        self._timeout_ms = timeout_ms
        self._rendered: dict[str, tuple[SpeechChunk, ...]] = {}

    async def prepare(self, texts: Iterable[str]) -> None:
        """Render these, clause by clause as a reply would. Raises `ServiceError`; what was done until then stays."""
        for text in texts:
            chunker = ClauseChunker()
            for clause in (*chunker.push(text), *chunker.flush()):
                if clause not in self._rendered:
                    self._rendered[clause] = await self._render(clause)

    def get(self, clause: str) -> tuple[SpeechChunk, ...] | None:
        return self._rendered.get(clause)

    async def _render(self, clause: str) -> tuple[SpeechChunk, ...]:
        speech = self._tts.synthesize(speakable(clause), voice=self._voice)
        in_time = within(speech, "tts", first_ms=self._timeout_ms, next_ms=self._timeout_ms)
        async with aclosing(in_time) as chunks:
            return tuple([chunk async for chunk in chunks])
