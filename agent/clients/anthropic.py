# SPDX-License-Identifier: GPL-3.0-or-later
"""Anthropic's messages.

Wire format: its API reference (messages, streaming messages, tool use, prompt caching), version 2023-06-01. The system
prompt stands apart; the two sides take turns, the caller's first and last; a tool's result is a part of the caller's
turn, in front. The answer comes in blocks, each of them a text or a tool call whose arguments come in pieces;
`message_stop` ends it, `ping` may come at any time. Nothing is cached unless we mark how far.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import structlog

from agent.clients import wire_json
from agent.clients.faults import reported
from agent.clients.hosted_llm import HostedLlm
from agent.clients.llm_dialect import Usage
from agent.clients.messages import Turn, alternating, settled, split_notes, system_text
from agent.clients.pending_calls import PendingCalls
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected
from agent.services.llm import Conversation, Message, ReplyEvent, TextDelta, ToolCall, ToolSpec

log = structlog.get_logger(__name__)

ANTHROPIC_URL = "https://api.anthropic.com/v1"
_VERSION = "2023-06-01"
_MAX_TOKENS = 1024
"""The service insists on a limit; no answer on the telephone is as long as this."""
_CACHED_UP_TO_HERE = {"cache_control": {"type": "ephemeral"}}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")

_Block = Mapping[str, object]


class AnthropicMessages(HostedLlm):
    """Reads `url`, `api_key`, `model`, `temperature`, `max_tokens`, `extra` and what every `HostedLlm` does."""

    def __init__(self, settings: ServiceSettings, *, on_usage: Callable[[Usage], None] | None = None) -> None:
        super().__init__(settings, MessagesDialect(settings), on_usage=on_usage)


class MessagesDialect:
    """An `LlmDialect`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._url = (settings.url or ANTHROPIC_URL).rstrip("/")

    def answer_url(self) -> str:
        return f"{self._url}/messages"

    def probe_url(self) -> str:
        return f"{self._url}/models?limit=1"

    def headers(self) -> Mapping[str, str]:
        key = {"x-api-key": self._settings.api_key} if self._settings.api_key else {}
        return {"anthropic-version": _VERSION, **key}

    def request_body(self, conversation: Conversation) -> Mapping[str, object]:
        """Two marks for the cache: behind tools and system prompt, which are the same in every call, and behind what
        was said last, which is there in the next turn of this one."""
        settings, messages = self._settings, settled(conversation)
        system = system_text(messages)
        tools = [_wire_tool(tool) for tool in conversation.tools]
        body: dict[str, object] = {"model": settings.model, "max_tokens": settings.max_tokens or _MAX_TOKENS}
        if tools:
            body["tools"] = tools if system else [*tools[:-1], {**tools[-1], **_CACHED_UP_TO_HERE}]
        if system:
            body["system"] = [{"type": "text", "text": system, **_CACHED_UP_TO_HERE}]
        turns = alternating(messages)
        body["messages"] = [_wire_turn(turn, is_last=turn is turns[-1]) for turn in turns]
        body["stream"] = True
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        return {**body, **settings.extra}

    def answer(self) -> "MessagesAnswer":
        return MessagesAnswer(self._settings.name)


class MessagesAnswer:
    """An `LlmAnswer`."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._calls = PendingCalls()
        self.usage: Usage | None = None
        self.is_complete = self.is_over = False

    def receive(self, event: Mapping[str, object]) -> Sequence[ReplyEvent]:
        """See `LlmAnswer`. Blocks of other types (what was thought) are left aside."""
        match event.get("type"):
            case "content_block_start":
                block = event.get("content_block")
                if wire_json.member(block, "type") == "tool_use":
                    name, call_id = wire_json.member(block, "name"), wire_json.member(block, "id")
                    self._calls.add(_key(event), call_id=call_id, name=name)
                return _words(wire_json.member(block, "text"))
            case "content_block_delta":
                if wire_json.member(event, "delta", "type") == "input_json_delta":
                    self._calls.add(_key(event), arguments=wire_json.member(event, "delta", "partial_json"))
                return _words(wire_json.member(event, "delta", "text"))
            case "message_start":
                self._take_usage(wire_json.member(event, "message", "usage"))
            case "message_delta":
                self._take_usage(event.get("usage"))
                self._take_reason(wire_json.member(event, "delta", "stop_reason"))
            case "message_stop":
                self.is_complete = self.is_over = True
            case "error":
                raise reported(self._service, {"error": event.get("error")})
        return []

    def tool_calls(self) -> list[ToolCall]:
        return self._calls.whole()

    def _take_reason(self, reason: object) -> None:
        if reason == "refusal":
            raise ServiceRejected(self._service, "withholds its answer (refusal)")
        if reason in ("max_tokens", "model_context_window_exceeded"):
            log.warning("answer_cut_short", service=self._service, tool_calls=len(self._calls))

    def _take_usage(self, usage: object) -> None:
        """What was read is told at the beginning, in parts; what was written grows."""
        if not isinstance(usage, Mapping):
            return
        before = self.usage or Usage(0, 0, 0)
        cached = wire_json.count(usage.get("cache_read_input_tokens"))
        new = wire_json.count(usage.get("input_tokens")) + wire_json.count(usage.get("cache_creation_input_tokens"))
        written = wire_json.count(usage.get("output_tokens"))
        self.usage = Usage(
            max(before.prompt_tokens, new + cached),
            max(before.completion_tokens, written),
            max(before.cached_tokens, cached),
        )


def _words(text: object) -> list[ReplyEvent]:
    said = wire_json.text(text)
    return [TextDelta(said)] if said else []


def _key(event: Mapping[str, object]) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0


def _wire_turn(turn: Turn, *, is_last: bool) -> Mapping[str, object]:
    if turn.is_ours:
        content = [block for message in turn.messages for block in _said(message)]
        return {"role": "assistant", "content": content}
    # Results first, or the service answers 400.
    results = [_result(message) for message in turn.messages if message.role == "tool"]
    blocks: list[_Block] = [*results]
    notes: list[_Block] = []
    for message in turn.messages:
        if message.role != "tool":
            said, noted = split_notes(message.text)
            blocks += _text(said)
            notes += _text(noted)
    if is_last and blocks:
        blocks[-1] = {**blocks[-1], **_CACHED_UP_TO_HERE}
    return {"role": "user", "content": [*blocks, *notes]}


def _said(message: Message) -> list[_Block]:
    calls = [
        {"type": "tool_use", "id": _id(call.call_id), "name": call.name, "input": dict(call.arguments)}
        for call in message.tool_calls
    ]
    return [*_text(message.text), *calls]


def _result(message: Message) -> _Block:
    return {"type": "tool_result", "tool_use_id": _id(message.tool_call_id), "content": message.text}


def _text(text: str) -> list[_Block]:
    """Nothing for text that is only spaces, which the service does not take."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _id(call_id: str) -> str:
    """Calls of another service, that answered before this one, may have names that are none here."""
    return _NOT_IN_IDS.sub("_", call_id)


def _wire_tool(tool: ToolSpec) -> dict[str, object]:
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
