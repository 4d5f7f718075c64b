# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech rendered ahead: the greeting and the apologies, ready before anyone calls and when the voice has failed."""

from collections.abc import Iterable
from contextlib import aclosing

from agent.clauses import plain_clauses
from agent.deadlines import within
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle, TextToSpeech
from agent.speakable import speakable


class Phrases:
    """One agent's phrases, shared by all its calls. Holds what `prepare` was given, nothing else."""

    def __init__(
        self, tts: TextToSpeech, voice: str | None = None, timeout_ms: int = 30_000, style: SpeechStyle = PLAIN
    ) -> None:
        """`style`: the agent's own, as far as the engine can. Markup that changes it is left to the moment."""
        self._tts = tts
        self._style = style
        self._voice = voice
        self._timeout_ms = timeout_ms
        self._rendered: dict[str, tuple[SpeechChunk, ...]] = {}
        self._shared: Phrases | None = None
        """Where to look, too."""

    def of_call(self) -> "Phrases":
        """These, and room for what one call alone says; it goes with the call."""
        own = Phrases(self._tts, self._voice, self._timeout_ms, self._style)
        own._shared = self
        return own

    async def prepare(self, texts: Iterable[str]) -> None:
        """Render these, clause by clause as a reply would. Raises `ServiceError`; what was done until then stays."""
        for text in texts:
            for clause in (clause.text for clause in plain_clauses(text)):
                if self.get(clause) is None:
                    self._rendered[clause] = await self._render(clause)

    def get(self, clause: str) -> tuple[SpeechChunk, ...] | None:
        rendered = self._rendered.get(clause)
        return rendered if rendered is not None or self._shared is None else self._shared.get(clause)

    async def _render(self, clause: str) -> tuple[SpeechChunk, ...]:
        speech = self._tts.synthesize(speakable(clause), voice=self._voice, style=self._style)
        in_time = within(speech, "tts", first_ms=self._timeout_ms, next_ms=self._timeout_ms)
        async with aclosing(in_time) as chunks:
            return tuple([chunk async for chunk in chunks])
