# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's Responses: stateless, the whole conversation each time, nothing stored at the service.

Wire format: OpenAI's API reference (responses, responses-streaming) and its guide to function calling. Each event names
its `type`; `response.completed`, `.incomplete` or `.failed` is the last. A function call has two names: `id`, its place
among the output, and `call_id`, by which its result refers to it. We send no `id` back: with it the service looks for
the reasoning that belongs to it, which it has not stored.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from agent.clients import wire_json
from agent.clients.faults import reported
from agent.clients.hosted_llm import HostedLlm
from agent.clients.llm_dialect import Usage
from agent.clients.messages import settled, system_text
from agent.clients.openai_chat import OPENAI_URL
from agent.clients.pending_calls import PendingCalls
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected
from agent.services.llm import Conversation, Message, ReplyEvent, TextDelta, ToolCall, ToolSpec

log = structlog.get_logger(__name__)


class OpenAiResponses(HostedLlm):
    """Reads `url`, `api_key`, `model`, `temperature`, `max_tokens`, `extra` and what every `HostedLlm` does."""

    def __init__(self, settings: ServiceSettings, *, on_usage: Callable[[Usage], None] | None = None) -> None:
        super().__init__(settings, ResponsesDialect(settings), on_usage=on_usage)


class ResponsesDialect:
    """An `LlmDialect`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._url = (settings.url or OPENAI_URL).rstrip("/")

    def answer_url(self) -> str:
        return f"{self._url}/responses"

    def probe_url(self) -> str:
        return f"{self._url}/models"

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._settings.api_key}"} if self._settings.api_key else {}

    def request_body(self, conversation: Conversation) -> Mapping[str, object]:
        settings, messages = self._settings, settled(conversation)
        body: dict[str, object] = {"model": settings.model}
        if instructions := system_text(messages):
            body["instructions"] = instructions
        if conversation.tools:
            body["tools"] = [_wire_tool(tool) for tool in conversation.tools]
        body["input"] = [item for message in messages for item in _items(message)]
        body |= {"stream": True, "store": False}
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            body["max_output_tokens"] = settings.max_tokens
        return {**body, **settings.extra}

    def answer(self) -> "ResponsesAnswer":
        return ResponsesAnswer(self._settings.name)


class ResponsesAnswer:
    """An `LlmAnswer`."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._calls = PendingCalls()
        self.usage: Usage | None = None
        self.is_complete = self.is_over = False

    def receive(self, event: Mapping[str, object]) -> Sequence[ReplyEvent]:
        """See `LlmAnswer`."""
        match event.get("type"):
            case "response.output_text.delta" | "response.refusal.delta":
                text = wire_json.text(event.get("delta"))
                return [TextDelta(text)] if text else []
            case "response.output_item.added" | "response.output_item.done":
                self._take_item(event)
            case "response.function_call_arguments.delta":
                self._calls.add(_key(event, event.get("item_id")), arguments=event.get("delta"))
            case "response.completed" | "response.incomplete":
                self._take_end(event.get("response"))
            case "response.failed":
                raise reported(self._service, wire_json.member(event, "response"))
            case "error":
                # Its `type` is the event's: what kind of error this is stands in `code`.
                raise reported(self._service, event.get("error") or {"code": event.get("code")})
        return []

    def tool_calls(self) -> list[ToolCall]:
        return self._calls.whole()

    def _take_item(self, event: Mapping[str, object]) -> None:
        """A call begins, with its names, or is over, with its arguments: these count if no piece of them has come."""
        item = event.get("item")
        if not isinstance(item, Mapping) or item.get("type") != "function_call":
            return
        key = _key(event, item.get("id"))
        arguments = None if self._calls.has_arguments(key) else item.get("arguments")
        self._calls.add(key, call_id=item.get("call_id"), name=item.get("name"), arguments=arguments)

    def _take_end(self, response: object) -> None:
        self.is_complete = self.is_over = True
        usage = wire_json.member(response, "usage")
        if isinstance(usage, Mapping):
            self.usage = Usage(
                wire_json.count(usage.get("input_tokens")),
                wire_json.count(usage.get("output_tokens")),
                wire_json.count(wire_json.member(usage, "input_tokens_details", "cached_tokens")),
            )
        match wire_json.member(response, "incomplete_details", "reason"):
            case "content_filter":
                raise ServiceRejected(self._service, "withholds its answer (content_filter)")
            case "max_output_tokens":
                log.warning("answer_cut_short", service=self._service, tool_calls=len(self._calls))


def _key(event: Mapping[str, object], item_id: object) -> int | str:
    """Which part of the output an event is about; llama.cpp's name only the item."""
    index = event.get("output_index")
    return index if isinstance(index, int) else wire_json.text(item_id)


def _items(message: Message) -> Iterator[Mapping[str, object]]:
    match message.role:
        case "system":
            return  # in `instructions`
        case "tool":
            yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        case "assistant":
            if message.text:
                # In the long form: llama.cpp's Responses know no other for what was answered.
                said = [{"type": "output_text", "text": message.text}]
                yield {"type": "message", "role": "assistant", "content": said}
        case "user":
            yield {"role": "user", "content": message.text}
    for call in message.tool_calls:
        arguments = json.dumps(dict(call.arguments))
        yield {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": arguments}


def _wire_tool(tool: ToolSpec) -> Mapping[str, object]:
    """Not `strict`, which is the default there: it takes only schemas in which every property is required."""
    named = {"type": "function", "name": tool.name, "description": tool.description}
    return {**named, "parameters": dict(tool.parameters), "strict": False}
