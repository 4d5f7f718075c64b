# SPDX-License-Identifier: GPL-3.0-or-later
"""Gemini over streamGenerateContent."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.clients.gemini import GeminiDialect, GeminiLlm
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceUnavailable
from agent.services.llm import Conversation, Message, ToolCall
from tests.agent.clients.contract_llm import HANG_UP, HELLO, ORDER, LlmContract, Vendor, answer_of
from tests.simulators.gemini import GeminiServer


class TestContract(LlmContract):
    vendor = Vendor(
        GeminiLlm,
        GeminiServer,
        lambda text: {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]},
        withheld="SAFETY",
        cut_short="MAX_TOKENS",
        has_pieces=False,
    )


SHOWN: dict[str, Any] = json.loads((Path(__file__).parent / "data/gemini/parallel_calls.json").read_text())


def body_for(conversation: Conversation, **settings: Any) -> dict[str, Any]:
    dialect = GeminiDialect(ServiceSettings(**{"name": "brain", "model": "gemini-3-pro-preview", **settings}))
    return dict(dialect.request_body(conversation))


def answer_shown() -> list[ToolCall]:
    answer = GeminiDialect(ServiceSettings("brain", "gemini-3-pro-preview")).answer()
    for one in SHOWN["events"]:
        answer.receive(one)
    return list(answer.tool_calls())


def done(*calls: ToolCall, said: str = "Check the weather in Paris and London.") -> Conversation:
    """As an agent's history has it: one call after the other, each with its result."""
    steps = zip(calls, SHOWN["results"], strict=False)
    pairs = [
        (Message("assistant", "", tool_calls=(call,)), Message("tool", result, tool_call_id=call.call_id))
        for call, result in steps
    ]
    return Conversation((Message("user", said), *(message for pair in pairs for message in pair)))


def test_calls_made_at_once_go_back_as_the_documentation_shows_it() -> None:
    assert body_for(done(*answer_shown()))["contents"] == SHOWN["next_contents"]


def test_calls_made_one_after_the_other_stay_apart() -> None:
    first, second = answer_shown()
    body = body_for(done(first, replace(second, signature="gemini:<Signature_B>")))
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user", "model", "user"]
    assert body["contents"][3]["parts"][0]["thoughtSignature"] == "<Signature_B>"


@pytest.mark.parametrize("signature", ["", "chat:<Sig A>"], ids=["none", "another's"])
def test_a_call_that_another_model_made_says_so(signature: str) -> None:
    body = body_for(done(ToolCall("get_order", {"id": 1}, "call_1", signature=signature)))
    call, result = body["contents"][1]["parts"][0], body["contents"][2]["parts"][0]
    assert call["thoughtSignature"] == "skip_thought_signature_validator"
    assert call["functionCall"]["id"] == result["functionResponse"]["id"] == "call_1"
    older = body_for(done(ToolCall("get_order", {"id": 1}, "call_1")), model="gemini-2.5-flash")
    assert "thoughtSignature" not in older["contents"][1]["parts"][0]


async def test_what_is_sent_is_what_the_service_expects() -> None:
    extra = {"generationConfig": {"thinkingConfig": {"thinkingLevel": "minimal"}}, "safetySettings": []}
    async with GeminiServer() as server:
        settings = ServiceSettings(
            "brain", "gemini-3-pro", server.url, "k3y", temperature=0.5, max_tokens=9, extra=extra
        )
        llm = GeminiLlm(settings)
        await answer_of(llm, replace(HELLO, tools=(ORDER, HANG_UP)))
        await llm.warm()
        await llm.aclose()
        request = server.requests[0]
    assert request.path == "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"
    assert request.headers["x-goog-api-key"] == "k3y"
    order = {"name": "get_order", "description": "Finds an order.", "parametersJsonSchema": ORDER.parameters}
    assert request.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [order, {"name": "hang_up", "description": "Ends the call."}]}],
        "contents": [{"role": "user", "parts": [{"text": "Hello?"}]}],
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9, "thinkingConfig": {"thinkingLevel": "minimal"}},
        "safetySettings": [],
    }


def test_a_call_that_came_out_wrong_is_worth_another_try() -> None:
    answer = GeminiDialect(ServiceSettings("brain", "m")).answer()
    with pytest.raises(ServiceUnavailable, match="MALFORMED_FUNCTION_CALL"):
        answer.receive({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}]})
