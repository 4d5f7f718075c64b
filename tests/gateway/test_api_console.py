# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages: what they may do, what they are made of, and how they follow events with a key that no URL holds."""

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

import gateway.console
from gateway.api import bind_http, serving
from tests.gateway.test_api_calls import KEY, Api, api

__all__ = ["api"]

FOLDER = Path(gateway.console.__file__).parent
STATIC = sorted(path for path in (FOLDER / "static").rglob("*") if path.is_file())
PAGES = {"/": "index.html", "/call": "call.html"}
KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}
NEVER = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "createContextualFragment",
    "DOMParser",
    "eval(",
    "new Function",
    "localStorage",
    "document.cookie",
)
"""What makes code of text, or keeps what is to be forgotten."""


def address_of(path: Path) -> str:
    return f"/static/{path.relative_to(FOLDER / 'static').as_posix()}"


def offered(key: str) -> list[Subprotocol]:
    text = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    return [Subprotocol("parley.events"), Subprotocol(f"parley.key.{text}")]


@pytest.fixture
async def address(api: Api) -> AsyncIterator[str]:
    listener = bind_http("127.0.0.1", 0)
    async with serving(api.app, listener):
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/api/v1/events"


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_key_and_may_run_what_is_served_beside_it_alone(api: Api, path: str) -> None:
    page = await api.stranger.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    directives = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    for kind in ("script-src", "style-src", "connect-src"):
        assert directives[kind] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert directives["frame-ancestors"] == ("'none'" if path == "/" else "'self'")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_no_script_and_no_style_of_its_own(api: Api, path: str) -> None:
    html = (await api.stranger.get(path)).text
    assert len(re.findall(r"<script[^>]+src=[^>]+></script>", html)) == len(re.findall("<script", html)) == 1
    assert re.findall(r"<style|\son\w+=|\sstyle=|javascript:", html) == []
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", html)
    assert loaded
    for address in loaded:
        assert (await api.stranger.get(address)).status_code == 200, address


async def test_every_file_is_served_as_it_lies_there(api: Api) -> None:
    for path, content in ((path, path.read_bytes()) for path in STATIC):
        answer = await api.stranger.get(address_of(path))
        assert (answer.status_code, answer.content) == (200, content), path
        assert answer.headers["content-type"] == KINDS[path.suffix]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/call", "/static/parley.css", "/static/console/main.js"])
async def test_who_has_the_newest_already_is_told_so(api: Api, path: str) -> None:
    first = await api.stranger.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = await api.stranger.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = await api.stranger.get(path, headers={"If-None-Match": '"another"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", ["/static", "/static/", "/static/console", "/static/../index.html", "/static/none.js"])
async def test_nothing_else_is_there(api: Api, path: str) -> None:
    assert (await api.stranger.get(path)).status_code == 404


async def test_the_campaigns_old_address_leads_to_their_view(api: Api) -> None:
    answer = await api.stranger.get("/console/campaigns")
    assert (answer.status_code, answer.headers["location"]) == (308, "/#/campaigns")


@pytest.mark.parametrize("path", [*(FOLDER / name for name in PAGES.values()), *STATIC], ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere_and_no_text_becomes_code(path: Path) -> None:
    text = path.read_text()
    comments_and_names = r"^\s*//.*$|http://www\.w3\.org/\d+/svg"
    code = re.sub(comments_and_names, "", text, flags=re.MULTILINE)
    assert re.findall(r"https?://[\w.]+|@import|url\(", code) == []
    assert [unsafe for unsafe in NEVER if unsafe in text] == []
    assert re.findall(r"^(<{7}|>{7}|={7})", text, re.MULTILINE) == [], "a merge that nobody has finished"


@pytest.mark.parametrize("path", [path for path in STATIC if path.suffix == ".js"], ids=address_of)
def test_what_a_script_imports_is_there(path: Path) -> None:
    imports = r"^import .* from \"([^\"]+)\"|import\(\"([^\"]+)\""
    for named, asked_for in re.findall(imports, path.read_text(), re.MULTILINE):
        target = named or asked_for
        if target != "./views/":  # and a name: main.js
            found = FOLDER / target.removeprefix("/") if target.startswith("/") else path.parent / target
            assert found.is_file(), target


def test_every_place_of_the_console_has_its_view() -> None:
    console = FOLDER / "static" / "console"
    main = (console / "main.js").read_text()
    (places,) = re.findall(r"const PLACES = \[(.*?)\];", main, re.DOTALL)
    (singles,) = re.findall(r"const ONE_OF = \{(.*?)\};", main)
    names = re.findall(r"\[\"(\w+)\"", places) + re.findall(r": \"(\w+)\"", singles)
    assert len(names) == 11
    for name in names:
        text = (console / "views" / f"{name}.js").read_text()
        assert re.search(r"^export const title = ", text, re.MULTILINE), name
        assert re.search(r"^export (async )?function show\(", text, re.MULTILINE), name


async def test_the_console_follows_events_with_a_key_that_it_offers_as_a_subprotocol(api: Api, address: str) -> None:
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
