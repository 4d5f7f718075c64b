# SPDX-License-Identifier: GPL-3.0-or-later
"""Chat completions over a real socket, against a server that was not written with the client's code."""

import asyncio
from contextlib import aclosing

import pytest

from agent.clients.openai_chat import ChatSettings, OpenAiChat, Usage, request_body
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import ContextNote, Conversation, Message, ReplyEvent, TextDelta, ToolCall, ToolSpec
from tests.simulators.openai_chat import (
    Answer,
    Call,
    Disconnect,
    EndOfBody,
    Fault,
    Finish,
    OpenAiChatServer,
    Raw,
    Refuse,
    Say,
    Step,
    Wait,
    script,
)

HELLO = Conversation((Message("system", "Be brief."), Message("user", "Hello?")))
ORDER = ToolSpec("get_order", "Finds an order.", {"type": "object", "properties": {"id": {"type": "integer"}}})


def client(server: OpenAiChatServer, **settings: object) -> OpenAiChat:
    return OpenAiChat(ChatSettings(**{"name": "brain", "model": "tiny", "url": server.url, **settings}))  # type: ignore[arg-type]


async def answer_of(llm: OpenAiChat, conversation: Conversation = HELLO) -> list[ReplyEvent]:
    return [event async for event in llm.reply(conversation)]


def text_of(events: list[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def asked(answer: Answer, conversation: Conversation = HELLO, **settings: object) -> list[ReplyEvent]:
    async with OpenAiChatServer(answer) as server:
        llm = client(server, **settings)
        try:
            return await answer_of(llm, conversation)
        finally:
            await llm.aclose()


async def test_words_come_one_after_the_other() -> None:
    events = await asked(script([Say("We are open from nine to five.")]))
    assert len(events) > 3
    assert text_of(events) == "We are open from nine to five."


@pytest.mark.parametrize("split", [1, 3, 17])
async def test_the_answer_is_the_same_however_the_bytes_are_cut(split: int) -> None:
    steps: list[Step] = [Say("Größe: 42 €, 😀."), Call("get_order", {"id": 7, "note": "ü"}, "c1")]
    async with OpenAiChatServer(script(steps), split=split) as server:
        llm = client(server)
        events = await answer_of(llm)
        await llm.aclose()
    assert text_of(events) == "Größe: 42 €, 😀."
    assert events[-1] == ToolCall("get_order", {"id": 7, "note": "ü"}, "c1")


async def test_tool_calls_that_come_in_pieces_are_handed_on_whole_and_in_order() -> None:
    steps = [Call("get_order", {"id": 1}, "a", piece=1), Call("hang_up", "", "b")]
    events = await asked(script(steps))
    assert events == [ToolCall("get_order", {"id": 1}, "a"), ToolCall("hang_up", {}, "b")]


async def test_arguments_that_are_no_json_object_are_told_as_a_problem() -> None:
    events = await asked(script([Call("get_order", '{"id": 1', "a"), Call("get_order", "[1]", "b")]))
    assert [(event.name, bool(event.problem)) for event in events if isinstance(event, ToolCall)] == [
        ("get_order", True),
        ("get_order", True),
    ]


async def test_a_tool_call_without_an_id_gets_one_of_its_own() -> None:
    piece = b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"hang_up","arguments":"{}"}}]}}]}\n\n'
    first, second = [await asked(script([Raw(piece), Finish("tool_calls")])) for _ in range(2)]
    assert isinstance(first[0], ToolCall)
    assert isinstance(second[0], ToolCall)
    assert first[0].call_id
    assert first[0].call_id != second[0].call_id


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
    async with OpenAiChatServer() as server:
        llm = client(server, api_key="k3y", temperature=0.2, max_tokens=99, extra={"seed": 1})
        await answer_of(llm, conversation)
        await llm.aclose()
        request = server.requests[0]
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
    body = request_body(ChatSettings("brain", "tiny", max_tokens=9), HELLO)
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


def test_half_of_a_tool_call_is_left_out() -> None:
    orphans = Conversation(
        (
            Message("tool", "old result", tool_call_id="gone"),
            Message("user", "Hello?"),
            Message("assistant", "", tool_calls=(ToolCall("get_order", {}, "never"),)),
        )
    )
    assert request_body(ChatSettings("brain", "tiny"), orphans)["messages"] == [{"role": "user", "content": "Hello?"}]


async def test_usage_is_told() -> None:
    told: list[Usage] = []
    async with OpenAiChatServer(script([Say("One two three.")])) as server:
        llm = OpenAiChat(ChatSettings("brain", "tiny", server.url), on_usage=told.append)
        await answer_of(llm)
        await llm.aclose()
    assert told == [Usage(100, 3, 64)]


async def test_connections_are_kept_and_warmed() -> None:
    async with OpenAiChatServer() as server:
        llm = client(server)
        await llm.warm()
        await llm.warm()
        for _ in range(3):
            await answer_of(llm)
        await llm.aclose()
        assert server.others == ["/v1/models"]
        assert server.connections == 1


async def test_a_connection_that_was_closed_meanwhile_is_replaced_unnoticed() -> None:
    async with OpenAiChatServer() as server:
        llm = client(server)
        await answer_of(llm)
        server.drop_connections()
        assert text_of(await answer_of(llm)) == "Certainly."
        await llm.aclose()


async def test_closing_the_iterator_closes_the_connection() -> None:
    async with OpenAiChatServer(script([Say("Well,"), Wait(60)])) as server:
        llm = client(server)
        async with aclosing(llm.reply(HELLO)) as events:
            assert await anext(events) == TextDelta("Well,")
        async with asyncio.timeout(10):
            while not server.cancelled:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)
        await llm.aclose()


async def test_cancelling_while_nothing_came_closes_the_connection_too() -> None:
    async with OpenAiChatServer(script([Wait(60)])) as server:
        llm = client(server)
        asking = asyncio.create_task(answer_of(llm))
        while not server.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        asking.cancel()
        async with asyncio.timeout(10):
            while not server.cancelled:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await llm.aclose()


@pytest.mark.parametrize(
    ("steps", "fault", "detail"),
    [
        ([Refuse(429, "rate_limit_exceeded", "requests")], ServiceUnavailable, "answers 429 (rate_limit_exceeded)"),
        ([Refuse(429, "insufficient_quota")], ServiceRejected, "answers 429 (insufficient_quota)"),
        ([Refuse(500)], ServiceUnavailable, "answers 500 (error)"),
        ([Refuse(503)], ServiceUnavailable, "answers 503 (error)"),
        ([Refuse(401, "invalid_api_key")], ServiceRejected, "answers 401 (invalid_api_key)"),
        ([Refuse(404, "model_not_found")], ServiceRejected, "answers 404 (model_not_found)"),
        ([Say("Well,"), Raw(b"data: <html>\n\n")], ServiceUnavailable, "sent something that is no JSON"),
        ([Raw(b"data: 7\n\n")], ServiceUnavailable, "sent something that is no chunk of an answer"),
        ([Say("Well,"), Fault("server_error")], ServiceUnavailable, "broke off (server_error)"),
        ([Fault("invalid_request_error", "too_long")], ServiceRejected, "broke off (too_long)"),
        ([Say("Well,"), Disconnect()], ServiceUnavailable, "the connection failed"),
        ([Say("Well,"), Finish("content_filter")], ServiceRejected, "withholds its answer (content_filter)"),
    ],
)
async def test_what_goes_wrong_is_a_service_error(steps: list[Step], fault: type[ServiceError], detail: str) -> None:
    with pytest.raises(fault) as caught:
        await asked(script(steps))
    assert caught.value.detail.startswith(detail)
    assert caught.value.service == "brain"


async def test_an_answer_that_ends_without_its_end_has_broken_off() -> None:
    half = b'data: {"choices":[{"delta":{"content":"Well"}}]}\n\n'
    async with OpenAiChatServer(script([Raw(half), EndOfBody()])) as server:
        llm = client(server)
        with pytest.raises(ServiceUnavailable, match="broke off in the middle"):
            await answer_of(llm)
        await llm.aclose()


async def test_silence_longer_than_the_timeout_is_a_failure() -> None:
    with pytest.raises(ServiceUnavailable, match="took too long"):
        await asked(script([Say("Well,"), Wait(30)]), timeout_s=0.2)


async def test_nobody_listening_is_a_failure_worth_another_try() -> None:
    llm = OpenAiChat(ChatSettings("brain", "tiny", "http://127.0.0.1:9"))
    with pytest.raises(ServiceUnavailable):
        await answer_of(llm)
    await llm.warm()
    await llm.aclose()


async def test_a_broken_answer_is_not_asked_for_again() -> None:
    async with OpenAiChatServer(script([Say("Well,"), Disconnect()])) as server:
        llm = client(server)
        with pytest.raises(ServiceUnavailable):
            await answer_of(llm)
        await llm.aclose()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("[" * 60_000, "no JSON"),
        ('{"a":' * 400 + "1" + "}" * 400, "nested too deeply"),
        ('{"a": NaN}', "no JSON"),
        ('{"a": -Infinity}', "no JSON"),
    ],
    ids=["endless", "deep", "not a number", "infinite"],
)
async def test_arguments_that_could_not_be_sent_on_are_a_problem_of_the_tool(arguments: str, problem: str) -> None:
    (call,) = await asked(script([Call("get_order", arguments, piece=10_000)]))
    assert isinstance(call, ToolCall)
    assert problem in call.problem
    assert call.arguments == {}


async def test_half_characters_are_neither_heard_nor_sent() -> None:
    data = b'data: {"choices":[{"delta":{"content":"a\\ud83d b"}}]}\n\ndata: [DONE]\n\n'
    assert text_of(await asked(script([Raw(data)]))) == "a? b"
    (call,) = await asked(script([Call("get_order", '{"id": "\\ud83d"}')]))
    assert isinstance(call, ToolCall)
    assert call.arguments == {"id": "?"}
    conversation = Conversation((Message("user", "Hello?"),), notes=(ContextNote("crm", "half: \ud83d"),))
    async with OpenAiChatServer(script([Say("Yes.")])) as server:
        llm = client(server)
        assert text_of(await answer_of(llm, conversation)) == "Yes."
        await llm.aclose()
        assert "half: ?" in str(server.requests)


async def test_an_event_nested_without_end_is_a_fault_of_the_service() -> None:
    with pytest.raises(ServiceUnavailable, match="no JSON"):
        await asked(script([Raw(b"data: " + b"[" * 100_000 + b"\n\n")]))
