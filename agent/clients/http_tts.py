# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech synthesis by a service over HTTP: a request for each clause, its sound in the body as it comes.

    clause > HttpSpeech.request > POST > body, cut anywhere > AudioBytes > SpeechChunk

Closing the iterator closes the connection, by which a service notices that nobody wants the rest.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from agent.clients.faults import ConnectionLost, error_body, mapped, refusal
from agent.clients.http_pool import HttpPool
from agent.clients.settings import ServiceSettings
from agent.clients.wire_audio import AudioBytes, Encoding
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle

_MAX_CLAUSE_S = 300.0

OnCharacters = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One clause's."""

    url: str
    content: bytes
    encoding: Encoding
    """Of the response's body."""
    sample_rate_hz: int
    headers: Mapping[str, str] = field(default_factory=dict)
    done: SpeechStyle = PLAIN
    """What of the style the service will do itself."""


class HttpSpeech(Protocol):
    """One vendor's requests."""

    @property
    def warm_url(self) -> str:
        """A GET of this, whatever it answers, leaves a connection behind."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Credentials, of each request; the settings' own are added to them."""
        ...

    def request(self, text: str, voice: str, style: SpeechStyle, sample_rate_hz: int | None) -> SpeechRequest:
        """`voice`: empty for the service's own. Raises `ServiceError`."""
        ...


class HttpTts:
    """A `TextToSpeech`, one for all calls, on one pool of connections."""

    def __init__(
        self,
        settings: ServiceSettings,
        speech: HttpSpeech,
        *,
        on_usage: OnCharacters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_usage` is told of characters that the service was given."""
        self._settings = settings
        self._speech = speech
        self._on_usage = on_usage
        self._pool = HttpPool(settings, speech.warm_url, speech.headers(), clock=clock)

    async def warm(self, *, voice: str | None = None, sample_rate_hz: int | None = None) -> None:
        """Have a connection ready, the same for all voices; what is wrong with the service is logged, not raised."""
        await self._pool.warm()

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        if not text.strip():
            return
        request = self._speech.request(text, voice or self._settings.voice, style, sample_rate_hz)
        for is_last in (False, True):
            has_begun = False
            if self._on_usage is not None:
                self._on_usage(len(text))
            try:
                async with aclosing(self._answer(request)) as chunks:
                    async for chunk in chunks:
                        has_begun = True
                        yield chunk
                return
            except ConnectionLost:
                # Servers close connections that were idle just when we use them again; a second one will be new.
                if is_last or has_begun:
                    raise

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _answer(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        name = self._settings.name
        audio = AudioBytes(request.encoding)
        count = 0
        with mapped(name):
            async with self._pool.post(request.url, request.content, request.headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise refusal(name, response.status_code, await error_body(response), response.headers)
                if response.headers.get("content-type", "").partition(";")[0] in ("application/json", "text/html"):
                    raise ServiceRejected(name, "answers with something that is no sound")
                async for data in response.aiter_bytes():
                    samples = audio.read(data)
                    count += len(samples)
                    if count > _MAX_CLAUSE_S * request.sample_rate_hz:
                        raise ServiceUnavailable(name, "sends sound without an end")
                    if len(samples):
                        yield SpeechChunk(samples, request.sample_rate_hz, request.done)
        if not count:
            raise ServiceUnavailable(name, "says nothing")
