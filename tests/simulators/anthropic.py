# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks Anthropic's messages (tests/simulators/answer_server.py has the script's steps), and refuses
requests that break its rules as the service does: roles that do not take turns, results away from their calls, no
limit, a mark too many for the cache.

python -m tests.simulators.anthropic [--port P] [--first-token-ms 200] [--token-ms 20] [--say TEXT]
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulators.answer_server import (
    AnswerRequest,
    AnswerServer,
    Call,
    Disconnect,
    EndOfBody,
    Fault,
    Finish,
    Ping,
    Raw,
    Refuse,
    Say,
    Script,
    Sent,
    Think,
    Wait,
    deltas,
    event,
    pieces_of,
)

_MAX_CACHE_MARKS = 4
_ID = re.compile(r"[a-zA-Z0-9_-]+")


class AnthropicServer(AnswerServer):
    """A model behind messages."""

    def is_answer(self, path: str) -> bool:
        return path.endswith("/messages")

    def key_of(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-api-key", "")

    def refusal(self, refuse: Refuse) -> object:
        return {
            "type": "error",
            "error": {"type": refuse.kind, "message": "no, and here is why"},
            "request_id": "req_1",
        }

    def stream(self, steps: Script, request: AnswerRequest) -> Iterator[Sent]:
        if fault := broken_rule(request):
            yield _told("error", error={"type": "invalid_request_error", "message": fault})
            return
        usage = {"input_tokens": 12, "cache_creation_input_tokens": 24, "cache_read_input_tokens": 64}
        message = {
            "id": f"msg_{next(self.numbers)}",
            "type": "message",
            "role": "assistant",
            "model": request.body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage, "output_tokens": 1},
        }
        blocks = itertools.count()
        spoken, reason = 0, "end_turn"
        yield _told("message_start", message=message)
        for step in steps:
            match step:
                case Say():
                    index = next(blocks)
                    yield _told("content_block_start", index=index, content_block={"type": "text", "text": ""})
                    for piece in deltas(step):
                        if isinstance(piece, Wait):
                            yield piece
                            continue
                        delta = {"type": "text_delta", "text": piece}
                        yield _told("content_block_delta", index=index, delta=delta)
                        spoken += 1
                    yield _told("content_block_stop", index=index)
                case Think(text):
                    index = next(blocks)
                    block = {"type": "thinking", "thinking": "", "signature": ""}
                    yield _told("content_block_start", index=index, content_block=block)
                    thought = {"type": "thinking_delta", "thinking": text}
                    yield _told("content_block_delta", index=index, delta=thought)
                    signed = {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk"}
                    yield _told("content_block_delta", index=index, delta=signed)
                    yield _told("content_block_stop", index=index)
                case Call():
                    index = next(blocks)
                    call_id = step.call_id or f"toolu_{message['id']}_{index}"
                    call = {"type": "tool_use", "id": call_id, "name": step.name, "input": {}}
                    yield _told("content_block_start", index=index, content_block=call)
                    for piece in ["", *pieces_of(step)]:
                        part = {"type": "input_json_delta", "partial_json": piece}
                        yield _told("content_block_delta", index=index, delta=part)
                    yield _told("content_block_stop", index=index)
                    reason = "tool_use"
                case Ping():
                    yield _told("ping")
                case Raw(data):
                    yield data
                case Fault(kind):
                    yield _told("error", error={"type": kind, "message": "it went wrong"})
                case Finish(wanted):
                    reason = wanted
                case Wait() | Disconnect():
                    yield step
                case EndOfBody():
                    yield step
                    return
                case Refuse():
                    raise AssertionError("a refusal is the only step")
        end = {"stop_reason": reason, "stop_sequence": None}
        yield _told("message_delta", delta=end, **({"usage": {"output_tokens": spoken}} if self.usage else {}))
        yield _told("message_stop")


def broken_rule(request: AnswerRequest) -> str:
    """Which of the API's rules a request breaks; empty: none."""
    body = request.body
    if request.headers.get("anthropic-version") != "2023-06-01":
        return "anthropic-version: header is required"
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    roles = [message["role"] for message in body["messages"]]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        return "messages: roles must alternate, user first and last"
    asked: list[str] = []
    for message in body["messages"]:
        kinds = [block["type"] for block in message["content"]]
        if not kinds or any(block["type"] == "text" and not block["text"].strip() for block in message["content"]):
            return "messages: text content blocks must be non-empty"
        if "tool_result" in kinds[kinds.count("tool_result") :]:
            return "messages: tool_result blocks must come first"
        answered = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        if answered != asked:
            return "messages: tool_use ids were found without tool_result blocks immediately after"
        asked = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        if not all(_ID.fullmatch(call_id) for call_id in asked):
            return "messages: tool_use.id: String should match pattern"
    return "cache_control: at most 4 blocks" if _cache_marks(body) > _MAX_CACHE_MARKS else ""


def _cache_marks(value: Any) -> int:
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(_cache_marks(one) for one in value.values())
    return sum(_cache_marks(one) for one in value) if isinstance(value, list) else 0


def _told(kind: str, **fields: object) -> bytes:
    return event({"type": kind, **fields}, kind)


if __name__ == "__main__":
    AnthropicServer.main()
