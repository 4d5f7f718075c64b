# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech recognition by OpenAI's /audio/transcriptions, and by the many servers that speak it (faster-whisper, vLLM,
whisper.cpp, Groq...): a turn is uploaded when its transcript is asked for. There are no partial transcripts.

    push > the turn's audio > final > WAV > POST, multipart > text, words

Source: OpenAI's API reference, "Create transcription". Whisper models are asked for `verbose_json` with times of words;
the others know only `json`. `extra` are more fields of the form, or others in place of ours.
"""

import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import httpx

from agent.clients.faults import ConnectionLost, mapped, refusal
from agent.clients.hosted_stt import Listening, OnSeconds
from agent.clients.http_pool import HttpPool
from agent.clients.settings import ServiceSettings
from agent.clients.urls import with_parameters
from agent.clients.wav import wav_header
from agent.clients.wire_json import mappings_of, number_of, parsed, share_of, text_of
from agent.errors import ServiceUnavailable
from agent.services.stt import HeardWord, Transcript
from media.frames import PcmSamples

OPENAI_URL = "https://api.openai.com/v1"
_MODEL = "gpt-4o-transcribe"
_BYTES = 2
_MAX_TURN_S = 300.0
"""Of a longer turn the beginning is not heard: the oldest audio is dropped. 10 MB at 16 kHz; 25 MB may be uploaded."""
_LEAST_MS = 100
"""Shorter uploads are refused: silence makes them longer."""
_NO_WORDS = Transcript("", is_final=True, confidence=0.0)
_MAX_ANSWER_BYTES = 4 << 20
_LANGUAGES = {
    "arabic": "ar",
    "chinese": "zh",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hindi": "hi",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "norwegian": "no",
    "polish": "pl",
    "portuguese": "pt",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "turkish": "tr",
    "ukrainian": "uk",
}
"""Whisper's names of languages, of which some servers have the codes."""


Transcribe = Callable[[bytes, Listening], Awaitable[Transcript]]


class OpenAiTranscription:
    """A `SpeechToText`, one for all calls, on one pool of connections."""

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        on_usage: OnSeconds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_usage` is told of seconds of audio that the service has got. Raises `ServiceRejected`: a file of the
        settings cannot be used."""
        self._settings = settings
        self._on_usage = on_usage
        url = settings.url or OPENAI_URL
        self._url = with_parameters(url, "/audio/transcriptions", {})
        key = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
        self._pool = HttpPool(settings, with_parameters(url, "/models", {}), key, clock=clock)

    async def warm(self) -> None:
        """Have a connection ready; what is wrong with the service is logged, not raised."""
        await self._pool.warm()

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> "UploadedStream":
        """`on_partial` is never called."""
        return UploadedStream(self._transcribe, Listening(sample_rate_hz, tuple(hints), language))

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _transcribe(self, pcm: bytes, listening: Listening) -> Transcript:
        """Times of words are the audio's. Raises `ServiceError`."""
        fields = _form(self._settings, listening)
        wav = wav_header(listening.sample_rate_hz, len(pcm)) + pcm
        try:
            transcript = await self._upload(wav, fields)
        except ConnectionLost:
            # Servers close connections that were idle just when we use them again; a second one will be new.
            transcript = await self._upload(wav, fields)
        if self._on_usage is not None:
            self._on_usage(len(pcm) / _BYTES / listening.sample_rate_hz)
        return transcript

    async def _upload(self, wav: bytes, fields: Mapping[str, str | list[str]]) -> Transcript:
        name = self._settings.name
        form = httpx.Request("POST", self._url, data=fields, files={"file": ("turn.wav", wav, "audio/wav")})
        content_type = {"Content-Type": form.headers["content-type"]}
        body = bytearray()
        with mapped(name):
            async with self._pool.post(self._url, form.read(), content_type) as response:
                async for data in response.aiter_bytes():
                    body += data
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise ServiceUnavailable(name, "sends an answer without an end")
        found = parsed(bytes(body))
        if response.status_code != httpx.codes.OK:
            raise refusal(name, response.status_code, found, response.headers)
        if found is None or not isinstance(found.get("text"), str):
            raise ServiceUnavailable(name, "sent something that is no transcript")
        return _transcript(found)


class UploadedStream:
    """One caller's ear (`SttStream`)."""

    def __init__(self, transcribe: Transcribe, listening: Listening) -> None:
        self._transcribe = transcribe
        self._listening = listening
        self._turn = bytearray()
        self._began = 0
        """Where the turn does, in bytes of the stream's audio; so are the others."""
        self._known: tuple[int, int, Transcript] = (0, 0, _NO_WORDS)
        """From there to there, that was said."""

    def push(self, samples: PcmSamples) -> None:
        self._turn += samples.astype("<i2", copy=False).tobytes()
        excess = len(self._turn) - round(_MAX_TURN_S * self._listening.sample_rate_hz) * _BYTES
        if excess > 0:
            del self._turn[:excess]
            self._began += excess

    async def final(self) -> Transcript:
        began, end = self._began, self._began + len(self._turn)
        if began == end:
            return _NO_WORDS
        if self._known[:2] != (began, end):
            rate_hz = self._listening.sample_rate_hz
            pcm = bytes(self._turn).ljust(_LEAST_MS * rate_hz // 1000 * _BYTES, b"\0")
            heard = await self._transcribe(pcm, self._listening)
            moved_ms = began / _BYTES * 1000 / rate_hz
            words = (
                replace(word, started_ms=word.started_ms + moved_ms, ended_ms=word.ended_ms + moved_ms)
                for word in heard.words
            )
            self._known = (began, end, replace(heard, words=tuple(words)))
            return self._known[2]
        return self._known[2]

    def next_turn(self, keep_ms: int) -> None:
        kept = min(len(self._turn), keep_ms * self._listening.sample_rate_hz // 1000 * _BYTES)
        self._began += len(self._turn) - kept
        del self._turn[: len(self._turn) - kept]

    async def aclose(self) -> None:
        self._turn.clear()


def _form(settings: ServiceSettings, listening: Listening) -> Mapping[str, str | list[str]]:
    model = settings.model or _MODEL
    fields: dict[str, object] = {"model": model}
    if language := (settings.language or listening.language).partition("-")[0]:
        fields["language"] = language
    if listening.hints:
        fields["prompt"] = ", ".join(listening.hints)
    if settings.temperature is not None:
        fields["temperature"] = settings.temperature
    fields["response_format"] = "json" if model.startswith("gpt-") else "verbose_json"
    fields.update(settings.extra)
    if fields["response_format"] == "verbose_json":
        fields.setdefault("timestamp_granularities[]", ["word", "segment"])
    elif model.startswith("gpt-4o") and "diarize" not in model:
        fields.setdefault("include[]", ["logprobs"])
    return {name: _field(value) for name, value in fields.items()}


def _field(value: object) -> str | list[str]:
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _transcript(found: Mapping[str, object]) -> Transcript:
    language = text_of(found, "language").lower()
    return Transcript(
        text_of(found, "text").strip(),
        is_final=True,
        confidence=_confidence(found),
        language=_LANGUAGES.get(language, language if len(language) == 2 else ""),
        words=tuple(_words(found)),
    )


def _words(found: Mapping[str, object]) -> Iterator[HeardWord]:
    for word in mappings_of(found, "words"):
        times_ms = number_of(word, "start") * 1e3, number_of(word, "end") * 1e3
        yield HeardWord(text_of(word, "word").strip(), *times_ms, share_of(word, "probability"))


def _confidence(found: Mapping[str, object]) -> float:
    """Of tokens (`json`) or of segments (`verbose_json`), on average; 0: the service has not said."""
    logs = [number_of(token, "logprob") for token in mappings_of(found, "logprobs")] or [
        number_of(segment, "avg_logprob") for segment in mappings_of(found, "segments") if "avg_logprob" in segment
    ]
    return math.exp(min(0.0, sum(logs) / len(logs))) if logs else 0.0
