# SPDX-License-Identifier: GPL-3.0-or-later
"""Chat completions."""

import json
from typing import Any

import pytest

from agent.clients.openai_chat import ChatDialect, OpenAiChat
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import ContextNote, Conversation, Message, ToolCall
from tests.agent.clients.contract_llm import HELLO, ORDER, LlmContract, Vendor, answer_of
from tests.simulators.openai_chat import Fault, Finish, OpenAiChatServer, Raw, Refuse, Say, Step, script


class TestContract(LlmContract):
    vendor = Vendor(
        OpenAiChat,
        OpenAiChatServer,
        lambda text: {"choices": [{"index": 0, "delta": {"content": text}}]},
        withheld="content_filter",
        cut_short="length",
    )


async def asked(*steps: Step, conversation: Conversation = HELLO, **settings: Any) -> tuple[list[Any], Any]:
    """What was answered, and what was asked."""
    async with OpenAiChatServer(script(steps)) as server:
        llm = OpenAiChat(ServiceSettings(**{"name": "brain", "model": "tiny", "url": server.url, **settings}))
        try:
            return await answer_of(llm, conversation), server.requests[0]
        finally:
            await llm.aclose()


async def test_a_tool_call_without_an_id_gets_one_of_its_own() -> None:
    piece = b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"hang_up","arguments":"{}"}}]}}]}\n\n'
    first, second = [(await asked(Raw(piece), Finish("tool_calls")))[0][0] for _ in range(2)]
    assert first.call_id
    assert first.call_id != second.call_id


async def test_what_is_sent_is_what_the_service_expects() -> None:
    call = ToolCall("get_order", {"id": 7}, "c1")
    conversation = Conversation(
        (
            Message("system", "Be brief."),
            Message("user", "My order?"),
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", "shipped", tool_call_id="c1"),
            Message("assistant", "It was", interrupted=True),
            Message("user", "When?"),
        ),
        notes=(ContextNote("hours.md:3", "Open from nine."),),
        tools=(ORDER,),
    )
    settings = {"api_key": "k3y", "temperature": 0.2, "max_tokens": 99, "extra": {"seed": 1}}
    _, request = await asked(Say("Yes."), conversation=conversation, **settings)
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer k3y"
    notes = request.last["content"]
    assert notes.startswith("When?\n")
    assert "(hours.md:3) Open from nine." in notes
    assert request.messages[:-1] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "My order?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id": 7}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "shipped"},
        {"role": "assistant", "content": "It was —"},
    ]
    rest = {key: value for key, value in request.body.items() if key != "messages"}
    assert rest == {
        "model": "tiny",
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "get_order", "description": "Finds an order.", "parameters": ORDER.parameters},
            }
        ],
        "temperature": 0.2,
        "max_tokens": 99,
        "seed": 1,
    }


def test_openai_itself_is_told_the_limit_by_its_newer_name() -> None:
    body = ChatDialect(ServiceSettings("brain", "tiny", max_tokens=9)).request_body(HELLO)
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


async def test_what_gemini_has_signed_goes_back_to_where_it_came_from() -> None:
    """https://ai.google.dev/gemini-api/docs/thought-signatures, "OpenAI compatibility"."""
    function = {"arguments": "{}", "name": "hang_up"}
    call = {"extra_content": {"google": {"thought_signature": "<Sig A>"}}, "function": function, "id": "f1"}
    (answered,), _ = await asked(Raw(said({"tool_calls": [{**call, "type": "function"}]})), Finish("tool_calls"))
    done = (Message("assistant", "", tool_calls=(answered,)), Message("tool", "ok", tool_call_id="f1"))
    _, request = await asked(Say("Bye."), conversation=Conversation((Message("user", "Bye."), *done)))
    assert request.messages[1]["tool_calls"] == [{**call, "type": "function"}]


def said(delta: object) -> bytes:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta}]})}\n\n".encode()


@pytest.mark.parametrize(
    ("step", "fault", "detail"),
    [
        (Refuse(429, "rate_limit_exceeded", "requests"), ServiceUnavailable, "answers 429 (rate_limit_exceeded)"),
        (Refuse(429, "insufficient_quota"), ServiceRejected, "answers 429 (insufficient_quota)"),
        (Refuse(401, "invalid_api_key"), ServiceRejected, "answers 401 (invalid_api_key)"),
        (Refuse(404, "model_not_found"), ServiceRejected, "answers 404 (model_not_found)"),
        (Fault("server_error"), ServiceUnavailable, "broke off (server_error)"),
        (Fault("invalid_request_error", "too_long"), ServiceRejected, "broke off (too_long)"),
    ],
)
async def test_codes_say_what_is_wrong(step: Step, fault: type[ServiceError], detail: str) -> None:
    with pytest.raises(fault) as caught:
        await asked(step)
    assert caught.value.detail == detail
