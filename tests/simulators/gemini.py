# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks Gemini's streamGenerateContent (tests/simulators/answer_server.py has the script's steps), and
refuses requests that break its rules as the service does: a call without its signature, results that do not match.

python -m tests.simulators.gemini [--port P] [--first-token-ms 200] [--token-ms 20] [--say TEXT]
"""

import json
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
)

_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_STATUS |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
SIGNATURE = "CpcBAdHtim9gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds="


class GeminiServer(AnswerServer):
    """A model behind streamGenerateContent that signs what it thought, as those of version 3 do."""

    base_path = "/v1beta"

    def is_answer(self, path: str) -> bool:
        return path.endswith(":streamGenerateContent")

    def key_of(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key", "")

    def refusal(self, refuse: Refuse) -> object:
        status = refuse.code or _STATUS.get(refuse.status, "UNKNOWN")
        return {"error": {"code": refuse.status, "message": "no, and here is why", "status": status}}

    def stream(self, steps: Script, request: AnswerRequest) -> Iterator[Sent]:
        if fault := broken_rule(request):
            yield event({"error": {"code": 400, "message": fault, "status": "INVALID_ARGUMENT"}})
            return
        response = f"resp{next(self.numbers)}"
        spoken, tools, finish = 0, 0, "STOP"

        def chunk(parts: list[dict[str, object]], reason: str = "") -> bytes:
            candidate: dict[str, object] = {"content": {"parts": parts, "role": "model"}, "index": 0}
            if reason:
                candidate["finishReason"] = reason
            usage = {"promptTokenCount": 100, "cachedContentTokenCount": 64, "totalTokenCount": 100 + spoken}
            told: dict[str, object] = {"candidates": [candidate], "modelVersion": "gemini-3-x", "responseId": response}
            if self.usage:
                told["usageMetadata"] = {**usage, "candidatesTokenCount": spoken, "thoughtsTokenCount": 0}
            return event(told)

        for step in steps:
            match step:
                case Say():
                    for piece in deltas(step):
                        spoken += isinstance(piece, str)
                        yield piece if isinstance(piece, Wait) else chunk([{"text": piece}])
                case Think(text):
                    yield chunk([{"text": text, "thought": True}])
                case Call():
                    arguments = step.arguments
                    call: dict[str, object] = {"name": step.name}
                    if arguments != "":
                        call["args"] = arguments
                    if step.call_id:
                        call["id"] = step.call_id
                    part: dict[str, object] = {"functionCall": call}
                    if not tools:
                        part["thoughtSignature"] = SIGNATURE
                    tools += 1
                    if isinstance(arguments, str):  # not JSON, or no object: as it is
                        yield chunk([part]).replace(json.dumps(arguments).encode(), arguments.encode())
                    else:
                        yield chunk([part])
                case Ping():
                    yield b": ping\r\n\r\n"
                case Raw(data):
                    yield data
                case Fault(kind, code):
                    yield event({"error": {"code": 500, "message": "it went wrong", "status": code or kind}})
                case Finish(wanted):
                    finish = wanted
                case Wait() | Disconnect():
                    yield step
                case EndOfBody():
                    yield step
                    return
                case Refuse():
                    raise AssertionError("a refusal is the only step")
        yield chunk([{"text": ""}], finish)


def broken_rule(request: AnswerRequest) -> str:
    """Which of the API's rules a request breaks; empty: none."""
    if "alt=sse" not in request.path:
        return "without alt=sse it does not stream events"
    contents: list[dict[str, Any]] = request.body["contents"]
    roles = [content["role"] for content in contents]
    if not roles or roles != ["user", "model"] * (len(roles) // 2) + ["user"]:
        return "contents: roles must alternate, user first and last"
    asked: list[dict[str, Any]] = []
    turn = max(i for i, content in enumerate(contents) if any("text" in part for part in content["parts"]))
    for number, content in enumerate(contents):
        results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if [(one.get("id"), one["name"]) for one in results] != [(one.get("id"), one["name"]) for one in asked]:
            return "the number of function response parts must equal that of the function call parts"
        calls = [part for part in content["parts"] if "functionCall" in part]
        asked = [part["functionCall"] for part in calls]
        if number > turn and calls and not calls[0].get("thoughtSignature"):
            return "Function call is missing a thought_signature in functionCall parts"
    return ""


if __name__ == "__main__":
    GeminiServer.main()
