# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripted speech and language services: they do what a script says, when it says so, in virtual seconds.

A caller's utterance is a constant level on the line (`Utterances`): the recogniser hears which ones were pushed to it
and how completely, so that lost or doubled audio shows in the transcript.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.errors import ServiceError
from agent.services.llm import Conversation, ReplyEvent, TextDelta
from agent.services.stt import Transcript
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle
from media.frames import PcmSamples

SPEECH_LEVEL = 1_000
"""Samples from here on are speech."""
CHARACTERS_PER_S = 20
"""How fast the scripted voice speaks."""
VOICE_HZ = 22_050
STALL = 3_600.0
"""A pause nobody waits for."""


@dataclass
class Utterances:
    """What was said on the line: each utterance is a level of its own."""

    texts: list[str] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)

    def add(self, text: str, samples: int) -> int:
        """Register; return the level that stands for it."""
        self.texts.append(text)
        self.samples.append(samples)
        return SPEECH_LEVEL + len(self.texts) - 1

    def recognise(self, heard: PcmSamples) -> str:
        """The texts whose levels are in there; one that is not there whole is marked with how much is."""
        words = []
        for index, (text, samples) in enumerate(zip(self.texts, self.samples, strict=True)):
            count = int(np.count_nonzero(heard == SPEECH_LEVEL + index))
            if count and text:
                words.append(text if count == samples else f"{text} [{count}/{samples}]")
        return " ".join(words)


class ScriptedModel:
    """A speech model that cannot err: speech is what is loud."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._window = sample_rate_hz * 32 // 1000
        self._held: PcmSamples = np.empty(0, np.int16)

    def process(self, samples: PcmSamples) -> list[float]:
        held = np.concatenate((self._held, samples))
        count = len(held) // self._window
        self._held = held[count * self._window :]
        windows = held[: count * self._window].reshape(count, self._window)
        return [float(np.mean(window >= SPEECH_LEVEL)) for window in windows]


@dataclass
class ScriptedStt:
    """Recognises `Utterances`. `failures` are raised by as many calls of `final` first."""

    utterances: Utterances
    final_s: float = 0.08
    open_failures: list[ServiceError] = field(default_factory=list)
    failures: list[ServiceError] = field(default_factory=list)
    streams: list["ScriptedSttStream"] = field(default_factory=list)
    language: str = ""
    """That it hears."""
    is_deaf: bool = False
    """It hears nothing in anything."""

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> "ScriptedSttStream":
        if self.open_failures:
            raise self.open_failures.pop(0)
        stream = ScriptedSttStream(self, sample_rate_hz, on_partial)
        self.streams.append(stream)
        return stream

    async def aclose(self) -> None: ...


class ScriptedSttStream:
    """One caller's ear."""

    def __init__(self, stt: ScriptedStt, sample_rate_hz: int, on_partial: Callable[[Transcript], None]) -> None:
        self._stt = stt
        self._heard: PcmSamples = np.empty(0, np.int16)
        self.sample_rate_hz = sample_rate_hz
        self.on_partial = on_partial
        self.pushed_samples = 0
        self.is_closed = False
        self.finals = 0

    def push(self, samples: PcmSamples) -> None:
        self.pushed_samples += len(samples)
        self._heard = np.concatenate((self._heard, samples))

    async def final(self) -> Transcript:
        await asyncio.sleep(self._stt.final_s)
        if self._stt.failures:
            raise self._stt.failures.pop(0)
        self.finals += 1
        text = "" if self._stt.is_deaf else self._stt.utterances.recognise(self._heard)
        return Transcript(text, True, 0.9, self._stt.language)

    def next_turn(self, keep_ms: int) -> None:
        keep = keep_ms * self.sample_rate_hz // 1000
        self._heard = self._heard[len(self._heard) - keep :] if keep else self._heard[:0]

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass
class ScriptedDetector:
    """An end-of-turn model that says `probability`."""

    probability: float = 0.95
    answers_s: float = 0.03
    failures: list[ServiceError] = field(default_factory=list)
    asked_samples: list[int] = field(default_factory=list)

    async def end_of_turn(self, samples: PcmSamples, sample_rate_hz: int) -> float:
        self.asked_samples.append(len(samples))
        await asyncio.sleep(self.answers_s)
        if self.failures:
            raise self.failures.pop(0)
        return self.probability

    async def aclose(self) -> None: ...


Step = float | str | ReplyEvent | ServiceError
"""Wait so many seconds; say this; emit this; fail with this."""


class ScriptedLlm:
    """Plays one script for each turn; the last one again and again."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = list(scripts) or [[0.1, "Certainly."]]
        self.asked: list[Conversation] = []
        self.cancelled = 0

    async def reply(self, conversation: Conversation) -> AsyncIterator[ReplyEvent]:
        self.asked.append(conversation)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        is_complete = False
        try:
            for step in script:
                match step:
                    case float():
                        await asyncio.sleep(step)
                    case str():
                        yield TextDelta(step)
                    case ServiceError():
                        raise step
                    case _:
                        yield step
            is_complete = True
        finally:
            self.cancelled += not is_complete

    async def aclose(self) -> None: ...


@dataclass
class ScriptedTts:
    """Speaks at a constant pace and level, in chunks of at most `chunk_s`, after `silence_s` of silence."""

    first_byte_s: float = 0.1
    chunk_s: float = 10.0
    level: int = 5_000
    """Of its samples."""
    silence_s: float = 0.0
    tail_s: float = 0.0
    """Of silence after each clause."""
    failing_clauses: dict[str, Sequence[float | ServiceError]] = field(default_factory=dict)
    """Instead of the clause: wait so long, or fail; what comes before that is half of its speech."""
    spoken: list[str] = field(default_factory=list)
    voices: list[str | None] = field(default_factory=list)
    """That it was spoken with."""
    rates_hz: list[int | None] = field(default_factory=list)
    """That were asked for."""

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncIterator[SpeechChunk]:
        self.spoken.append(text)
        self.voices.append(voice)
        self.rates_hz.append(sample_rate_hz)
        await asyncio.sleep(self.first_byte_s)
        speech = np.full(round(len(text) / CHARACTERS_PER_S * VOICE_HZ), self.level, np.int16)
        if text in self.failing_clauses:
            yield SpeechChunk(speech[: len(speech) // 2], VOICE_HZ)
            for step in self.failing_clauses[text]:
                if isinstance(step, ServiceError):
                    raise step
                await asyncio.sleep(step)
        silence = np.zeros(round(self.silence_s * VOICE_HZ), np.int16)
        samples = np.concatenate((silence, speech, np.zeros(round(self.tail_s * VOICE_HZ), np.int16)))
        step_samples = round(self.chunk_s * VOICE_HZ)
        for begin in range(0, len(samples), step_samples):
            yield SpeechChunk(samples[begin : begin + step_samples], VOICE_HZ)

    async def aclose(self) -> None: ...
