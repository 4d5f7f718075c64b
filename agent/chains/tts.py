# SPDX-License-Identifier: GPL-3.0-or-later
"""Several voices as one.

    clause > race > first voice > its sound ─────────────────────────────────────────────> SpeechChunk
                  > it fails, or is late: the same clause > second voice > what was not given yet

Where the second one begins is told by the time that the first has spoken, at the pace both were asked for, from the
first audible sample on: what was given has been heard, or will be.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from agent.chains.events import OnChainEvent
from agent.chains.member import Member
from agent.chains.race import Rules, race
from agent.errors import ServiceUnavailable
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle, TextToSpeech
from media.frames import PcmSamples

_FIRST_S = 1.0
_NEXT_S = 0.7
_AUDIBLE = 200
"""Samples from this value on are audible: -44 dB of full scale."""
_FADE_IN_S = 0.005
"""Nobody begins in the middle of a sound with a click."""


class TextToSpeechChain:
    """A `TextToSpeech`. Its members belong to whoever made them: it closes none."""

    def __init__(
        self,
        name: str,
        members: Sequence[Member[TextToSpeech]],
        *,
        hedge_after_ms: int = 0,
        on_event: OnChainEvent = lambda event: None,
    ) -> None:
        """`hedge_after_ms`: after so long without sound from one, the next is asked as well; 0: after 1 s at the
        beginning of a clause, 0.7 s within it."""
        hedge_s = hedge_after_ms / 1e3
        self._members = tuple(members)
        self._rules = Rules(name, "tts", hedge_s or _FIRST_S, hedge_s or _NEXT_S, on_event)

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Render one clause. `voice` is the first member's to know: the others speak with their own. Raises
        `ServiceError`."""
        spoken = _Spoken()

        def ask(member: Member[TextToSpeech]) -> AsyncIterator[SpeechChunk]:
            own = voice if member is self._members[0] else None
            speech = member.service.synthesize(text, voice=own, style=style, sample_rate_hz=sample_rate_hz)
            return _rest(member.name, speech, spoken.seconds, is_audible=any(char.isalnum() for char in text))

        async with aclosing(race(self._rules, self._members, ask)) as chunks:
            async for chunk in chunks:
                spoken.add(chunk)
                yield chunk

    async def aclose(self) -> None: ...


class _Spoken:
    """How much of a clause a voice has spoken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """At the voice's own pace, from the first audible sample on."""
        self._is_audible = False

    def add(self, chunk: SpeechChunk) -> None:
        self._count(chunk, len(chunk.samples) - self._silent(chunk.samples))

    def cut(self, chunk: SpeechChunk, until_s: float) -> PcmSamples:
        """What of this comes after so many seconds; counted as `add` does."""
        begin = self._silent(chunk.samples)
        wanted = max(0, round((until_s - self.seconds) * chunk.sample_rate_hz / chunk.done.rate))
        end = min(len(chunk.samples), begin + wanted)
        self._count(chunk, end - begin)
        return chunk.samples[end:]

    def _silent(self, samples: PcmSamples) -> int:
        """Samples at the beginning that do not count."""
        if self._is_audible:
            return 0
        audible = np.flatnonzero((samples >= _AUDIBLE) | (samples <= -_AUDIBLE))
        self._is_audible = bool(len(audible))
        return int(audible[0]) if len(audible) else len(samples)

    def _count(self, chunk: SpeechChunk, samples: int) -> None:
        self.seconds += samples / chunk.sample_rate_hz * chunk.done.rate


async def _rest(
    service: str, speech: AsyncIterator[SpeechChunk], begin_s: float, *, is_audible: bool
) -> AsyncGenerator[SpeechChunk, None]:
    """The clause from so many seconds on. `is_audible`: it cannot be without any sound."""
    passed = _Spoken()
    is_before = begin_s > 0.0
    is_empty = is_audible and not is_before
    try:
        async for chunk in speech:
            is_empty = is_empty and not len(chunk.samples)
            if not is_before:
                yield chunk
                continue
            rest = passed.cut(chunk, begin_s)
            if len(rest):
                is_before = False
                yield replace(chunk, samples=_faded_in(rest, chunk.sample_rate_hz))
    finally:
        if isinstance(speech, AsyncGenerator):
            await speech.aclose()
    if is_empty:
        raise ServiceUnavailable(service, "gave no sound")


def _faded_in(samples: PcmSamples, sample_rate_hz: int) -> PcmSamples:
    count = min(len(samples), round(_FADE_IN_S * sample_rate_hz))
    faded = samples.copy()
    faded[:count] = (samples[:count] * np.linspace(0.0, 1.0, count, endpoint=False)).astype(np.int16)
    return faded
