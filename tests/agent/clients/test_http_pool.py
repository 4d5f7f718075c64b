# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections over HTTP that are there before a request needs one."""

import asyncio

from agent.clients.openai_chat import OpenAiChat
from agent.clients.settings import ServiceSettings
from agent.services.llm import Conversation, Message
from tests.simulators.answer_server import Say, Wait
from tests.simulators.openai_chat import OpenAiChatServer

_QUESTION = Conversation((Message("user", "Are you open?"),))


async def answered(model: OpenAiChat) -> None:
    assert [event async for event in model.reply(_QUESTION)]


async def until(server: OpenAiChatServer, connections: int) -> None:
    async with asyncio.timeout(10):
        while server.connections < connections:  # noqa: ASYNC110 - the simulator tells nobody
            await asyncio.sleep(0.01)


async def test_a_request_that_takes_the_last_idle_connection_has_another_opened_for_the_next_one() -> None:
    async with OpenAiChatServer(lambda _: [Wait(0.5), Say("Yes.")]) as server:
        model = OpenAiChat(ServiceSettings("brain", model="m", url=server.url))
        await model.warm()
        assert server.connections == 1
        first = asyncio.create_task(answered(model))
        await until(server, 2)
        assert len(server.requests) == 1
        second = asyncio.create_task(answered(model))
        await asyncio.gather(first, second)
        assert [request.connection for request in server.requests] == [1, 2]
        await model.aclose()


async def test_requests_one_after_the_other_need_no_more_than_one_to_spare() -> None:
    async with OpenAiChatServer() as server:
        model = OpenAiChat(ServiceSettings("brain", model="m", url=server.url))
        await model.warm()
        for _ in range(5):
            await answered(model)
        assert server.connections <= 2
        await model.aclose()
