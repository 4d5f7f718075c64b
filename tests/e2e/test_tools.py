# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents with a language model, on real calls: tools, kits that drive calls, an interpreter. The model and the API that
tools use are servers of their own."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import httpx2
import numpy as np
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from agent.tools.mcp import text_of
from tests.e2e.conftest import Voice
from tests.e2e.echo_caller import EchoLine
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.peers import softphone
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.e2e.test_control import standing_call
from tests.mulaw import from_mu_law
from tests.simulators.openai_chat import Call, ChatRequest, OpenAiChatServer, Say, Script

SETTINGS = """
[outbound]
allow = ["127.0.0.0/8"]
[[route]]
match = "shop"
action = "agent"
[[route]]
match = "echo"
action = "echo"
[services.brain]
kind = "openai"
url = "{brain}"
model = "tiny"
[agents.clerk]
llm = "brain"
greeting = "Hello."
tools = ["hang_up", "orders.*"]
[agents.clerk.lookup]
url = "{orders}/callers"
[tools.orders]
kind = "openapi"
url = "{orders}"
token = "s3cret"
openapi = '''
openapi: 3.1.0
paths:
  /orders/{{id}}:
    get:
      operationId: get_order
      summary: Where an order is.
      parameters:
        - {{name: id, in: path, required: true, schema: {{type: string}}}}
'''
"""


class _Orders(BaseHTTPRequestHandler):
    """An API that takes its time."""

    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        time.sleep(1.5)
        body = json.dumps({"order": "A 7/8", "left": "yesterday morning"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"customer since": 1987}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def orders_api() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    seen: list[tuple[str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Orders", (_Orders,), {"seen": seen}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api", seen
    finally:
        server.shutdown()
        server.server_close()


def clerk(request: ChatRequest) -> Script:
    """What a language model would do, in short."""
    last = request.last
    if request.messages[0]["content"].startswith("You interpret"):
        return [Say("She wants to know when you open tomorrow.")]
    if last["role"] == "tool":
        return [Say(f"It left {json.loads(last['content'])['left']}. Goodbye."), Call("hang_up")]
    return [Call("orders_get_order", {"id": "A 7/8"})]


@dataclass(frozen=True, slots=True)
class Shop:
    gateway: GatewayProcess
    brain: OpenAiChatServer
    seen: list[tuple[str, str | None]]
    """Path and key of each request to the API."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with orders_api() as (orders, seen), OpenAiChatServer.in_thread(clerk) as brain:
        settings = SETTINGS.format(brain=brain.url, orders=orders)
        gateway = GatewayProcess(folder, settings, max_calls=20, record=False)
        gateway.config.write_text(gateway.config.read_text().replace("[http]", "[http]\nmcp = true"))
        with gateway:
            yield Shop(gateway, brain, seen)


def test_an_order_is_looked_up_while_the_caller_is_told_to_wait_and_the_call_is_ended(shop: Shop) -> None:
    report = softphone(shop.gateway, "shop", "--say", "Where is my order, please?")
    assert report["answered"]
    heard = " ".join(turn["heard"].lower() for turn in report["turns"])
    assert "moment" in heard
    assert "yesterday" in heard
    session = shop.gateway.newest_session()
    assert session["end_reason"] == "goodbye"
    assert shop.seen == [("/api/orders/A%207%2F8", "Bearer s3cret")]
    assert [entry["text"] for entry in session["transcript"] if entry["role"] == "tool"] == ["orders.get_order: ok"]
    tools = [tool["function"]["name"] for tool in shop.brain.requests[0].body["tools"]]
    assert tools == ["hang_up", "orders_get_order"]
    assert "1987" in json.dumps(shop.brain.requests[0].body["messages"])
    metrics = shop.gateway.page("/metrics")
    assert 'parley_llm_tokens_total{kind="completion",service="brain"}' in metrics
    assert 'parley_tool_seconds_count{outcome="ok"} 1.0' in metrics
    log = shop.gateway.log.read_text()
    for secret in ("s3cret", "A 7/8", "yesterday", "order, please"):
        assert secret not in log


async def test_a_kit_that_speaks_mcp_follows_a_call_and_ends_it(shop: Shop) -> None:
    gateway = shop.gateway
    with RawCaller(gateway.sip_port) as caller:
        assert (await asyncio.to_thread(caller.invite, "echo")).code == 200
        async with kit(f"http://{gateway.http_address}/mcp", API_KEY) as client:
            listed = [tool.name for tool in (await client.list_tools()).tools]
            assert listed == ["place_call", "list_calls", "hang_up", "say", "read_transcript"]
            (call,) = (await use(client, "list_calls"))["calls"]
            told = await use(client, "say", call_id=call["call_id"], text="Hello from the kit.")
            assert told["ahead"] == 0
        program = StdioServerParameters(
            command=sys.executable,
            args=["-m", "gateway", "mcp", "--url", f"http://{gateway.http_address}"],
            env={"PARLEY_API_KEY": API_KEY},
        )
        async with Client(program, cache=None) as client:
            record = await use(client, "read_transcript", call_id=call["call_id"])
            assert (record["direction"], record["transcript"]) == ("inbound", [])
            assert await use(client, "hang_up", call_id=call["call_id"]) == {"done": True}
            failed = await client.call_tool("hang_up", {"call_id": "call_none"})
            assert failed.is_error
            assert "call_none" in text_of(failed)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_kit_may_do_what_its_key_may_do(shop: Shop, mode: str) -> None:
    gateway = shop.gateway
    key = gateway.post("/keys", {"name": "kit", "scopes": ["calls:read"]}).json()["key"]
    address = f"http://{gateway.http_address}/mcp"
    async with kit(address, key, mode) as client:
        assert (await use(client, "list_calls"))["calls"] == []
        placed = await client.call_tool("place_call", {"to": "sip:a@127.0.0.1:9"})
        assert placed.is_error
        assert "calls:write" in text_of(placed)
        misfit = await client.call_tool("place_call", {"too": "sip:a@127.0.0.1:9"})
        assert text_of(misfit).startswith("the arguments do not fit")
    async with httpx.AsyncClient() as plain:
        refused = await plain.post(address, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert refused.status_code == 401


def test_two_who_are_bridged_with_an_interpreter_hear_each_other_quietly_and_the_translation(
    shop: Shop, voice: Voice
) -> None:
    said = voice.say("What are your opening hours?", 8000)
    with standing_call(shop.gateway) as (caller, call_id), standing_call(shop.gateway) as (other, other_id):
        for one in (caller, other):
            one.speak(SILENCE)
        order: dict[str, Any] = {
            "call_id": other_id,
            "interpret": {"agent": "clerk", "language": "en", "other_language": "en"},
        }
        refused = shop.gateway.post(
            f"/calls/{call_id}/bridge", order | {"interpret": order["interpret"] | {"other_language": "es"}}
        )
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:parley:problem:unknown-language")
        bridged = shop.gateway.post(f"/calls/{call_id}/bridge", order)
        assert bridged.status_code == 200, bridged.text
        other.hear()
        EchoLine(caller, None).speak(said)
        line = EchoLine(caller, None)
        sound = np.zeros(0, np.int16)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and "tomorrow" not in (text := voice.hear(sound, 8000).lower()):
            line.listen(1.0)
            sound = np.concatenate([sound, *(from_mu_law(payload) for _, payload in other.hear())])
        assert "tomorrow" in text
        quiet = np.abs(sound[: len(said) // 2]).max()  # before the translation
        assert 0 < quiet < np.abs(said).max() / 4
        for one in (caller, other):
            one.bye("echo")
    assert "tomorrow" in said_in(shop.gateway, other_id, "assistant")
    assert "opening" in said_in(shop.gateway, call_id, "user")


def said_in(gateway: GatewayProcess, call_id: str, role: str) -> str:
    """What a role said, by the record of a call that is over."""
    session = wait_for(lambda: gateway.get(f"/sessions/{call_id}"), "the session")
    return " ".join(entry["text"].lower() for entry in session["transcript"] if entry["role"] == role)


@asynccontextmanager
async def kit(address: str, key: str, mode: str = "auto") -> AsyncIterator[Client]:
    """The official SDK's client; in mode `legacy` it begins with a handshake, as all did before 2026-07-28."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http,
        Client(streamable_http_client(address, http_client=http), cache=None, mode=mode) as client,
    ):
        yield client


async def use(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    found: dict[str, Any] = json.loads(text_of(result))
    return found
