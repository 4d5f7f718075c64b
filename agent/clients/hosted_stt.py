# SPDX-License-Identifier: GPL-3.0-or-later
"""Streaming speech recognition by a service: the part that is the same for all vendors, around their dialects.

    push > the turn's audio, at the service's rate > chunks > Link > service
    service > Link > SttDialect.receive > segments, hypothesis > on_partial, `final`

The turn's audio is kept until the turn is over. A connection that breaks is replaced at once, and hears all of the
turn again; what the first one had said of it is forgotten, so that no word comes twice.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog

from agent.clients.link import Link
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Answer, Failed, Flushed, Hypothesis, Ready, Renew, Segment, SttDialect, SttNews
from agent.clients.trust import own_tls_context
from agent.errors import ServiceError, ServiceLate, ServiceUnavailable
from agent.services.stt import HeardWord, Transcript
from agent.websocket import WireMessage
from media.frames import PcmSamples
from media.resample import StreamResampler

log = structlog.get_logger(__name__)

_BYTES = 2
"""A sample's."""
_MAX_TURN_S = 60.0
"""Of a longer turn the beginning is not heard again after a reconnection, nor while a service does not read."""
_RECONNECT_AFTER_S = (0.0, 0.3, 1.0)
_STEADY_S = 10.0
"""A connection that lasted so long was a good one: the loss of it is the first of a new row."""
_NOTHING_HEARD_S = 0.7
"""Of services that do not answer every flush (`SttDialect.answers_every_flush`)."""
_STALE_S = 2.0
"""News of a turn that is over may come so late; after that they are taken for the present one's."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What a stream is opened for."""

    sample_rate_hz: int
    """The leg's."""
    hints: tuple[str, ...] = ()
    language: str = "en"


OnSeconds = Callable[[float], None]
MakeDialect = Callable[[ServiceSettings, Listening], SttDialect]


class HostedStt:
    """A `SpeechToText`, one for all calls."""

    def __init__(
        self,
        settings: ServiceSettings,
        make_dialect: MakeDialect,
        *,
        on_usage: OnSeconds | None = None,
    ) -> None:
        """`on_usage` is told of seconds of audio that the service has got."""
        self._settings = settings
        self._make_dialect = make_dialect
        self._on_usage = on_usage
        self._tls = own_tls_context(settings)
        self._streams: set[HostedStream] = set()

    async def warm(self) -> None:
        """Nothing: a stream is opened before its call is answered, and lasts as long as the call."""

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> "HostedStream":
        listening = Listening(sample_rate_hz, tuple(hints), language)
        stream = HostedStream(
            self._settings, lambda: self._make_dialect(self._settings, listening), sample_rate_hz, on_partial
        )
        stream.on_usage, stream.on_closed = self._on_usage, self._streams.discard
        stream.tls = self._tls
        self._streams.add(stream)
        try:
            await stream.connect()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        for stream in list(self._streams):
            await stream.aclose()


class HostedStream:
    """One caller's ear (`SttStream`)."""

    def __init__(
        self,
        settings: ServiceSettings,
        make_dialect: Callable[[], SttDialect],
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
    ) -> None:
        self._settings = settings
        self._make_dialect = make_dialect
        self._on_partial = on_partial
        self.on_usage: OnSeconds | None = None
        self.on_closed: Callable[[HostedStream], None] = lambda _: None
        self.tls: ssl.SSLContext | None = None
        """Whom to trust, if not the system's authorities."""
        self._dialect = make_dialect()
        self._rate_hz = self._dialect.sample_rate_hz
        self._resampler = StreamResampler(sample_rate_hz, self._rate_hz)
        self._turn = bytearray()
        """The turn's audio at the service's rate, the newest `_MAX_TURN_S` of it."""
        self._sent = 0
        """So much of it went to the present connection."""
        self._turn_began = 0
        """Where it begins, in bytes since the stream's."""
        self._link: Link | None = None
        self._is_ready: asyncio.Future[None] | None = None
        self._heard = _Heard()
        self._flushes: deque[asyncio.Future[None] | None] = deque()
        """Unanswered, oldest first; None: of a turn that is over."""
        self._is_flushed = True
        """Everything that was sent is in the segments."""
        self._must_renew = False
        self._reconnecting: asyncio.Task[None] | None = None
        self._connected_at = 0.0
        """On the loop's clock."""
        self._losses = 0
        """In a row, of connections that did not last: a service that lets us in and throws us out is not asked on."""
        self._lost: ServiceError | None = None
        self._is_closed = False
        self._unreported_bytes = 0

    # SttStream

    def push(self, samples: PcmSamples) -> None:
        """Raises `ServiceError` when the service is lost for good."""
        if self._lost is not None:
            raise self._lost
        self._turn += self._resampler.process(samples).astype("<i2", copy=False).tobytes()
        excess = len(self._turn) - round(_MAX_TURN_S * self._rate_hz) * _BYTES
        if excess > 0:
            del self._turn[:excess]
            self._turn_began += excess
            self._sent = max(0, self._sent - excess)
        self._pump(all_of_it=False)

    async def final(self) -> Transcript:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                while not self._is_settled:
                    await self._flush()
        except TimeoutError as late:
            raise ServiceLate(self._settings.name, "gives no final transcript") from late
        return self._heard.transcript(is_final=True)

    def next_turn(self, keep_ms: int) -> None:
        kept = min(len(self._turn), keep_ms * self._rate_hz // 1000 * _BYTES)
        if not self._is_flushed or (self._sent > 0 and self._flushes):
            self._send_flush(None)
        self._flushes = deque(None for _ in self._flushes)
        self._turn_began += len(self._turn) - kept
        del self._turn[: len(self._turn) - kept]
        self._sent = 0
        self._is_flushed = True
        self._heard.forget()
        self._report_usage()
        if self._must_renew and not kept and (self._reconnecting is None or self._reconnecting.done()):
            self._reconnect()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._report_usage()
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self._link is not None:
            self._link.close()
        self._give_up(ServiceUnavailable(self._settings.name, "the stream was closed"))
        self.on_closed(self)

    async def connect(self) -> None:
        """Once, before anything else. Raises `ServiceError`."""
        await self._connect()

    # Connections

    async def _connect(self) -> None:
        """A new connection in the place of what is there. Raises `ServiceError`."""
        dialect = self._make_dialect()
        ready = self._is_ready = asyncio.get_running_loop().create_future()
        link: Link | None = None
        early_end: ServiceError | None = None

        def receive(message: WireMessage) -> None:
            for news in dialect.receive(message):
                self._take(news, link)

        def end(error: ServiceError) -> None:
            nonlocal early_end
            early_end = error
            if not ready.done():
                ready.set_exception(error)
                ready.exception()  # whoever waits gets it
            elif link is self._link:
                self._lose(error)

        link = await Link.connect(self._settings.name, dialect, receive, end, tls=self.tls)
        if not dialect.says_ready and not ready.done():
            ready.set_result(None)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await ready
        except TimeoutError as late:
            link.abort()
            raise ServiceLate(self._settings.name, "does not begin to listen") from late
        except BaseException:
            link.abort()
            raise
        if self._is_closed:
            link.close()
            return
        if early_end is not None:  # in the same moment in which it was ready
            raise early_end
        before, self._link, self._dialect = self._link, link, dialect
        self._connected_at = asyncio.get_running_loop().time()
        if before is not None:
            before.close()
        self._must_renew = False
        self._begin_again()

    def _begin_again(self) -> None:
        """The new connection hears the turn from its beginning, and is asked what the old one was asked."""
        waiting = [flush for flush in self._flushes if flush is not None and not flush.done()]
        self._flushes.clear()
        self._heard.begin(self._rate_hz)
        self._sent = 0
        self._is_flushed = not self._turn
        self._pump(all_of_it=bool(waiting))
        for flush in waiting:
            if not flush.done():
                flush.set_result(None)  # `final` asks anew

    def _lose(self, error: ServiceError) -> None:
        self._link = None
        if self._is_closed:
            return
        if asyncio.get_running_loop().time() - self._connected_at > _STEADY_S:
            self._losses = 0
        self._losses += 1
        if not error.retryable or self._losses > len(_RECONNECT_AFTER_S):
            self._give_up(error)
        elif self._reconnecting is None or self._reconnecting.done():
            log.info("stt_connection_lost", service=error.service, detail=error.detail)
            self._reconnect()

    def _reconnect(self) -> None:
        self._reconnecting = asyncio.get_running_loop().create_task(self._try_again())

    async def _try_again(self) -> None:
        error: ServiceError = ServiceUnavailable(self._settings.name, "was lost")
        for wait_s in _RECONNECT_AFTER_S[max(0, self._losses - 1) :]:
            await asyncio.sleep(wait_s)
            try:
                await self._connect()
                return
            except ServiceError as failed:
                error = failed
                if not failed.retryable:
                    break
        if self._link is None:  # otherwise it was only to be renewed
            self._give_up(error)

    def _give_up(self, error: ServiceError) -> None:
        self._lost = self._lost or error
        for flush in self._flushes:
            if flush is not None and not flush.done():
                flush.set_exception(error)
                flush.exception()
        self._flushes.clear()

    # Audio and flushes

    @property
    def _is_settled(self) -> bool:
        return self._is_flushed and self._sent == len(self._turn) and not self._flushes

    def _pump(self, *, all_of_it: bool) -> None:
        """Send what there is in whole chunks, or `all_of_it`; a service that reads slowly gets it later."""
        if self._link is None:
            return
        chunk = self._dialect.chunk_ms * self._rate_hz // 1000 * _BYTES
        while self._sent < len(self._turn) and (all_of_it or not self._link.is_congested):
            piece = bytes(self._turn[self._sent : self._sent + chunk])
            if len(piece) < chunk and not all_of_it:
                return
            self._heard.note_sent(self._turn_began + self._sent, len(piece), self._dialect.added_bytes)
            self._link.send(self._dialect.audio(piece))
            self._sent += len(piece)
            self._unreported_bytes += len(piece)
            self._is_flushed = False

    def _send_flush(self, flush: "asyncio.Future[None] | None") -> None:
        self._flushes.append(flush)
        if flush is None:
            self._heard.drop_until_flushed(time.monotonic() + _STALE_S)
        if self._link is not None:
            self._link.send(self._dialect.flush())

    async def _flush(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._link is None and (self._reconnecting is None or self._reconnecting.done()):
            raise ServiceUnavailable(self._settings.name, "has no connection")
        flush: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._link is None:
            self._flushes.append(flush)
        else:
            self._pump(all_of_it=True)
            self._send_flush(flush)
        try:
            while not flush.done():
                await asyncio.wait((flush,), timeout=_NOTHING_HEARD_S)
                if not flush.done() and self._link is not None and self._may_stay_unanswered:
                    self._is_flushed = True
                    self._flushes.clear()
                    break
            else:
                flush.result()
        finally:
            if not flush.done():
                flush.cancel()

    @property
    def _may_stay_unanswered(self) -> bool:
        return not self._dialect.answers_every_flush and not self._heard.is_open

    def _take(self, news: SttNews, link: Link | None) -> None:
        match news:
            case Ready():
                if self._is_ready is not None and not self._is_ready.done():
                    self._is_ready.set_result(None)
            case Segment() | Hypothesis():
                if link is not None and link is self._link and self._heard.take(news, time.monotonic()):
                    self._on_partial(self._heard.transcript(is_final=False))
            case Flushed():
                if link is not None and link is self._link:
                    self._receive_flushed()
            case Answer(messages):
                if link is not None:
                    link.send(messages)
            case Renew():
                self._must_renew = True
                if not self._turn and (self._reconnecting is None or self._reconnecting.done()):
                    self._reconnect()
            case Failed(error):
                if self._is_ready is not None and not self._is_ready.done():
                    self._is_ready.set_exception(error)
                    self._is_ready.exception()
                elif link is self._link:
                    if link is not None:
                        link.abort()
                    self._lose(error)

    def _receive_flushed(self) -> None:
        if not self._flushes:
            return
        flush = self._flushes.popleft()
        if flush is None:
            self._heard.receive_flushed()
            return
        if not self._flushes:
            self._is_flushed = True
        if not flush.done():
            flush.set_result(None)

    def _report_usage(self) -> None:
        if self.on_usage is not None and self._unreported_bytes:
            self.on_usage(self._unreported_bytes / _BYTES / self._rate_hz)
        self._unreported_bytes = 0


class _Heard:
    """What one connection has said of the present turn."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._hypothesis = Hypothesis("")
        self._drop_until: float | None = None
        self._rate_hz = 16000
        self._connection_bytes = 0
        self._places: list[tuple[int, int]] = [(0, 0)]
        """From that byte of the connection's audio on, it is the stream's from that byte on."""

    @property
    def is_open(self) -> bool:
        """There are words that may still change."""
        return bool(self._hypothesis.text)

    def begin(self, rate_hz: int) -> None:
        """A new connection."""
        self._rate_hz = rate_hz
        self._connection_bytes = 0
        self._places = []
        self._drop_until = None
        self.forget()

    def forget(self) -> None:
        self._segments.clear()
        self._hypothesis = Hypothesis("")

    def drop_until_flushed(self, until: float) -> None:
        """What comes is of a turn that is over, until it is flushed, or until that moment."""
        self._drop_until = until

    def receive_flushed(self) -> None:
        self._drop_until = None

    def note_sent(self, stream_byte: int, length: int, added_bytes: int) -> None:
        """So many bytes from there on are sent next; so many of silence came between what was sent before."""
        at = self._connection_bytes + added_bytes
        if not self._places or self._places[-1][1] + at - self._places[-1][0] != stream_byte:
            self._places.append((at, stream_byte))
        self._connection_bytes += length

    def take(self, news: Segment | Hypothesis, now: float) -> bool:
        """Whether it says something of the present turn."""
        if self._drop_until is not None:
            if now < self._drop_until:
                return False
            self._drop_until = None
        if isinstance(news, Hypothesis):
            self._hypothesis = news
        else:
            self._hypothesis = Hypothesis("")
            if news.text.strip():
                self._segments.append(replace(news, words=tuple(self._placed(word) for word in news.words)))
        return True

    def transcript(self, *, is_final: bool) -> Transcript:
        parts: list[Segment | Hypothesis] = [*self._segments]
        if self._hypothesis.text.strip():
            parts.append(self._hypothesis)
        confidences = [part.confidence for part in parts if part.confidence]
        languages = [segment.language for segment in self._segments if segment.language]
        return Transcript(
            " ".join(part.text.strip() for part in parts),
            is_final,
            float(np.mean(confidences)) if confidences else 0.0,
            languages[-1] if languages else "",
            None if is_final else self._hypothesis.is_stable,
            tuple(word for segment in self._segments for word in segment.words),
        )

    def _placed(self, word: HeardWord) -> HeardWord:
        """In the stream's time, from the connection's."""
        per_ms = self._rate_hz * _BYTES / 1000
        at = word.started_ms * per_ms
        connection_byte, stream_byte = next(
            (place for place in reversed(self._places) if place[0] <= at), self._places[0] if self._places else (0, 0)
        )
        moved_ms = (stream_byte - connection_byte) / per_ms
        return replace(word, started_ms=word.started_ms + moved_ms, ended_ms=word.ended_ms + moved_ms)
