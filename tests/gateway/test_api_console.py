# SPDX-License-Identifier: GPL-3.0-or-later
"""The console: what its page may do, and how it follows events with a key that no URL holds."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateway.api import bind_http, serving
from tests.gateway.test_api_calls import KEY, Api, api

__all__ = ["api"]

PAGE = "/console/campaigns"


def offered(key: str) -> list[Subprotocol]:
    text = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    return [Subprotocol("parley.events"), Subprotocol(f"parley.key.{text}")]


@pytest.fixture
async def address(api: Api) -> AsyncIterator[str]:
    listener = bind_http("127.0.0.1", 0)
    async with serving(api.app, listener):
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/api/v1/events"


async def test_the_page_needs_no_key_and_runs_its_own_script_alone(api: Api) -> None:
    page = await api.stranger.get(PAGE)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    directives = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    assert directives["connect-src"] == "'self'"
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        assert directives[kind] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def test_nothing_in_the_page_comes_from_elsewhere_or_becomes_html(api: Api) -> None:
    html = (await api.stranger.get(PAGE)).text
    assert "<script>" in html
    assert re.findall(r"(?:src|href)\s*=\s*[\"']|@import|url\(|https?://", html) == []
    for unsafe in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        " onclick",
        "localStorage",
    ):
        assert unsafe not in html


async def test_the_page_follows_campaigns_with_a_key_that_it_offers_as_a_subprotocol(api: Api, address: str) -> None:
    async with connect(f"{address}?kinds=campaign.*", subprotocols=offered(KEY)) as feed:
        assert feed.subprotocol == "parley.events"
        assert json.loads(await feed.recv())["kind"] == "feed.started"
    async with connect(address, additional_headers={"Authorization": f"Bearer {KEY}"}) as feed:
        assert feed.subprotocol is None


@pytest.mark.parametrize(
    "protocols", [offered("another"), offered("")[:1], [Subprotocol("parley.key.A")], [Subprotocol("parley.key.")]]
)
async def test_a_key_that_is_none_opens_nothing(address: str, protocols: list[Subprotocol]) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(address, subprotocols=protocols)
    assert refusal.value.response.status_code == 401


async def test_a_key_needs_the_scope_for_events_there_as_well(api: Api, address: str) -> None:
    order = {"name": "desk", "scopes": ["campaigns"]}
    key = (await api.client.post("/api/v1/keys", json=order)).json()["key"]
    with pytest.raises(InvalidStatus) as refusal:
        await connect(address, subprotocols=offered(key))
    assert refusal.value.response.status_code == 403


async def test_a_request_that_is_no_websocket_has_its_key_in_the_header(api: Api) -> None:
    protocol = ", ".join(offered(KEY))
    answer = await api.stranger.get("/api/v1/calls", headers={"Sec-WebSocket-Protocol": protocol})
    assert answer.status_code == 401
