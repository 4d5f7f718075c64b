# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's Responses."""

import json
from dataclasses import replace

import pytest

from agent.clients.openai_responses import OpenAiResponses, ResponsesDialect
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import ToolCall
from tests.agent.clients.contract_llm import ORDER, TALK, LlmContract, Vendor, answer_of
from tests.simulators.answer_server import Fault, Finish, Step, script
from tests.simulators.openai_responses import OpenAiResponsesServer


class TestContract(LlmContract):
    vendor = Vendor(
        OpenAiResponses,
        OpenAiResponsesServer,
        lambda text: {"type": "response.output_text.delta", "output_index": 0, "delta": text},
        withheld="content_filter",
        cut_short="max_output_tokens",
    )


async def test_what_is_sent_is_what_the_service_expects() -> None:
    async with OpenAiResponsesServer() as server:
        llm = OpenAiResponses(ServiceSettings("brain", "tiny", server.url, "k3y", temperature=0.2, max_tokens=99))
        await answer_of(llm, replace(TALK, tools=(ORDER,)))
        await llm.aclose()
        request = server.requests[0]
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == "Bearer k3y"
    *before, last = request.body["input"]
    assert before == [
        said("Good morning, what can I do for you?"),
        {"role": "user", "content": "Where is my order?"},
        said("I will look."),
        {"type": "function_call", "call_id": "call.1", "name": "get_order", "arguments": '{"id": 7}'},
        {"type": "function_call_output", "call_id": "call.1", "output": "shipped on Monday"},
        said("It was —"),
    ]
    assert last["role"] == "user"
    assert last["content"].startswith("And the other one?\n")
    tool = {"type": "function", "name": "get_order", "description": "Finds an order.", "strict": False}
    assert {key: value for key, value in request.body.items() if key != "input"} == {
        "model": "tiny",
        "instructions": "Be brief.",
        "tools": [{**tool, "parameters": ORDER.parameters}],
        "stream": True,
        "store": False,
        "temperature": 0.2,
        "max_output_tokens": 99,
    }


@pytest.mark.parametrize(
    ("step", "fault", "detail"),
    [
        (Finish("failed"), ServiceUnavailable, "broke off (server_error)"),
        (Fault("server_error", "rate_limit_exceeded"), ServiceUnavailable, "broke off (rate_limit_exceeded)"),
        (Fault("", "invalid_prompt"), ServiceRejected, "broke off (invalid_prompt)"),
        (Fault("", "insufficient_quota"), ServiceRejected, "broke off (insufficient_quota)"),
    ],
)
async def test_errors_say_what_is_wrong(step: Step, fault: type[ServiceError], detail: str) -> None:
    async with OpenAiResponsesServer(script([step])) as server:
        llm = OpenAiResponses(ServiceSettings("brain", "tiny", server.url))
        with pytest.raises(fault) as caught:
            await answer_of(llm)
        await llm.aclose()
    assert caught.value.detail == detail


def test_a_call_of_which_only_the_end_came_is_whole() -> None:
    """As servers send it that do not stream arguments."""
    answer = ResponsesDialect(ServiceSettings("brain", "tiny")).answer()
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_order", "arguments": '{"id": 7}'}
    answer.receive({"type": "response.output_item.added", "output_index": 1, "item": {**item, "arguments": ""}})
    answer.receive({"type": "response.output_item.done", "output_index": 1, "item": item})
    assert answer.tool_calls() == [ToolCall("get_order", {"id": 7}, "c1")]


def test_calls_are_told_apart_by_their_items_where_nothing_has_a_number() -> None:
    answer = ResponsesDialect(ServiceSettings("brain", "tiny")).answer()
    for name in ("a", "b"):
        item = {"type": "function_call", "id": f"fc_{name}", "call_id": name, "name": "get_order", "arguments": ""}
        answer.receive({"type": "response.output_item.added", "item": item})
    for name in ("b", "a"):
        piece = {"item_id": f"fc_{name}", "delta": json.dumps({"id": name})}
        answer.receive({"type": "response.function_call_arguments.delta", **piece})
    assert [(call.call_id, call.arguments) for call in answer.tool_calls()] == [("a", {"id": "a"}), ("b", {"id": "b"})]


def said(text: str) -> dict[str, object]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
