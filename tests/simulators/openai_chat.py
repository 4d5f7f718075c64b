# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks OpenAI's chat completions (tests/simulators/answer_server.py has the script's steps).

async with OpenAiChatServer(answer) as server: ... server.url ...        in a test's own loop
with OpenAiChatServer.in_thread(answer) as server: ...                   beside a test that blocks
python -m tests.simulators.openai_chat [--port P] [--first-token-ms 200] [--token-ms 20] [--say TEXT]
"""

from collections.abc import Iterator, Mapping

from tests.simulators.answer_server import (
    Answer,
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
    Step,
    Think,
    Wait,
    deltas,
    event,
    pieces_of,
    script,
)

__all__ = [
    "Answer",
    "Call",
    "ChatRequest",
    "Disconnect",
    "EndOfBody",
    "Fault",
    "Finish",
    "OpenAiChatServer",
    "Ping",
    "Raw",
    "Refuse",
    "Say",
    "Script",
    "Step",
    "Think",
    "Wait",
    "script",
]

ChatRequest = AnswerRequest


class OpenAiChatServer(AnswerServer):
    """A chat model."""

    def is_answer(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def key_of(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def refusal(self, refuse: Refuse) -> object:
        return {"error": {"message": "no, and here is why", "type": refuse.kind, "code": refuse.code or None}}

    def stream(self, steps: Script, request: AnswerRequest) -> Iterator[Sent]:
        base = {
            "id": f"chatcmpl-{next(self.numbers)}",
            "object": "chat.completion.chunk",
            "created": 1_760_000_000,
            "model": request.body["model"],
        }
        reason, tools, spoken = "stop", 0, 0

        def delta(content: object, finish: str | None = None) -> bytes:
            return event({**base, "choices": [{"index": 0, "delta": content, "finish_reason": finish}]})

        yield b": welcome\n\n"
        for number, step in enumerate(steps):
            match step:
                case Say():
                    if number == 0 or spoken == 0:
                        yield delta({"role": "assistant", "content": ""})
                    for piece in deltas(step):
                        yield piece if isinstance(piece, Wait) else delta({"content": piece})
                        spoken += isinstance(piece, str)
                case Think(text):
                    yield delta({"reasoning_content": text})
                case Call():
                    call_id = step.call_id or f"call_{base['id']}_{tools}"
                    function = {"name": step.name, "arguments": ""}
                    yield delta(
                        {"tool_calls": [{"index": tools, "id": call_id, "type": "function", "function": function}]}
                    )
                    for piece in pieces_of(step):
                        yield delta({"tool_calls": [{"index": tools, "function": {"arguments": piece}}]})
                    tools += 1
                    reason = "tool_calls"
                case Ping():
                    yield b": ping\n\n"
                case Raw(data):
                    yield data
                case Fault(kind, code):
                    yield event({"error": {"message": "it went wrong", "type": kind, "code": code or None}})
                case Finish(wanted):
                    reason = wanted
                case Wait() | Disconnect():
                    yield step
                case EndOfBody():
                    yield step
                    return
                case Refuse():
                    raise AssertionError("a refusal is the only step")
        yield delta({}, reason)
        if self.usage:
            usage = {"prompt_tokens": 100, "completion_tokens": spoken, "total_tokens": 100 + spoken}
            yield event({**base, "choices": [], "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 64}}})
        yield b"data: [DONE]\n\n"


if __name__ == "__main__":
    OpenAiChatServer.main()
