# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation with a speech-to-speech service that is opened, and greets, while the call still rings."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from agent.errors import ServiceError
from agent.services.realtime import SpeechToSpeech, TalkLost, TalkNews, TalkOrder, TalkStream

log = structlog.get_logger(__name__)

_MAX_NEWS = 4000
"""More than any greeting is. A conversation with more to tell is not taken."""


class EarlyTalk:
    """One call's `SpeechToSpeech`: who opens a conversation of the same order gets the one that is there already, with
    all that the service has said in it."""

    def __init__(self, service: SpeechToSpeech, order: TalkOrder) -> None:
        self._service = service
        self._order = order
        self._news: list[TalkNews] = []
        self._on_news: Callable[[TalkNews], None] | None = None
        """Whoever took it, once he has what came before."""
        self._is_lost = False
        self._is_taken = False
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[TalkStream | None] = loop.create_future()
        self._settled = asyncio.Event()
        """Somebody took it, or another one."""

    async def hold(self, until_over: Callable[[], Awaitable[object]]) -> None:
        """Open; close it again when it is known that nobody takes it, which is when the call is over at the latest.
        Raises nothing."""
        stream: TalkStream | None = None
        waiting: list[asyncio.Future[object]] = []
        try:
            stream = await self._service.open(self._order, self._receive)
            self._opened.set_result(stream)
            waiting = [asyncio.ensure_future(until_over()), asyncio.ensure_future(self._until_settled())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except ServiceError as error:
            log.info("talk_not_opened_early", service=error.service, detail=error.detail)
        except Exception as error:  # of a client: this is only ahead of the time, whoever needs it opens another one
            log.warning("talk_not_opened_early", cause=type(error).__name__)
        finally:
            for one in waiting:
                one.cancel()
            if not self._opened.done():
                self._opened.set_result(None)
            if stream is not None and not self._is_taken:
                self._is_taken = True
                await stream.aclose()

    async def open(self, order: TalkOrder, on_news: Callable[[TalkNews], None]) -> TalkStream:
        if order == self._order:
            stream = await asyncio.shield(self._opened)
            if stream is not None and not self._is_taken and not self._is_lost:
                self._is_taken = True
                self._settled.set()
                asyncio.get_running_loop().call_soon(self._hand_over, on_news)  # he has the stream by then
                return stream
        self._settled.set()
        return await self._service.open(order, on_news)

    async def warm(self) -> None:
        """Nothing: `hold` does it."""

    async def aclose(self) -> None:
        """Nothing to do: the service belongs to whoever made it, the conversation to `hold` or to whoever took it."""

    async def _until_settled(self) -> object:
        return await self._settled.wait()

    def _hand_over(self, on_news: Callable[[TalkNews], None]) -> None:
        self._on_news = on_news
        news, self._news = self._news, []
        for one in news:
            on_news(one)

    def _receive(self, news: TalkNews) -> None:
        if self._on_news is not None:
            self._on_news(news)
            return
        self._news.append(news)
        if not self._is_taken and (isinstance(news, TalkLost) or len(self._news) > _MAX_NEWS):
            self._is_lost = True
            self._news.clear()
