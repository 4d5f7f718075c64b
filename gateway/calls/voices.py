# SPDX-License-Identifier: GPL-3.0-or-later
"""Words from the API, spoken by the text-to-speech engine."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agent.clauses import plain_clauses
from agent.deadlines import within
from agent.rendering import in_style, words
from agent.services.tts import SpeechChunk, TextToSpeech
from gateway.errors import NoSuchVoice

_CLAUSE_MS = 30_000
"""The longest wait for a clause: beside calls, an announcement may be slow."""

Speech = Callable[[], AsyncGenerator[SpeechChunk, None]]
"""Renders the words again each time. Raises `ServiceError`."""


class Voices:
    """One for the process."""

    def __init__(self, tts: TextToSpeech, voice: str, language: str) -> None:
        """The name of the engine's voice, and its language (`en`)."""
        self._tts = tts
        self._voice = voice
        self._language = language

    def speech(self, text: str, voice: str | None, language: str | None) -> Speech:
        """These words, clause by clause as an agent would say them. Raises `NoSuchVoice`."""
        if voice not in (None, self._voice):
            raise NoSuchVoice(f"there is no voice {voice!r}: only {self._voice}")
        if language not in (None, self._language):
            raise NoSuchVoice(f"no voice speaks {language!r}: only {self._language}")
        return lambda: self._render(text)

    async def _render(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        for clause in plain_clauses(text):
            style = clause.manner.style
            speech = self._tts.synthesize(words(clause), voice=None, style=style)
            in_time = within(speech, "tts", first_ms=_CLAUSE_MS, next_ms=_CLAUSE_MS)
            async with aclosing(in_style(in_time, style)) as chunks:
                async for chunk in chunks:
                    yield chunk
