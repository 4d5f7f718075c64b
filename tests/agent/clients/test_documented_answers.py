# SPDX-License-Identifier: GPL-3.0-or-later
"""What vendors' documentation and their own libraries' tests show of the wire, read by our clients. The simulators,
which were written from the same documentation, have no part in this: these events are sent as they stand there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.clients.anthropic import AnthropicMessages
from agent.clients.gemini import GeminiLlm
from agent.clients.hosted_llm import HostedLlm
from agent.clients.llm_dialect import Usage
from agent.clients.openai_chat import OpenAiChat
from agent.clients.openai_responses import OpenAiResponses
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceError
from tests.agent.clients.contract_llm import answer_of, calls_of, text_of
from tests.simulators.answer_server import AnswerServer, event
from tests.simulators.anthropic import AnthropicServer
from tests.simulators.gemini import GeminiServer
from tests.simulators.openai_chat import OpenAiChatServer
from tests.simulators.openai_responses import OpenAiResponsesServer

DATA = Path(__file__).parent / "data"
VENDORS: dict[str, tuple[Callable[..., HostedLlm], type[AnswerServer]]] = {
    "anthropic": (AnthropicMessages, AnthropicServer),
    "gemini": (GeminiLlm, GeminiServer),
    "openai_chat": (OpenAiChat, OpenAiChatServer),
    "openai_responses": (OpenAiResponses, OpenAiResponsesServer),
}


def saying(server: type[AnswerServer], body: bytes) -> AnswerServer:
    """One that sends this, and nothing of its own around it."""
    bare = server()
    bare.stream = lambda steps, request: iter((body,))  # type: ignore[method-assign]
    return bare


@pytest.mark.parametrize(
    "path", [path for vendor in VENDORS for path in sorted((DATA / vendor).glob("*.json"))], ids=lambda p: p.stem
)
async def test_an_answer_of_the_documentation_is_understood(path: Path) -> None:
    shown = shown_in(path)
    assert shown["source"].startswith("https://")
    make, server = VENDORS[path.parent.name]
    body = b"".join(event(one, str(one.get("type", ""))) for one in shown["events"])
    told: list[Usage] = []
    async with saying(server, body) as serving:
        llm = make(ServiceSettings("brain", "tiny", serving.url), on_usage=told.append)
        try:
            if "fault" in shown:
                with pytest.raises(ServiceError) as caught:
                    await answer_of(llm)
                assert caught.value.detail == shown["fault"]
                return
            events = await answer_of(llm)
        finally:
            await llm.aclose()
    assert text_of(events) == shown["text"]
    calls = calls_of(events)
    assert [(name, arguments) for name, arguments, _, _ in calls] == [(one[0], one[1]) for one in shown["calls"]]
    assert all(
        told_id in ("", call_id) for (_, _, told_id), (_, _, call_id, _) in zip(shown["calls"], calls, strict=True)
    )
    assert told == ([Usage(*shown["usage"])] if shown["usage"] else [])


def shown_in(path: Path) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(path.read_text())
    return shown
