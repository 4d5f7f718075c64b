# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's Gemini over streamGenerateContent.

Wire format: ai.google.dev/api/generate-content, and its guides to function calling and thought signatures. Each event
is a whole response with some more parts of the content; function calls come whole, with an id or without. Nothing ends
the stream but its end, after a `finishReason`.

Gemini 3 signs what it thought before it called a function, and answers 400 when the signature does not come back with
the call. Of several calls at once the first has it for all.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import structlog

from agent.clients import wire_json
from agent.clients.faults import reported
from agent.clients.hosted_llm import HostedLlm
from agent.clients.llm_dialect import Usage
from agent.clients.messages import Turn, alternating, settled, system_text
from agent.clients.pending_calls import PendingCalls, is_made_up, signature_of
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.llm import Conversation, Message, ReplyEvent, TextDelta, ToolCall, ToolSpec

log = structlog.get_logger(__name__)

GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta"
_SIGNER = "gemini"
_UNSIGNED = "skip_thought_signature_validator"
"""In place of the signature for calls that another model has made (guide to thought signatures, FAQ)."""
_SIGNS_NOTHING = re.compile(r"(?:models/)?gemini-[12]\.")
_UNFINISHED = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "MALFORMED_RESPONSE"})
"""Ends of an answer that went wrong: the same question may be answered the next time."""
_FINISHED = frozenset({"STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED"})
"""What is in neither set, is a reason why the answer is withheld: `SAFETY` and its like."""

_Part = Mapping[str, object]


class GeminiLlm(HostedLlm):
    """Reads `url`, `api_key`, `model`, `temperature`, `max_tokens`, `extra` (its `generationConfig` is put into ours)
    and what every `HostedLlm` does."""

    def __init__(self, settings: ServiceSettings, *, on_usage: Callable[[Usage], None] | None = None) -> None:
        super().__init__(settings, GeminiDialect(settings), on_usage=on_usage)


class GeminiDialect:
    """An `LlmDialect`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._url = (settings.url or GEMINI_URL).rstrip("/")
        self._model = settings.model if "/" in settings.model else f"models/{settings.model}"

    def answer_url(self) -> str:
        return f"{self._url}/{self._model}:streamGenerateContent?alt=sse"

    def probe_url(self) -> str:
        return f"{self._url}/{self._model}"

    def headers(self) -> Mapping[str, str]:
        return {"x-goog-api-key": self._settings.api_key} if self._settings.api_key else {}

    def request_body(self, conversation: Conversation) -> Mapping[str, object]:
        settings, messages = self._settings, settled(conversation)
        body: dict[str, object] = {}
        if system := system_text(messages):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if conversation.tools:
            body["tools"] = [{"functionDeclarations": [_wire_tool(tool) for tool in conversation.tools]}]
        names = {call.call_id: call.name for message in messages for call in message.tool_calls}
        needs_signature = _SIGNS_NOTHING.match(settings.model) is None
        turns = _together(alternating(messages))
        body["contents"] = [_wire_turn(turn, names, needs_signature=needs_signature) for turn in turns]
        generation: dict[str, object] = {}
        if settings.temperature is not None:
            generation["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            generation["maxOutputTokens"] = settings.max_tokens
        theirs = settings.extra.get("generationConfig")
        generation |= theirs if isinstance(theirs, Mapping) else {}
        return {**body, **settings.extra, **({"generationConfig": generation} if generation else {})}

    def answer(self) -> "GeminiAnswer":
        return GeminiAnswer(self._settings.name)


class GeminiAnswer:
    """An `LlmAnswer`. Its end is that of the response: there may be more parts behind a `finishReason`."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._calls = PendingCalls(_SIGNER)
        self._numbers = count()
        self._finish_reason: str | None = None
        self.usage: Usage | None = None
        self.is_complete = self.is_over = False

    def receive(self, event: Mapping[str, object]) -> Sequence[ReplyEvent]:
        """See `LlmAnswer`."""
        if event.get("error"):
            raise reported(self._service, event)
        self._take_usage(event.get("usageMetadata"))
        if blocked := wire_json.member(event, "promptFeedback", "blockReason"):
            raise ServiceRejected(self._service, f"withholds its answer ({_reason(blocked)})")
        candidates = event.get("candidates")
        candidate = candidates[0] if isinstance(candidates, list) and candidates else None
        said: list[ReplyEvent] = []
        parts = wire_json.member(candidate, "content", "parts")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, Mapping) and not part.get("thought"):
                self._take_call(part)
                if text := wire_json.text(part.get("text")):
                    said.append(TextDelta(text))
        self._take_reason(wire_json.member(candidate, "finishReason"))
        return said

    def tool_calls(self) -> list[ToolCall]:
        if self._finish_reason == "MAX_TOKENS":
            log.warning("answer_cut_short", service=self._service, tool_calls=len(self._calls))
        return self._calls.whole()

    def _take_call(self, part: _Part) -> None:
        call = part.get("functionCall")
        if not isinstance(call, Mapping):
            return
        arguments = call.get("args")
        self._calls.add(
            next(self._numbers),
            call_id=call.get("id"),
            name=call.get("name"),
            arguments=wire_json.as_text(arguments) if arguments is not None else "",
            signature=part.get("thoughtSignature"),
        )

    def _take_reason(self, reason: object) -> None:
        if not isinstance(reason, str) or not reason:
            return
        self._finish_reason = reason
        self.is_complete = True
        if reason in _UNFINISHED:
            raise ServiceUnavailable(self._service, f"broke off ({_reason(reason)})")
        if reason not in _FINISHED:
            raise ServiceRejected(self._service, f"withholds its answer ({_reason(reason)})")

    def _take_usage(self, usage: object) -> None:
        """It grows with the answer: the last one counts."""
        if isinstance(usage, Mapping):
            self.usage = Usage(
                wire_json.count(usage.get("promptTokenCount")),
                wire_json.count(usage.get("candidatesTokenCount")) + wire_json.count(usage.get("thoughtsTokenCount")),
                wire_json.count(usage.get("cachedContentTokenCount")),
            )


def _reason(value: object) -> str:
    """If it looks like one of their constants."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Z_]{1,40}", value) else "no reason given"


def _together(turns: Sequence[Turn]) -> list[Turn]:
    """Calls that were made at once stand in one turn again, and their results in the next: an agent's history has them
    one by one. An unsigned call right behind the result of a signed one was made with it."""
    joined: list[Turn] = []
    for turn in turns:
        if (
            len(joined) >= 2
            and turn.is_ours
            and all(message.tool_calls and not message.text for message in turn.messages)
            and not any(call.signature for message in turn.messages for call in message.tool_calls)
            and all(message.role == "tool" for message in joined[-1].messages)
            and any(signature_of(call, _SIGNER) for message in joined[-2].messages for call in message.tool_calls)
        ):
            joined[-2] = Turn(True, joined[-2].messages + turn.messages)
        elif len(joined) >= 2 and not turn.is_ours and not joined[-1].is_ours:
            joined[-1] = Turn(False, joined[-1].messages + turn.messages)
        else:
            joined.append(turn)
    return joined


def _wire_turn(turn: Turn, names: Mapping[str, str], *, needs_signature: bool) -> Mapping[str, object]:
    if not turn.is_ours:
        parts = [_result(m, names) if m.role == "tool" else {"text": m.text} for m in turn.messages]
        return {"role": "user", "parts": parts}
    parts = []
    is_signed = not needs_signature
    for message in turn.messages:
        if message.text:
            parts.append({"text": message.text})
        for call in message.tool_calls:
            signature = signature_of(call, _SIGNER) or ("" if is_signed else _UNSIGNED)
            is_signed = True
            parts.append(_call(call, signature))
    return {"role": "model", "parts": parts}


def _call(call: ToolCall, signature: str) -> _Part:
    wire = {**_id(call.call_id), "name": call.name, "args": dict(call.arguments)}
    return {"functionCall": wire, **({"thoughtSignature": signature} if signature else {})}


def _result(message: Message, names: Mapping[str, str]) -> _Part:
    call_id = message.tool_call_id
    wire = {**_id(call_id), "name": names.get(call_id, ""), "response": {"result": message.text}}
    return {"functionResponse": wire}


def _id(call_id: str) -> Mapping[str, str]:
    """Only what the service has named: models that name nothing go by the order."""
    return {} if is_made_up(call_id) else {"id": call_id}


def _wire_tool(tool: ToolSpec) -> Mapping[str, object]:
    """A JSON Schema as it is; `parameters`, the older field, takes only some of what such a schema can say."""
    named = {"name": tool.name, "description": tool.description}
    return {**named, "parametersJsonSchema": dict(tool.parameters)} if tool.parameters.get("properties") else named
