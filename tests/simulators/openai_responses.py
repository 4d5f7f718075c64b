# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks OpenAI's Responses (tests/simulators/answer_server.py has the script's steps).

python -m tests.simulators.openai_responses [--port P] [--first-token-ms 200] [--token-ms 20] [--say TEXT]
"""

import itertools
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
    arguments_of,
    deltas,
    event,
    pieces_of,
)


class OpenAiResponsesServer(AnswerServer):
    """A model behind Responses."""

    def is_answer(self, path: str) -> bool:
        return path.endswith("/responses")

    def key_of(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def refusal(self, refuse: Refuse) -> object:
        return {"error": {"message": "no, and here is why", "type": refuse.kind, "param": None, "code": refuse.code}}

    def stream(self, steps: Script, request: AnswerRequest) -> Iterator[Sent]:
        response: dict[str, Any] = {
            "id": f"resp_{next(self.numbers)}",
            "object": "response",
            "created_at": 1_760_000_000,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": request.body["model"],
            "output": [],
            "store": request.body["store"],
            "usage": None,
        }
        numbers = itertools.count()
        outputs = itertools.count()
        spoken, finish = 0, ""

        def told(kind: str, **fields: object) -> bytes:
            return event({"type": kind, "sequence_number": next(numbers), **fields}, kind)

        yield told("response.created", response=response)
        yield told("response.in_progress", response=response)
        for step in steps:
            match step:
                case Say():
                    index = next(outputs)
                    item = {"id": f"msg_{index}", "type": "message", "status": "in_progress", "role": "assistant"}
                    place = {"item_id": f"msg_{index}", "output_index": index, "content_index": 0}
                    part = {"type": "output_text", "text": "", "annotations": []}
                    yield told("response.output_item.added", output_index=index, item={**item, "content": []})
                    yield told("response.content_part.added", **place, part=part)
                    for piece in deltas(step):
                        if isinstance(piece, Wait):
                            yield piece
                            continue
                        yield told("response.output_text.delta", **place, delta=piece, logprobs=[], obfuscation="9xAq")
                        spoken += 1
                    whole = {**part, "text": step.text}
                    yield told("response.output_text.done", **place, text=step.text, logprobs=[])
                    yield told("response.content_part.done", **place, part=whole)
                    done = {**item, "status": "completed", "content": [whole]}
                    yield told("response.output_item.done", output_index=index, item=done)
                case Think(text):
                    index = next(outputs)
                    thought = {"id": f"rs_{index}", "type": "reasoning", "summary": []}
                    place = {"item_id": f"rs_{index}", "output_index": index, "summary_index": 0}
                    yield told("response.output_item.added", output_index=index, item=thought)
                    yield told("response.reasoning_summary_text.delta", **place, delta=text)
                    yield told("response.output_item.done", output_index=index, item=thought)
                case Call():
                    index = next(outputs)
                    call = {
                        "id": f"fc_{response['id']}_{index}",
                        "type": "function_call",
                        "status": "in_progress",
                        "arguments": "",
                        "call_id": step.call_id or f"call_{response['id']}_{index}",
                        "name": step.name,
                    }
                    place = {"item_id": call["id"], "output_index": index}
                    yield told("response.output_item.added", output_index=index, item=call)
                    for piece in pieces_of(step):
                        yield told("response.function_call_arguments.delta", **place, delta=piece)
                    arguments = arguments_of(step)
                    yield told("response.function_call_arguments.done", **place, name=step.name, arguments=arguments)
                    done = {**call, "status": "completed", "arguments": arguments}
                    yield told("response.output_item.done", output_index=index, item=done)
                case Ping():
                    yield told("keepalive")
                case Raw(data):
                    yield data
                case Fault(kind, code):
                    yield told("error", code=code or kind, message="it went wrong", param=None)
                case Finish(wanted):
                    finish = wanted
                case Wait() | Disconnect():
                    yield step
                case EndOfBody():
                    yield step
                    return
                case Refuse():
                    raise AssertionError("a refusal is the only step")
        if self.usage:
            response["usage"] = {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 64},
                "output_tokens": spoken,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 100 + spoken,
            }
        if finish == "failed":
            failed = {**response, "status": "failed", "error": {"code": "server_error", "message": "it went wrong"}}
            yield told("response.failed", response=failed)
        elif finish:
            why = {"reason": finish}
            yield told("response.incomplete", response={**response, "status": "incomplete", "incomplete_details": why})
        else:
            yield told("response.completed", response={**response, "status": "completed"})


if __name__ == "__main__":
    OpenAiResponsesServer.main()
