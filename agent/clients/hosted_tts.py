# SPDX-License-Identifier: GPL-3.0-or-later
"""Streaming speech synthesis by a service: the part that is the same for all vendors, around their dialects.

    clause > HostedTts.synthesize > SpeechStock: a connection with room > TtsDialect.say > Link > service
    service > Link > TtsDialect.receive > the utterance's sound > SpeechChunk

The stock (`agent.clients.speech_stock`) has a connection ready before it is needed. A clause that nothing was heard of
yet survives the end of its connection: it is said once more over another one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agent.clients.settings import ServiceSettings
from agent.clients.speech_stock import SpeechStock
from agent.clients.trust import own_tls_context
from agent.clients.tts_dialect import Speaking, TtsDialect
from agent.errors import ServiceError, ServiceLate, ServiceUnavailable
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle
from media.frames import PcmSamples

_MAX_WAITING_S = 120.0
"""Of an utterance's sound that nobody has taken yet; services render faster than it is spoken."""
_TELEPHONE_HZ = 8_000

OnCharacters = Callable[[int], None]
MakeDialect = Callable[[ServiceSettings, Speaking], TtsDialect]


class HostedTts:
    """A `TextToSpeech`, one for all calls."""

    def __init__(
        self, settings: ServiceSettings, make_dialect: MakeDialect, *, on_usage: OnCharacters | None = None
    ) -> None:
        """`on_usage` is told of characters that the service was given."""
        self._settings = settings
        self._make_dialect = make_dialect
        self._on_usage = on_usage
        self._tls = own_tls_context(settings)
        self._stocks: dict[Speaking, SpeechStock] = {}

    async def warm(self, *, voice: str | None = None, sample_rate_hz: int | None = None) -> None:
        """Have a connection ready for this voice and leg; without either, for all there were, or for a telephone. What
        is wrong with the service is logged, not raised."""
        if voice is not None or sample_rate_hz is not None or not self._stocks:
            self._stock(voice, sample_rate_hz or _TELEPHONE_HZ)
        for stock in list(self._stocks.values()):
            await stock.warm()

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        if not text.strip():
            return
        stock = self._stock(voice, sample_rate_hz)
        for is_last in (False, True):
            utterance = _Utterance(self._settings.name)
            connection = await stock.take()
            done = connection.say(utterance, text, style)
            if self._on_usage is not None:
                self._on_usage(len(text))
            has_begun = False
            try:
                async with aclosing(self._heard(utterance)) as sound:
                    async for samples in sound:
                        has_begun = True
                        yield SpeechChunk(samples, connection.sample_rate_hz, done)
                return
            except ServiceError as error:
                # Services close connections just when they are used again; another one need not have that.
                if is_last or has_begun or not error.retryable or not connection.is_over:
                    raise
            finally:
                connection.leave(utterance, is_suspect=not utterance.is_over)

    async def aclose(self) -> None:
        for stock in self._stocks.values():
            await stock.aclose()
        self._stocks.clear()

    def _stock(self, voice: str | None, sample_rate_hz: int | None) -> SpeechStock:
        speaking = Speaking(voice or self._settings.voice, sample_rate_hz)
        if speaking not in self._stocks:
            self._stocks[speaking] = SpeechStock(
                self._settings.name, lambda: self._make_dialect(self._settings, speaking), tls=self._tls
            )
        return self._stocks[speaking]

    async def _heard(self, utterance: "_Utterance") -> AsyncGenerator[PcmSamples, None]:
        count = 0
        while True:
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    samples = await utterance.next()
            except TimeoutError as late:
                raise ServiceLate(self._settings.name, "sends no more sound" if count else "sends no sound") from late
            if samples is None:
                break
            if len(samples):
                count += len(samples)
                yield samples
        if not count:
            raise ServiceUnavailable(self._settings.name, "says nothing")


class _Utterance:
    """A clause's sound on its way; the connection puts it in, one reader takes it out."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._waiting: deque[PcmSamples] = deque()
        self._waiting_samples = 0
        self._news = asyncio.Event()
        self._error: ServiceError | None = None
        self.is_over = False
        """All of it has come, or nothing more will."""

    def receive(self, samples: PcmSamples, sample_rate_hz: int) -> None:
        """More than `_MAX_WAITING_S` of it ends it with an error: that is no clause."""
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        if self._waiting_samples > _MAX_WAITING_S * sample_rate_hz:
            self._waiting.clear()
            self.end(ServiceUnavailable(self._service, "sends sound without an end"))
        self._news.set()

    def end(self, error: ServiceError | None = None) -> None:
        if not self.is_over:
            self.is_over = True
            self._error = error
            self._news.set()

    async def next(self) -> PcmSamples | None:
        """Some more; None at the end. What has come is given before an error."""
        while not self._waiting and not self.is_over:
            self._news.clear()
            await self._news.wait()
        if self._waiting:
            samples = self._waiting.popleft()
            self._waiting_samples -= len(samples)
            return samples
        if self._error is not None:
            raise self._error
        return None
