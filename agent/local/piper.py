# SPDX-License-Identifier: GPL-3.0-or-later
"""Text to speech with Piper, one chunk per sentence, and a memory for sentences that are said again and again.

    text > espeak-ng phonemes > per sentence: VITS (onnxruntime, one thread) > 22,050 Hz samples
         > or straight from the phrase cache

Every step is a job of its own in the inference pool, so a clause that nobody wants any more costs one sentence at most.
"""

import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path

from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from agent.errors import ModelError, ServiceRejected, ServiceUnavailable
from agent.local.inference import InferencePool, Priority
from agent.local.onnx import OnnxModel
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle
from agent.style_controls import Controls
from media.frames import PcmSamples

_VOLUME = 0.8
"""Piper scales every sentence to full range; resampling overshoots that by a decibel or so."""
_CONTROLS = Controls(rates=(0.5, 2.0))
"""Of the model: the length scale. Its volume is one of whole sentences, no louder than they are."""
_SENTENCE_END = re.compile(r"(?<=[.!?]) +")


class PhraseCache:
    """Rendered phrases, at most `max_bytes` of samples; the least recently used go first."""

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._phrases: OrderedDict[tuple[str, float], tuple[PcmSamples, ...]] = OrderedDict()

    def get(self, text: str, rate: float) -> tuple[PcmSamples, ...] | None:
        chunks = self._phrases.get((text, rate))
        if chunks is not None:
            self._phrases.move_to_end((text, rate))
        return chunks

    def put(self, text: str, rate: float, chunks: tuple[PcmSamples, ...]) -> None:
        """Keep the phrase, unless it alone is larger than the cache."""
        size = sum(chunk.nbytes for chunk in chunks)
        if size > self._max_bytes or (text, rate) in self._phrases:
            return
        self._phrases[text, rate] = chunks
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, oldest = self._phrases.popitem(last=False)
            self.bytes -= sum(chunk.nbytes for chunk in oldest)


class PiperVoiceModel:
    """The voice's weights, shared by all calls. `render` may run in several threads at once."""

    def __init__(self, voice: Path, config: Path) -> None:
        """Raises `ModelError`."""
        try:
            settings = PiperConfig.from_dict(json.loads(config.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"Piper voice settings {config} cannot be used: {error}") from error
        self.name = voice.stem
        self.sample_rate_hz: int = settings.sample_rate
        # PiperVoice.load() would take all cores for each sentence.
        self._voice = PiperVoice(session=OnnxModel(voice), config=settings)

    def render(self, text: str, rate: float) -> Iterator[PcmSamples]:
        """Sentence by sentence."""
        settings = SynthesisConfig(length_scale=self._voice.config.length_scale / rate, volume=_VOLUME)
        for chunk in self._voice.synthesize(text, settings):
            samples: PcmSamples = chunk.audio_int16_array
            samples.setflags(write=False)  # the cache hands the same array to many calls
            yield samples


class PiperTextToSpeech:
    """A `TextToSpeech` on one voice, shared by all calls."""

    def __init__(self, model: PiperVoiceModel, pool: InferencePool, *, cache_bytes: int = 16 << 20) -> None:
        """16 MiB hold six minutes of speech."""
        self._model = model
        self._pool = pool
        self.cache = PhraseCache(cache_bytes)

    @property
    def voice(self) -> str:
        """The voice's name."""
        return self._model.name

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        asked = _CONTROLS.ask(style)
        if voice not in (None, self._model.name):
            raise ServiceRejected("piper", f"there is no voice {voice!r} in the model folder")
        for sentence in filter(None, _SENTENCE_END.split(text.strip())):
            async for chunk in self._say(sentence, asked.done):
                yield chunk

    async def _say(self, sentence: str, done: SpeechStyle) -> AsyncGenerator[SpeechChunk, None]:
        known = self.cache.get(sentence, done.rate)
        if known is None and (known := self.cache.get(sentence, 1.0)) is not None:
            done = SpeechStyle()  # sooner than rendering it again: whoever plays it changes the pace
        if known is not None:
            for samples in known:
                yield SpeechChunk(samples, self._model.sample_rate_hz, done)
            return
        parts = self._model.render(sentence, done.rate)
        rendered: list[PcmSamples] = []
        while (chunk := await self._next(parts)) is not None:
            rendered.append(chunk)
            yield SpeechChunk(chunk, self._model.sample_rate_hz, done)
        self.cache.put(sentence, done.rate, tuple(rendered))

    async def _next(self, sentences: Iterator[PcmSamples]) -> PcmSamples | None:
        try:
            return await self._pool.run(Priority.SPEECH, next, sentences, None)
        except (RuntimeError, ValueError, OSError) as error:  # what Piper and its espeak bridge raise
            raise ServiceUnavailable("piper", type(error).__name__) from error

    async def warm(self, phrases: Iterable[str]) -> None:
        """Render phrases that will be needed, clause by clause as they will be asked for."""
        for phrase in phrases:
            async for _ in self.synthesize(phrase):
                pass

    async def aclose(self) -> None:
        """Nothing to do: the pool and the model belong to whoever made them."""
