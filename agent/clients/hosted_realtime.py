# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech to speech by a service: the part that is the same for all vendors, around their dialects.

    push > chunks at the service's rate > Link > service
    service > Link > RealtimeDialect.receive > news

Services end connections (after ten minutes, say). Then a second one is opened beside the first, with the service's
token or with what was said so far, and takes over between two answers: nobody hears that. One that is lost is replaced
in the same way; the caller's audio of that time is kept.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.clients.link import Link
from agent.clients.realtime_dialect import (
    DialectNews,
    RealtimeDialect,
    Resumption,
    SendBack,
    SpokenMessage,
    TalkEnding,
    TalkFailed,
    TalkReady,
)
from agent.clients.settings import ServiceSettings
from agent.clients.trust import own_tls_context
from agent.errors import ServiceError, ServiceLate, ServiceUnavailable
from agent.services.realtime import (
    AnswerBegun,
    AnswerEnded,
    AnswerWords,
    CallerSaid,
    TalkLost,
    TalkNews,
    TalkOrder,
)
from agent.websocket import WireMessage
from media.frames import PcmSamples
from media.resample import StreamResampler

log = structlog.get_logger(__name__)

_BYTES = 2
_MAX_UNANSWERED_S = 10.0
"""Of the caller's audio, kept until it is answered: the next connection hears it from its beginning. Drops oldest."""
_MAX_MESSAGES = 40
"""Of what was said, to go on with; drops oldest."""
_RECONNECT_AFTER_S = (0.0, 0.3, 1.0)
_TAKE_OVER_S = 5.0
"""An answer that lasts longer than this is not waited for, when the service has said that it will close."""


@dataclass(frozen=True, slots=True)
class Talking:
    """What a connection is opened for."""

    order: TalkOrder
    handle: str = ""
    """The service's token of the connection before."""
    said: tuple[SpokenMessage, ...] = ()
    """So far; empty when there is a handle."""


MakeRealtimeDialect = Callable[[ServiceSettings, Talking], RealtimeDialect]


class HostedRealtime:
    """A `SpeechToSpeech`, one for all calls."""

    def __init__(
        self, settings: ServiceSettings, make_dialect: MakeRealtimeDialect, *, resumes_by_handle: bool = False
    ) -> None:
        """`resumes_by_handle`: the service remembers; otherwise it is told what was said."""
        self._settings = settings
        self._make_dialect = make_dialect
        self._resumes_by_handle = resumes_by_handle
        self._tls = own_tls_context(settings)
        self._streams: set[HostedTalk] = set()

    async def warm(self) -> None:
        """Nothing: a conversation is opened before its call is answered."""

    async def open(self, order: TalkOrder, on_news: Callable[[TalkNews], None]) -> "HostedTalk":
        stream = HostedTalk(self._settings, self._make_dialect, order, on_news, self._resumes_by_handle)
        stream.tls, stream.on_closed = self._tls, self._streams.discard
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


class HostedTalk:
    """One caller's conversation (`TalkStream`)."""

    def __init__(
        self,
        settings: ServiceSettings,
        make_dialect: MakeRealtimeDialect,
        order: TalkOrder,
        on_news: Callable[[TalkNews], None],
        resumes_by_handle: bool,
    ) -> None:
        self._settings = settings
        self._make_dialect = make_dialect
        self._order = order
        self._on_news = on_news
        self._resumes_by_handle = resumes_by_handle
        self.tls: ssl.SSLContext | None = None
        """Whom to trust, if not the system's authorities."""
        self.on_closed: Callable[[HostedTalk], None] = lambda _: None
        self._link: Link | None = None
        self._dialect = make_dialect(settings, Talking(order))
        self._resampler = StreamResampler(order.sample_rate_hz, self._dialect.input_rate_hz)
        self._unanswered = bytearray()
        """The caller's audio since the last answer began."""
        self._sent = 0
        """So much of it went to the present connection."""
        self._handle = ""
        self._said: list[SpokenMessage] = []
        self._answer = ""
        """The words of the one that comes."""
        self._answer_id: str | None = None
        self._answer_over = asyncio.Event()
        self._answer_over.set()
        self._renewing: asyncio.Task[None] | None = None
        self._aging: asyncio.TimerHandle | None = None
        self._is_closed = False

    # TalkStream

    def push(self, samples: PcmSamples) -> None:
        self._unanswered += self._resampler.process(samples).astype("<i2", copy=False).tobytes()
        excess = len(self._unanswered) - round(_MAX_UNANSWERED_S * self._dialect.input_rate_hz) * _BYTES
        if excess > 0:
            del self._unanswered[:excess]
            self._sent = max(0, self._sent - excess)
        self._pump()

    def say(self, text: str) -> None:
        if self._link is not None:
            self._link.send(self._dialect.say(text))

    def tell(self, text: str) -> None:
        self._note(SpokenMessage(True, text))
        if self._link is not None:
            self._link.send(self._dialect.tell(text))

    def heard(self, answer_id: str, played_ms: int) -> None:
        if self._link is not None:
            self._link.send(self._dialect.heard(answer_id, played_ms))
        if answer_id == self._answer_id:
            self._end_answer()

    def tool_result(self, call_id: str, name: str, text: str) -> None:
        if self._link is not None:
            self._link.send(self._dialect.tool_result(call_id, name, text))

    def audio_changed(self, sample_rate_hz: int) -> None:
        if sample_rate_hz != self._resampler.from_hz:
            self._resampler = StreamResampler(sample_rate_hz, self._dialect.input_rate_hz)

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._renewing is not None:
            self._renewing.cancel()
        if self._aging is not None:
            self._aging.cancel()
        if self._link is not None:
            self._link.close()
        self.on_closed(self)

    async def connect(self) -> None:
        """Once, before anything else. Raises `ServiceError`."""
        link, dialect = await self._connected()
        self._take_over(link, dialect)
        if self._order.opening.strip():
            self.say(self._order.opening)

    # Connections

    def _pump(self) -> None:
        """Send what there is in whole chunks; a service that reads slowly gets it later."""
        chunk = self._dialect.chunk_ms * self._dialect.input_rate_hz // 1000 * _BYTES
        while self._link is not None and not self._link.is_congested and len(self._unanswered) - self._sent >= chunk:
            self._link.send(self._dialect.audio(bytes(self._unanswered[self._sent : self._sent + chunk])))
            self._sent += chunk

    async def _connected(self) -> tuple[Link, RealtimeDialect]:
        """Another connection, which listens. Raises `ServiceError`."""
        if self._resumes_by_handle:
            talking = Talking(self._order, self._handle)
        else:
            talking = Talking(self._order, said=tuple(self._said))
        dialect = self._make_dialect(self._settings, talking)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        link: Link | None = None

        def receive(message: WireMessage) -> None:
            for news in dialect.receive(message):
                match news:
                    case TalkReady():
                        if not ready.done():
                            ready.set_result(None)
                    case TalkFailed(error):
                        if link is not None:
                            link.abort()
                        end(error)
                    case Resumption(handle):  # it may come before this connection takes over
                        self._handle = handle
                    case _ if link is not None and link is self._link:
                        self._take(news)

        def end(error: ServiceError) -> None:
            if not ready.done():
                ready.set_exception(error)
                ready.exception()  # whoever waits gets it
            elif link is not None and link is self._link:
                self._lose(error)

        link = await Link.connect(self._settings.name, dialect, receive, end, tls=self.tls)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await ready
        except TimeoutError as late:
            link.abort()
            raise ServiceLate(self._settings.name, "does not begin to listen") from late
        except BaseException:
            link.abort()
            raise
        return link, dialect

    def _take_over(self, link: Link, dialect: RealtimeDialect) -> None:
        before, self._link, self._dialect = self._link, link, dialect
        link.on_room = self._pump
        if self._aging is not None:
            self._aging.cancel()
        self._aging = asyncio.get_running_loop().call_later(dialect.max_age_s, self._begin_renewal)
        if before is not None:
            before.close()
        if self._answer_id is not None:  # the rest of it does not come any more
            answer_id = self._answer_id
            self._end_answer()
            self._on_news(AnswerEnded(answer_id))
        self._sent = 0
        self._pump()

    def _lose(self, error: ServiceError) -> None:
        self._link = None
        if self._is_closed:
            return
        if not error.retryable:
            self._on_news(TalkLost(error))
            return
        log.info("talk_connection_lost", service=error.service, detail=error.detail)
        if self._renewing is not None:
            self._renewing.cancel()
        self._renewing = asyncio.get_running_loop().create_task(self._replace())

    def _begin_renewal(self) -> None:
        if not self._is_closed and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.get_running_loop().create_task(self._renew())

    async def _replace(self) -> None:
        error: ServiceError = ServiceUnavailable(self._settings.name, "was lost")
        for wait_s in _RECONNECT_AFTER_S:
            await asyncio.sleep(wait_s)
            try:
                link, dialect = await self._connected()
            except ServiceError as failed:
                error = failed
                if not failed.retryable:
                    break
            else:
                self._take_over(link, dialect)
                return
        self._on_news(TalkLost(error))

    async def _renew(self) -> None:
        """The service will close this connection: the next one takes over between two answers."""
        try:
            link, dialect = await self._connected()
        except ServiceError as failed:  # there is still the one we have; its end will be noticed
            log.warning("talk_not_renewed", service=failed.service, detail=failed.detail)
            return
        try:
            async with asyncio.timeout(_TAKE_OVER_S):
                await self._answer_over.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            link.abort()
            raise
        self._take_over(link, dialect)

    # News

    def _take(self, news: DialectNews) -> None:
        match news:
            case TalkReady() | TalkFailed() | Resumption():
                return
            case TalkEnding():
                self._begin_renewal()
                return
            case SendBack(messages):
                if self._link is not None:
                    self._link.send(messages)
                return
            case AnswerBegun(answer_id):
                self._answer_id, self._answer = answer_id, ""
                self._answer_over.clear()
                del self._unanswered[: self._sent]
                self._sent = 0
            case AnswerWords(_, text):
                self._answer += text
            case AnswerEnded():
                self._end_answer()
            case CallerSaid(text):
                self._note(SpokenMessage(True, text))
            case _:
                pass
        self._on_news(news)

    def _end_answer(self) -> None:
        if self._answer.strip():
            self._note(SpokenMessage(False, self._answer.strip()))
        self._answer_id, self._answer = None, ""
        self._answer_over.set()

    def _note(self, message: SpokenMessage) -> None:
        self._said.append(message)
        del self._said[:-_MAX_MESSAGES]
