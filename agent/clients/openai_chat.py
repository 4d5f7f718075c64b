# SPDX-License-Identifier: GPL-3.0-or-later
"""Language models behind OpenAI's chat completions: OpenAI itself, vLLM, Ollama, llama.cpp, Groq and many more.

    Conversation > request_body > POST {url}/chat/completions > EventStream > AnswerReader > ReplyEvent

Wire format: shared by all of them, as OpenAI's API reference has it (chat/streaming). Tool calls come in pieces, told
apart by `index`, and are handed on whole when the answer has ended. Closing the iterator closes the connection, by
which these services notice that nobody wants the rest.
"""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import structlog

from agent.clients.chat_messages import wire_messages, wire_tools
from agent.clients.faults import ConnectionLost, mapped, refusal, reported
from agent.clients.sse import EventStream
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import Conversation, ReplyEvent, TextDelta, ToolCall

log = structlog.get_logger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
_MAX_CONNECTIONS = 512
"""One per answer that is being streamed; more answers than that wait for `pool_s`."""
_KEEP_ALIVE_S = 120.0
_CONNECT_S = 3.0
_POOL_S = 1.0
_WARM_FOR_S = 20.0
"""A connection that was used so lately needs no warming."""
_END_S = 0.1
"""The end of a response comes with `[DONE]`, or not at all."""
_MAX_ERROR_BYTES = 64 << 10
_MAX_TOOL_CALLS = 16
_MAX_ARGUMENT_CHARACTERS = 64 << 10
_MAX_ARGUMENT_DEPTH = 32
_MAX_NAME_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """One `[services.NAME]` of kind `openai`."""

    name: str
    """What errors and metrics call it."""
    model: str
    url: str = OPENAI_URL
    """Without `/chat/completions`."""
    api_key: str = field(default="", repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float = 20.0
    """Without any news from the service, whatever the agent's deadlines say."""
    http2: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra: Mapping[str, object] = field(default_factory=dict)
    """More fields for the request, or others in place of ours."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer cost."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Of the prompt's: the service knew them already."""


class OpenAiChat:
    """A `LanguageModel`, one for all calls and all agents that name the service."""

    def __init__(
        self,
        settings: ChatSettings,
        *,
        on_usage: Callable[[Usage], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._on_usage = on_usage
        self._clock = clock
        self._used_at = -_WARM_FOR_S
        headers = dict(settings.headers)
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            http2=settings.http2,
            limits=httpx.Limits(
                max_connections=_MAX_CONNECTIONS,
                max_keepalive_connections=_MAX_CONNECTIONS,
                keepalive_expiry=_KEEP_ALIVE_S,
            ),
            timeout=httpx.Timeout(settings.timeout_s, connect=_CONNECT_S, pool=_POOL_S),
            trust_env=False,
        )

    async def warm(self) -> None:
        """Have a connection ready; what is wrong with the service is logged, not raised. Cheap when one was used just
        now."""
        now = self._clock()
        if now - self._used_at < _WARM_FOR_S:
            return
        self._used_at = now
        try:
            with mapped(self._settings.name):
                response = await self._client.get(f"{self._settings.url.rstrip('/')}/models")
        except ServiceError as error:
            log.warning("service_not_ready", service=error.service, detail=error.detail)
            return
        if response.status_code in (401, 403):
            log.warning("service_not_ready", service=self._settings.name, detail=f"answers {response.status_code}")

    async def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        """Stream the answer. Raises `ServiceError`."""
        body = request_body(self._settings, conversation)
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
        await self._client.aclose()

    async def _answer(self, body: Mapping[str, object]) -> AsyncGenerator[ReplyEvent, None]:
        name = self._settings.name
        reader = AnswerReader(name)
        stream = EventStream()
        self._used_at = self._clock()
        with mapped(name):
            async with self._client.stream(
                "POST",
                f"{self._settings.url.rstrip('/')}/chat/completions",
                content=_encoded(body),
                headers={"Accept": "text/event-stream", "Content-Type": "application/json"},
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise refusal(name, response.status_code, await _error_body(response))
                if "json" in response.headers.get("content-type", ""):
                    raise ServiceRejected(name, "does not stream")
                received = response.aiter_bytes()
                async for data in received:
                    for event_data in stream.receive_bytes(data):
                        for event in reader.receive_data(event_data):
                            yield event
                    if reader.is_over:
                        await _read_to_end(received)
                        break
                else:
                    reader.receive_end()
        for event in reader.tool_calls():
            yield event
        if reader.usage is not None and self._on_usage is not None:
            self._on_usage(reader.usage)


def request_body(settings: ChatSettings, conversation: Conversation) -> dict[str, object]:
    """The request for an answer. What stays the same from turn to turn comes first: services cache what they have read
    before."""
    body: dict[str, object] = {
        "model": settings.model,
        "messages": wire_messages(conversation),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if conversation.tools:
        body["tools"] = wire_tools(conversation.tools)
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    if settings.max_tokens is not None:
        # OpenAI's newer models refuse the old name; other servers know no other.
        is_openai = urlsplit(settings.url).hostname == "api.openai.com"
        body["max_completion_tokens" if is_openai else "max_tokens"] = settings.max_tokens
    return {**body, **settings.extra}


@dataclass(slots=True)
class _ToolCallPieces:
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class AnswerReader:
    """The events of one answer in, words out, tool calls at its end."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._pieces: dict[int, _ToolCallPieces] = {}
        self._finish_reason: str | None = None
        self.usage: Usage | None = None
        self.is_over = False
        """`[DONE]` was read."""

    def receive_data(self, data: str) -> list[ReplyEvent]:
        """What an event brings. Raises `ServiceError`: the service reports one, withholds its answer, or sends what is
        no answer."""
        if data.strip() in ("", "[DONE]"):
            self.is_over = self.is_over or bool(data)
            return []
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ServiceUnavailable(self._service, "sent something that is no JSON") from error
        if not isinstance(chunk, Mapping):
            raise ServiceUnavailable(self._service, "sent something that is no chunk of an answer")
        if chunk.get("error"):
            raise reported(self._service, chunk)
        self._take_usage(chunk.get("usage"))
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            return []  # the last chunk has the usage and no choice
        choice = choices[0]
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finish_reason = reason
            if reason == "content_filter":
                raise ServiceRejected(self._service, "withholds its answer (content_filter)")
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return []
        self._take_tool_calls(delta.get("tool_calls"))
        texts = (delta.get(key) for key in ("content", "refusal"))
        return [TextDelta(_whole(text)) for text in texts if isinstance(text, str) and text]

    def receive_end(self) -> None:
        """The response has ended without `[DONE]`, as with some servers. Raises `ServiceUnavailable` when the answer
        had not ended either."""
        if self._finish_reason is None:
            raise ServiceUnavailable(self._service, "broke off in the middle of its answer")

    def tool_calls(self) -> list[ToolCall]:
        """What it wants done, once all is read."""
        if self._finish_reason == "length":
            log.warning("answer_cut_short", service=self._service, tool_calls=len(self._pieces))
        calls = []
        for _, pieces in sorted(self._pieces.items()):
            arguments, problem = _arguments(pieces.arguments)
            call_id = pieces.call_id or f"call_{uuid.uuid4().hex}"  # it must be the only one of the conversation
            calls.append(ToolCall(pieces.name, arguments, call_id, problem))
        return calls

    def _take_tool_calls(self, deltas: object) -> None:
        for position, delta in enumerate(deltas if isinstance(deltas, list) else ()):
            if not isinstance(delta, Mapping):
                continue
            index = delta.get("index")
            index = index if isinstance(index, int) else position  # some servers send whole calls without one
            if index not in self._pieces and len(self._pieces) >= _MAX_TOOL_CALLS:
                continue
            pieces = self._pieces.setdefault(index, _ToolCallPieces())
            pieces.call_id = pieces.call_id or _whole(_text(delta.get("id")))[:_MAX_NAME_CHARACTERS]
            function = delta.get("function")
            if isinstance(function, Mapping):
                name = _text(function.get("name"))
                if not pieces.name.endswith(name):  # some repeat it with every piece
                    pieces.name = (pieces.name + _whole(name))[:_MAX_NAME_CHARACTERS]
                room = _MAX_ARGUMENT_CHARACTERS - len(pieces.arguments)
                pieces.arguments += _text(function.get("arguments"))[:room]

    def _take_usage(self, usage: object) -> None:
        if not isinstance(usage, Mapping):
            return
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, Mapping) else 0
        self.usage = Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached))


def _arguments(text: str) -> tuple[Mapping[str, object], str]:
    """The arguments, and what is wrong with them."""
    if not text.strip():
        return {}, ""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return {}, "the arguments are no JSON"
    if not isinstance(found, dict):
        return {}, "the arguments are no JSON object"
    if _is_deep(found, _MAX_ARGUMENT_DEPTH):
        return {}, "the arguments are nested too deeply"
    arguments: dict[str, object] = json.loads(_encoded(found))
    return arguments, ""


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON, although Python takes it")


def _is_deep(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return not depth or any(_is_deep(one, depth - 1) for one in (value.values() if isinstance(value, dict) else value))


def _encoded(value: object) -> bytes:
    """As JSON. Half a character (a lone surrogate, which JSON can bring in) cannot be encoded: it becomes "?"."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(text: str) -> str:
    """Without half characters: no file, no database and no other service takes those."""
    return text.encode("utf-8", "replace").decode()


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


async def _read_to_end(received: AsyncIterator[bytes]) -> None:
    """Only a connection that was read to its end can be used again; one whose end does not come is given up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            async for _ in received:
                pass


async def _error_body(response: httpx.Response) -> object:
    """What an error response says, as far as it is JSON of a sane size."""
    body = bytearray()
    async for data in response.aiter_bytes():
        body += data
        if len(body) > _MAX_ERROR_BYTES:
            return None
    try:
        return json.loads(body)
    except ValueError:
        return None
