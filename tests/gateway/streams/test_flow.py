# SPDX-License-Identifier: GPL-3.0-or-later
"""A call flow: what a flow URL is told, and what may be done with its answers."""

import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from gateway.calls.facts import CallFacts
from gateway.errors import FlowFailed
from gateway.guard import FLOW_URL, OutboundGuard
from gateway.outbound import http_client
from gateway.streams.flow import FlowAction, HangUpAction, PlayAction, StreamAction, ask_flow, parse_flow
from gateway.streams.messages import StreamFormat

FACTS = CallFacts("call_0123456789abcdef0123", "inbound", "+15550100", "+15550101")
URL = "https://flow.example/calls"


def test_the_actions_as_the_documentation_and_the_sdk_write_them() -> None:
    assert parse_flow('{"action":"stream","ws_url":"wss://a.example/m","chunk_size":500,"sample_rate":"16k"}') == (
        StreamAction("wss://a.example/m", StreamFormat("l16", 16000), 500)
    )
    assert parse_flow('{"action":"stream","ws_url":"wss://a.example/m","record":true}') == (
        StreamAction("wss://a.example/m", StreamFormat("l16", 8000), 400, True)
    )
    assert parse_flow('{"action":"play","media_url":"https://a.example/a.wav"}') == PlayAction(
        "https://a.example/a.wav"
    )
    assert parse_flow('{"action":"play","file_url":"https://a.example/a.wav"}') == PlayAction("https://a.example/a.wav")
    assert parse_flow('{"action":"hangup"}') == HangUpAction()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("", "JSON"),
        ("[]", "object"),
        ("{}", "action"),
        ('{"action":"dial","to_number":"+1"}', "action"),
        ('{"action":["stream"]}', "action"),
        ('{"action":"stream"}', "ws_url"),
        ('{"action":"stream","ws_url":5}', "ws_url"),
        ('{"action":"stream","ws_url":"wss://a","chunk_size":19}', "chunk_size"),
        ('{"action":"stream","ws_url":"wss://a","chunk_size":2020}', "chunk_size"),
        ('{"action":"stream","ws_url":"wss://a","chunk_size":50}', "chunk_size"),
        ('{"action":"stream","ws_url":"wss://a","chunk_size":"400"}', "chunk_size"),
        ('{"action":"stream","ws_url":"wss://a","sample_rate":"24k"}', "sample_rate"),
        ('{"action":"stream","ws_url":"wss://a","sample_rate":8000}', "sample_rate"),
        ('{"action":"play"}', "media_url"),
    ],
)
def test_what_is_no_action_says_which_field_is_wrong(body: str, fault: str) -> None:
    with pytest.raises(FlowFailed, match=fault):
        parse_flow(body)


def streamed(body: bytes) -> httpx.Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield body

    return httpx.Response(200, content=pieces())


async def ask(answer: Callable[[httpx.Request], httpx.Response]) -> FlowAction:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        return await ask_flow(client, URL, FACTS)


async def test_the_flow_url_is_told_of_the_call() -> None:
    asked: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, str(request.url), json.loads(request.content)))
        return streamed(b'{"action":"hangup"}')

    assert await ask(answer) == HangUpAction()
    facts = {"call_id": FACTS.call_id, "account_id": "acc_parley", "from_number": "+15550100"}
    assert asked == [("POST", URL, {**facts, "to_number": "+15550101", "direction": "inbound"})]


async def test_a_lost_connection_is_tried_again_once() -> None:
    tries = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise httpx.ConnectError("gone")
        return streamed(b'{"action":"hangup"}')

    assert await ask(answer) == HangUpAction()

    def never(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(FlowFailed, match="ReadTimeout"):
        await ask(never)


@pytest.mark.parametrize("status", [204, 302, 404, 500])
async def test_any_other_status_is_a_refusal(status: int) -> None:
    tries: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        return httpx.Response(status, headers={"Location": "https://elsewhere.example"})

    with pytest.raises(FlowFailed, match=str(status)):
        await ask(answer)
    assert len(tries) == 1


async def test_a_long_answer_is_not_read() -> None:
    with pytest.raises(FlowFailed, match="65536 bytes"):
        await ask(lambda _: streamed(b" " * 65537))


async def test_a_flow_url_leads_to_public_addresses_only() -> None:
    async with http_client(OutboundGuard(), FLOW_URL) as client:
        with pytest.raises(FlowFailed, match="loopback"):
            await ask_flow(client, "https://127.0.0.1/flow", FACTS)
