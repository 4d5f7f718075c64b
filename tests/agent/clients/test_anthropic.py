# SPDX-License-Identifier: GPL-3.0-or-later
"""Anthropic's messages."""

from dataclasses import replace
from typing import Any

import pytest

from agent.clients.anthropic import AnthropicMessages, MessagesDialect
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import Conversation, Message
from tests.agent.clients.contract_llm import HANG_UP, HELLO, ORDER, TALK, LlmContract, Vendor, answer_of
from tests.simulators.answer_server import Fault, Refuse, Step, script
from tests.simulators.anthropic import AnthropicServer

MARK = {"cache_control": {"type": "ephemeral"}}


class TestContract(LlmContract):
    vendor = Vendor(
        AnthropicMessages,
        AnthropicServer,
        lambda text: {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": text}},
        withheld="refusal",
        cut_short="max_tokens",
    )


def body_for(conversation: Conversation, **settings: Any) -> dict[str, Any]:
    return dict(
        MessagesDialect(ServiceSettings(**{"name": "brain", "model": "tiny", **settings})).request_body(conversation)
    )


async def test_what_is_sent_is_what_the_service_expects() -> None:
    async with AnthropicServer() as server:
        llm = AnthropicMessages(ServiceSettings("brain", "tiny", server.url, "k3y"))
        await answer_of(llm, replace(TALK, tools=(ORDER,)))
        await llm.aclose()
        request = server.requests[0]
    assert request.path == "/v1/messages"
    assert request.headers["x-api-key"] == "k3y"
    assert request.headers["anthropic-version"] == "2023-06-01"
    *before, last = request.messages
    call = {"type": "tool_use", "id": "call_1", "name": "get_order", "input": {"id": 7}}
    assert before == [
        {"role": "user", "content": [{"type": "text", "text": "[The call begins.]"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Good morning, what can I do for you?"}]},
        {"role": "user", "content": [{"type": "text", "text": "Where is my order?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I will look."}, call]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "shipped on Monday"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "It was —"}]},
    ]
    said, notes = last["content"]
    assert said == {"type": "text", "text": "And the other one?", **MARK}
    assert "Orders ship within two days." in notes["text"]
    rest = {key: value for key, value in request.body.items() if key != "messages"}
    assert rest == {
        "model": "tiny",
        "max_tokens": 1024,
        "tools": [{"name": "get_order", "description": "Finds an order.", "input_schema": ORDER.parameters}],
        "system": [{"type": "text", "text": "Be brief.", **MARK}],
        "stream": True,
    }


def test_what_is_cached_in_one_turn_is_the_beginning_of_the_next() -> None:
    """Up to the mark, as the service compares it: block by block, the marks themselves left aside."""
    answered = (*TALK.messages, Message("assistant", "On Tuesday."), Message("user", "Thanks."))
    first, second = body_for(TALK), body_for(replace(TALK, messages=answered))
    cached = without_marks(first["messages"])
    cached[-1]["content"].pop()  # the notes of that turn, behind the mark
    assert cached == without_marks(second["messages"])[: len(cached)]
    assert without_marks(first["system"]) == without_marks(second["system"])


def test_without_a_system_prompt_the_tools_are_what_is_cached() -> None:
    body = body_for(replace(HELLO, messages=HELLO.messages[1:], tools=(ORDER, HANG_UP)))
    assert [MARK.items() <= tool.items() for tool in body["tools"]] == [False, True]


@pytest.mark.parametrize(
    ("step", "fault", "detail"),
    [
        (Refuse(529, kind="overloaded_error"), ServiceUnavailable, "answers 529 (overloaded_error)"),
        (Refuse(429, kind="rate_limit_error"), ServiceUnavailable, "answers 429 (rate_limit_error)"),
        (Refuse(401, kind="authentication_error"), ServiceRejected, "answers 401 (authentication_error)"),
        (Fault("overloaded_error"), ServiceUnavailable, "broke off (overloaded_error)"),
        (Fault("invalid_request_error"), ServiceRejected, "broke off (invalid_request_error)"),
    ],
)
async def test_errors_say_what_is_wrong(step: Step, fault: type[ServiceError], detail: str) -> None:
    async with AnthropicServer(script([step])) as server:
        llm = AnthropicMessages(ServiceSettings("brain", "tiny", server.url))
        with pytest.raises(fault) as caught:
            await answer_of(llm)
        await llm.aclose()
    assert caught.value.detail == detail


def without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_marks(one) for key, one in value.items() if key != "cache_control"}
    return [without_marks(one) for one in value] if isinstance(value, list) else value
