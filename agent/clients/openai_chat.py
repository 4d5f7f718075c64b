# SPDX-License-Identifier: GPL-3.0-or-later
"""Language models behind OpenAI's chat completions: OpenAI itself, vLLM, Ollama, llama.cpp, Groq and many more.

Wire format: shared by all of them, as OpenAI's API reference has it (chat/streaming). Tool calls come in pieces, told
apart by `index`. The last chunk has the usage and no choice; `[DONE]` ends the stream, with some servers its end alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import structlog

from agent.clients import wire_json
from agent.clients.faults import reported
from agent.clients.hosted_llm import HostedLlm
from agent.clients.llm_dialect import Usage
from agent.clients.messages import settled
from agent.clients.pending_calls import PendingCalls, signature_of
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected
from agent.services.llm import Conversation, Message, ReplyEvent, TextDelta, ToolCall, ToolSpec

__all__ = ["OPENAI_URL", "ChatDialect", "OpenAiChat", "Usage"]

log = structlog.get_logger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
_SIGNER = "chat"
"""Gemini behind chat completions signs its calls, and wants to see that again (ai.google.dev, thought signatures)."""


class OpenAiChat(HostedLlm):
    """Reads `url`, `api_key`, `model`, `temperature`, `max_tokens`, `extra` and what every `HostedLlm` does."""

    def __init__(self, settings: ServiceSettings, *, on_usage: Callable[[Usage], None] | None = None) -> None:
        super().__init__(settings, ChatDialect(settings), on_usage=on_usage)


class ChatDialect:
    """An `LlmDialect`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._url = (settings.url or OPENAI_URL).rstrip("/")

    def answer_url(self) -> str:
        return f"{self._url}/chat/completions"

    def probe_url(self) -> str:
        return f"{self._url}/models"

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._settings.api_key}"} if self._settings.api_key else {}

    def request_body(self, conversation: Conversation) -> Mapping[str, object]:
        settings = self._settings
        body: dict[str, object] = {
            "model": settings.model,
            "messages": [_wire_message(message) for message in settled(conversation)],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if conversation.tools:
            body["tools"] = [_wire_tool(tool) for tool in conversation.tools]
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            # OpenAI's newer models refuse the old name; other servers know no other.
            is_openai = urlsplit(self._url).hostname == "api.openai.com"
            body["max_completion_tokens" if is_openai else "max_tokens"] = settings.max_tokens
        return {**body, **settings.extra}

    def answer(self) -> "ChatAnswer":
        return ChatAnswer(self._settings.name)


class ChatAnswer:
    """An `LlmAnswer`."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._calls = PendingCalls(_SIGNER)
        self._finish_reason: str | None = None
        self.usage: Usage | None = None
        self.is_complete = self.is_over = False

    def receive(self, event: Mapping[str, object]) -> Sequence[ReplyEvent]:
        """See `LlmAnswer`."""
        if event.get("error"):
            raise reported(self._service, event)
        self._take_usage(event.get("usage"))
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(reason := wire_json.member(choice, "finish_reason"), str):
            self._finish_reason = reason
            self.is_complete = True
            if reason == "content_filter":
                raise ServiceRejected(self._service, "withholds its answer (content_filter)")
        delta = wire_json.member(choice, "delta")
        self._take_tool_calls(wire_json.member(delta, "tool_calls"))
        texts = (wire_json.text(wire_json.member(delta, key)) for key in ("content", "refusal"))
        return [TextDelta(text) for text in texts if text]

    def tool_calls(self) -> list[ToolCall]:
        if self._finish_reason == "length":
            log.warning("answer_cut_short", service=self._service, tool_calls=len(self._calls))
        return self._calls.whole()

    def _take_tool_calls(self, deltas: object) -> None:
        for position, delta in enumerate(deltas if isinstance(deltas, list) else ()):
            if not isinstance(delta, Mapping):
                continue
            index = delta.get("index")
            self._calls.add(
                index if isinstance(index, int) else position,  # some servers send whole calls without one
                call_id=delta.get("id"),
                name=wire_json.member(delta, "function", "name"),
                arguments=wire_json.member(delta, "function", "arguments"),
                signature=wire_json.member(delta, "extra_content", "google", "thought_signature"),
            )

    def _take_usage(self, usage: object) -> None:
        if isinstance(usage, Mapping):
            self.usage = Usage(
                wire_json.count(usage.get("prompt_tokens")),
                wire_json.count(usage.get("completion_tokens")),
                wire_json.count(wire_json.member(usage, "prompt_tokens_details", "cached_tokens")),
            )


def _wire_message(message: Message) -> Mapping[str, object]:
    match message.role:
        case "tool":
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
        case "assistant" if message.tool_calls:
            calls = [_wire_call(call) for call in message.tool_calls]
            return {"role": "assistant", "content": message.text or None, "tool_calls": calls}
        case _:
            return {"role": message.role, "content": message.text}


def _wire_call(call: ToolCall) -> Mapping[str, object]:
    function = {"name": call.name, "arguments": json.dumps(dict(call.arguments))}
    wire: dict[str, object] = {"id": call.call_id, "type": "function", "function": function}
    if signature := signature_of(call, _SIGNER):
        wire["extra_content"] = {"google": {"thought_signature": signature}}
    return wire


def _wire_tool(tool: ToolSpec) -> Mapping[str, object]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}
