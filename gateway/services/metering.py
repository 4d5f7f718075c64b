# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as agents get them, counted: what was asked of each, how it ended, how long its first news took.

One wrapper around each protocol, the same for all vendors. Agents' deadlines lie outside of it: what they gave up is
counted as `cancelled`, and so is what nobody wanted any more.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, assert_never

from agent.chains.events import BreakerChanged, ChainEvent, Failed, FellBack, Hedged
from agent.clients.breaker import BreakerState
from agent.errors import ServiceError
from agent.services.llm import Conversation, LanguageModel, ReplyEvent
from agent.services.stt import SpeechToText, SttStream, Transcript
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle, TextToSpeech
from gateway.services.kinds import Role
from gateway.telemetry import Metrics
from media.frames import PcmSamples

Outcome = Literal["ok", "failed", "rejected", "cancelled"]
_RECENT = 200
_LAST = 50
_UNITS: Mapping[Role, tuple[str, ...]] = {
    "stt": ("audio_s",),
    "llm": ("prompt", "cached", "completion"),
    "tts": ("characters",),
    "realtime": (),
}
Clock = Callable[[], float]

Item = TypeVar("Item")


@dataclass(slots=True)
class ServiceRecord:
    """What the console shows of a service in one role, since the start."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    last: deque[Outcome] = field(default_factory=lambda: deque(maxlen=_LAST))
    """How the last ones ended: a service is judged by what it does now."""
    first_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """How long the last requests took to their first news."""
    usage: dict[str, float] = field(default_factory=dict)
    """What vendors take money for, by unit: tokens as `prompt` (without those that are remembered), `cached` and
    `completion`; `audio_s`; `characters`."""
    is_resting: bool = False
    """Its breaker is open: others are asked."""


class Meter:
    """The metrics of one service in one role."""

    def __init__(self, service: str, role: Role, metrics: Metrics, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._requests = {
            outcome: metrics.service_requests.labels(service, role, outcome)
            for outcome in ("ok", "failed", "rejected", "cancelled")
        }
        self._first = metrics.service_first.labels(service, role)
        self._opened = metrics.service_opened.labels(service) if role == "stt" else None
        self._audio = metrics.service_audio.labels(service) if role == "stt" else None
        self._characters = metrics.service_characters.labels(service) if role == "tts" else None
        self.recent = ServiceRecord(usage=dict.fromkeys(_UNITS[role], 0.0))

    def ended(self, outcome: Outcome) -> None:
        self._requests[outcome].inc()
        self.recent.outcomes[outcome] += 1
        self.recent.last.append(outcome)

    def failed(self, error: ServiceError) -> None:
        self.ended("failed" if error.retryable else "rejected")

    def answered(self, took_s: float) -> None:
        """The first word, token or sound is there."""
        self._first.observe(took_s)
        self.recent.first_ms.append(took_s * 1e3)

    def opened(self, took_s: float) -> None:
        assert self._opened is not None, "of speech recognition"
        self._opened.observe(took_s)

    def heard(self, audio_s: float) -> None:
        """So much speech was sent to be recognised."""
        assert self._audio is not None, "of speech recognition"
        self._audio.inc(audio_s)
        self.recent.usage["audio_s"] += audio_s

    def spoke(self, characters: int) -> None:
        """So much text was sent to be spoken."""
        assert self._characters is not None, "of speech synthesis"
        self._characters.inc(characters)
        self.recent.usage["characters"] += characters

    async def follow(self, items: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
        """The same items, counted. Closing it closes `items`."""
        began_at = self.clock()
        is_first = True
        outcome: Outcome = "cancelled"
        try:
            async for item in items:
                if is_first:
                    is_first = False
                    self.answered(self.clock() - began_at)
                yield item
            outcome = "ok"
        except ServiceError as error:
            outcome = "failed" if error.retryable else "rejected"
            raise
        except Exception:  # a client that did not map what it met: the agent's deadlines do
            outcome = "failed"
            raise
        finally:
            self.ended(outcome)
            if isinstance(items, AsyncGenerator):
                await items.aclose()


class ChainMetrics:
    """What happens between the members of chains, counted."""

    def __init__(self, metrics: Metrics, records: Mapping[tuple[str, Role], ServiceRecord]) -> None:
        self._metrics = metrics
        self._records = records

    def receive(self, event: ChainEvent) -> None:
        match event:
            case Failed(service, role, cause):
                self._metrics.service_failures.labels(service, role, cause).inc()
            case FellBack(chain, role, service):
                self._metrics.chain_fallbacks.labels(chain, role, service).inc()
            case Hedged(chain, role, service, won):
                self._metrics.chain_hedges.labels(chain, role, service, "won" if won else "lost").inc()
            case BreakerChanged(service, role, state):
                is_resting = state is not BreakerState.CLOSED
                self._metrics.service_resting.labels(service, role).set(is_resting)
                if (record := self._records.get((service, role))) is not None:
                    record.is_resting = is_resting
            case _:
                assert_never(event)


class MeteredLlm:
    """A `LanguageModel`."""

    def __init__(self, inner: LanguageModel, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        return self._meter.follow(self._inner.reply(conversation))

    async def aclose(self) -> None:
        await self._inner.aclose()


class MeteredTts:
    """A `TextToSpeech`."""

    def __init__(self, inner: TextToSpeech, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        self._meter.spoke(len(text))
        speech = self._inner.synthesize(text, voice=voice, style=style, sample_rate_hz=sample_rate_hz)
        return self._meter.follow(speech)

    async def aclose(self) -> None:
        await self._inner.aclose()


class MeteredStt:
    """A `SpeechToText`; each question for a transcript is a request."""

    def __init__(self, inner: SpeechToText, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> SttStream:
        meter = self._meter
        began_at = meter.clock()
        try:
            stream = await self._inner.open(
                sample_rate_hz=sample_rate_hz, on_partial=on_partial, hints=hints, language=language
            )
        except ServiceError as error:
            meter.failed(error)
            raise
        meter.opened(meter.clock() - began_at)
        return _MeteredStream(stream, meter, sample_rate_hz)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _MeteredStream:
    """An `SttStream`."""

    def __init__(self, inner: SttStream, meter: Meter, sample_rate_hz: int) -> None:
        self._inner = inner
        self._push = inner.push
        self._meter = meter
        self._sample_rate_hz = sample_rate_hz
        self._samples = 0

    def push(self, samples: PcmSamples) -> None:
        self._samples += len(samples)
        self._push(samples)

    async def final(self) -> Transcript:
        meter = self._meter
        began_at = meter.clock()
        try:
            transcript = await self._inner.final()
        except ServiceError as error:
            meter.failed(error)
            raise
        except asyncio.CancelledError:
            meter.ended("cancelled")
            raise
        meter.answered(meter.clock() - began_at)
        meter.ended("ok")
        return transcript

    def next_turn(self, keep_ms: int) -> None:
        self._count_audio()
        self._inner.next_turn(keep_ms)

    async def aclose(self) -> None:
        self._count_audio()
        await self._inner.aclose()

    def _count_audio(self) -> None:
        self._meter.heard(self._samples / self._sample_rate_hz)
        self._samples = 0
