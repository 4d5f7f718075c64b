# SPDX-License-Identifier: GPL-3.0-or-later
"""Language models over HTTP, whatever their dialect: connections kept and warmed, answers streamed, faults mapped.

Closing the iterator closes the connection, by which these services notice that nobody wants the rest.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

import httpx

from agent.clients import wire_json
from agent.clients.faults import ConnectionLost, error_body, mapped, refusal
from agent.clients.http_pool import HttpPool
from agent.clients.llm_dialect import LlmAnswer, LlmDialect, Usage
from agent.clients.settings import ServiceSettings
from agent.clients.sse import EventStream
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.llm import Conversation, ReplyEvent

_HEADERS = {"Accept": "text/event-stream", "Content-Type": "application/json"}
_END_S = 0.1
"""The end of a response comes with the end of the answer, or not at all."""


class HostedLlm:
    """A `LanguageModel`, one for all calls and all agents that name the service."""

    def __init__(
        self,
        settings: ServiceSettings,
        dialect: LlmDialect,
        *,
        on_usage: Callable[[Usage], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of the settings this reads `name`, `timeout_s`, `http2`, `headers` and `ca_file`, the dialect the rest.
        Raises `ServiceRejected`: that file cannot be used."""
        self._name = settings.name
        self._dialect = dialect
        self._on_usage = on_usage
        self._pool = HttpPool(settings, dialect.probe_url(), dialect.headers(), clock=clock)

    async def warm(self) -> None:
        """Have a connection ready; what is wrong with the service is logged, not raised. Cheap when one was used just
        now."""
        await self._pool.warm()

    async def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        """Stream the answer. Raises `ServiceError`."""
        body = wire_json.encoded(self._dialect.request_body(conversation))
        has_begun = False
        try:
            async with aclosing(self._answer(body)) as events:
                async for event in events:
                    has_begun = True
                    yield event
            return
        except ConnectionLost:
            # Servers close connections that were idle just when we use them again; a second one will be new.
            if has_begun:
                raise
        async with aclosing(self._answer(body)) as events:
            async for event in events:
                yield event

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _answer(self, body: bytes) -> AsyncGenerator[ReplyEvent, None]:
        answer = self._dialect.answer()
        stream = EventStream()
        with mapped(self._name):
            async with self._pool.post(self._dialect.answer_url(), body, _HEADERS) as response:
                if response.status_code != httpx.codes.OK:
                    raise refusal(self._name, response.status_code, await error_body(response), response.headers)
                if "json" in response.headers.get("content-type", ""):
                    raise ServiceRejected(self._name, "does not stream")
                received = response.aiter_bytes()
                async with aclosing(_until_lost(received, lambda: answer.is_complete)) as pieces:
                    async for data in pieces:
                        for text in stream.receive_bytes(data):
                            for event in self._told(answer, text):
                                yield event
                        if answer.is_over:
                            await _read_to_end(received)
                            break
        if not answer.is_complete:
            raise ServiceUnavailable(self._name, "broke off in the middle of its answer")
        for call in answer.tool_calls():
            yield call
        if answer.usage is not None and self._on_usage is not None:
            self._on_usage(answer.usage)

    def _told(self, answer: LlmAnswer, text: str) -> Sequence[ReplyEvent]:
        match text.strip():
            case "":
                return ()
            case "[DONE]":
                answer.is_complete = answer.is_over = True
                return ()
            case data:
                return answer.receive(wire_json.decoded(data, self._name))


async def _until_lost(received: AsyncIterator[bytes], is_complete: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
    """The same; a connection that is lost behind a complete answer is its end."""
    try:
        async for data in received:
            yield data
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        if not is_complete():
            raise


async def _read_to_end(received: AsyncIterator[bytes]) -> None:
    """Only a connection that was read to its end can be used again; one whose end does not come is given up."""
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_END_S):
            async for _ in received:
                pass
