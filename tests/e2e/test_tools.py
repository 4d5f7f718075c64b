# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent with a language model and tools, on a real call: the model and the API it uses are servers of their own."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.peers import softphone
from tests.simulators.openai_chat import Call, ChatRequest, OpenAiChatServer, Say, Script

SETTINGS = """
[outbound]
allow = ["127.0.0.0/8"]
[[route]]
match = "shop"
action = "agent"
[services.brain]
kind = "openai"
url = "{brain}"
model = "tiny"
[agents.clerk]
llm = "brain"
greeting = "Hello."
tools = ["hang_up", "orders.*"]
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
    if last["role"] == "tool":
        return [Say(f"It left {json.loads(last['content'])['left']}. Goodbye."), Call("hang_up")]
    return [Call("orders_get_order", {"id": "A 7/8"})]


def test_an_order_is_looked_up_while_the_caller_is_told_to_wait_and_the_call_is_ended(tmp_path: Path) -> None:
    with orders_api() as (orders, seen), OpenAiChatServer.in_thread(clerk) as brain:
        settings = SETTINGS.format(brain=brain.url, orders=orders)
        with GatewayProcess(tmp_path, settings, max_calls=20, record=False) as gateway:
            report = softphone(gateway, "shop", "--say", "Where is my order, please?")
            assert report["answered"]
            heard = " ".join(turn["heard"].lower() for turn in report["turns"])
            assert "moment" in heard
            assert "yesterday" in heard
            session = gateway.newest_session()
            metrics = gateway.page("/metrics")
            log = gateway.log.read_text()
    assert session["end_reason"] == "goodbye"
    assert seen == [("/api/orders/A%207%2F8", "Bearer s3cret")]
    assert [entry["text"] for entry in session["transcript"] if entry["role"] == "tool"] == ["orders.get_order: ok"]
    tools = [tool["function"]["name"] for tool in brain.requests[0].body["tools"]]
    assert tools == ["hang_up", "orders_get_order"]
    assert 'parley_llm_tokens_total{kind="completion",service="brain"}' in metrics
    assert 'parley_tool_seconds_count{outcome="ok"} 1.0' in metrics
    for secret in ("s3cret", "A 7/8", "yesterday", "order, please"):
        assert secret not in log
