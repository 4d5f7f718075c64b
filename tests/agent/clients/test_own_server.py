# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of one's own, for real: llama.cpp's with a small model (scripts/local_llm), asked in three vendors' ways.

Nobody of ours has written what it speaks. What it says makes no sense, and is not looked at.
"""

import asyncio
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agent.clients.anthropic import AnthropicMessages
from agent.clients.hosted_llm import HostedLlm
from agent.clients.llm_dialect import Usage
from agent.clients.openai_chat import OpenAiChat
from agent.clients.openai_responses import OpenAiResponses
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected
from agent.local.models import default_model_folder
from agent.services.llm import Conversation, Message
from tests.agent.clients.contract_llm import HELLO, TALK, answer_of, text_of

CACHE = default_model_folder(os.environ).parent
PYTHON = CACHE / "local-llm/bin/python"
MODEL = CACHE / "local-llm-models/smollm2-135m.gguf"
PROGRAM = Path(__file__).parents[3] / "scripts/examples/llm_server.py"
KEY = "k3y"
_READY_S = 60.0
STORY = Conversation((Message("system", "You tell stories."), Message("user", "Tell me a very long story.")))

pytestmark = [
    pytest.mark.skipif(not (PYTHON.exists() and MODEL.exists()), reason="scripts/test sets this server up"),
    pytest.mark.xdist_group("own_server"),
]

speaking = pytest.mark.parametrize(
    "kind", [OpenAiChat, OpenAiResponses, AnthropicMessages], ids=lambda kind: kind.__name__
)
Kind = Callable[..., HostedLlm]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a server that runs."""
    command = [str(PYTHON), str(PROGRAM), "--model", str(MODEL), "--port", "0"]
    environment = {**os.environ, "LLM_SERVER_KEY": KEY}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], _READY_S)[0], "the server does not start"
        ready, _, address = process.stdout.readline().decode().strip().partition(" ")
        assert ready == "ready"
        yield address
    finally:
        process.terminate()
        process.wait(20)


def client(kind: Kind, url: str, told: list[Usage] | None = None, **settings: Any) -> HostedLlm:
    given = {"name": "own", "model": "small", "url": url, "api_key": KEY, "temperature": 0.0, "max_tokens": 12}
    return kind(ServiceSettings(**{**given, **settings}), on_usage=None if told is None else told.append)


@speaking
async def test_its_answer_comes_in_pieces_and_with_its_cost(url: str, kind: Kind) -> None:
    told: list[Usage] = []
    llm = client(kind, url, told)
    await llm.warm()
    first = await answer_of(llm, STORY)
    again = await answer_of(llm, STORY)
    await llm.aclose()
    assert len(first) > 3
    assert text_of(again) == text_of(first)
    assert told[0].prompt_tokens == told[1].prompt_tokens > 10
    assert told[1].completion_tokens == 12
    assert told[1].cached_tokens > 0, "it has just read the same"


@speaking
async def test_it_takes_a_conversation_with_tools_and_their_results(url: str, kind: Kind) -> None:
    llm = client(kind, url)
    assert text_of(await answer_of(llm, TALK))
    await llm.aclose()


@speaking
async def test_it_takes_characters_of_every_kind(url: str, kind: Kind) -> None:
    llm = client(kind, url)
    assert await answer_of(llm, Conversation((Message("user", "Größe 42, 😀, half: \ud83d"),)))
    await llm.aclose()


@speaking
async def test_it_stops_when_nobody_listens_any_more(url: str, kind: Kind) -> None:
    """It answers two at a time: four that went on would take the time of all their tokens."""
    llm = client(kind, url, max_tokens=3000, extra={"ignore_eos": True})
    for _ in range(4):
        async with aclosing(llm.reply(HELLO)) as events:
            await anext(events)
    short = client(kind, url)
    async with asyncio.timeout(15):
        assert await answer_of(short)
    await llm.aclose()
    await short.aclose()


@speaking
async def test_it_refuses_a_wrong_key(url: str, kind: Kind) -> None:
    llm = client(kind, url, api_key="wrong")
    with pytest.raises(ServiceRejected, match="answers 401"):
        await answer_of(llm)
    await llm.aclose()
