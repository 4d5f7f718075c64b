# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsers on the wire: who may open a call, and what a Chromium does with it: keys, another way, a relay, bridges."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.e2e.chromium import chromium
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.peers import softphone
from tests.gateway.webrtc.offers import CHROMIUM

pytestmark = pytest.mark.xdist_group("chromium")

_OPEN = """async ({key, order, relay}) => {
  const {BrowserCall, openMicrophone} = await import("/static/webrtc.js");
  if (relay) {
    const Peer = window.RTCPeerConnection;
    window.RTCPeerConnection = function (config) { return new Peer({...config, iceTransportPolicy: "relay"}); };
  }
  const audio = document.getElementById("audio");
  window.call = await BrowserCall.start({bearer: key, order, microphone: await openMicrophone(), audio});
  window.states = [];
  window.call.addEventListener("state", () => window.states.push(window.call.state));
  return window.call.callId;
}"""


@pytest.fixture
async def page(gateway: GatewayProcess) -> AsyncIterator[Page]:
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{gateway.http_address}/call")
        yield page


async def opened(page: Page, *, relay: bool = False, **order: Any) -> str:
    """A call that stands; its id."""
    call_id: str = await page.evaluate(_OPEN, {"key": API_KEY, "order": order, "relay": relay})
    await page.wait_for_function("() => window.call.state === 'connected'", timeout=15_000)
    return call_id


def post(gateway: GatewayProcess, path: str, key: str | None = API_KEY, **options: Any) -> httpx.Response:
    headers = {**({} if key is None else {"Authorization": f"Bearer {key}"}), **options.pop("headers", {})}
    return httpx.post(f"http://{gateway.http_address}/api/v1{path}", headers=headers, timeout=10, **options)


# Who may open one


def test_an_offer_as_sdp_is_answered_as_whip_has_it(gateway: GatewayProcess) -> None:
    answer = post(gateway, "/webrtc/offer", content=CHROMIUM, headers={"Content-Type": "application/sdp"})
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/sdp")
    assert answer.text.startswith("v=0")
    assert answer.headers["etag"] == '"ice-1"'
    location = f"http://{gateway.http_address}{answer.headers['location']}"
    own = {"Authorization": f"Bearer {API_KEY}"}
    fragment = (
        "a=ice-ufrag:7Eda\r\na=ice-pwd:vDfWG/1lL5PmXzgzY5SBg1Mu\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\n"
    )
    kind = {**own, "Content-Type": "application/trickle-ice-sdpfrag"}
    assert httpx.patch(location, headers=kind, content=fragment).status_code == 428
    assert httpx.patch(location, headers={**kind, "If-Match": '"ice-7"'}, content=fragment).status_code == 412
    assert httpx.patch(location, headers={**kind, "If-Match": '"ice-1"'}, content="nothing").status_code == 422
    assert httpx.patch(location, headers={**kind, "If-Match": '"ice-1"'}, content=fragment).status_code == 204
    assert httpx.delete(location, headers=own).status_code == 204
    wait_for(lambda: not gateway.get("/calls")["calls"], "the end of the call")
    assert httpx.patch(location, headers={**kind, "If-Match": "*"}, content=fragment).status_code == 404


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "body.sdp"),
        ({"sdp": "hello"}, "body"),
        ({"sdp": CHROMIUM, "agent": "receptionist", "to": "echo"}, "body"),
        ({"sdp": CHROMIUM, "metadata": {"a": 1}}, "body.metadata.a"),
    ],
)
def test_what_is_wrong_with_an_order_is_named(gateway: GatewayProcess, body: dict[str, Any], place: str) -> None:
    answer = post(gateway, "/webrtc/offer", json=body)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [place]


@pytest.mark.parametrize(
    ("order", "status"), [({"agent": "nobody"}, 422), ({"to": "closed"}, 403)], ids=["no such agent", "a route refuses"]
)
def test_where_nothing_leads_no_call_begins(gateway: GatewayProcess, order: dict[str, str], status: int) -> None:
    before = len(gateway.sessions())
    assert post(gateway, "/webrtc/offer", json={"sdp": CHROMIUM, **order}).status_code == status
    assert len(gateway.sessions()) == before


def test_a_page_token_opens_its_agent_from_its_origins_one_call_at_a_time(gateway: GatewayProcess) -> None:
    order = {"scope": "call", "agent": "receptionist", "ttl_s": 60, "origins": ["https://shop.example"]}
    token = post(gateway, "/tokens", json=order).json()["token"]
    sdp = {"sdp": CHROMIUM}
    assert post(gateway, "/webrtc/offer", token, json={**sdp, "to": "echo"}).status_code == 403
    assert post(gateway, "/webrtc/offer", token, json={**sdp, "desk": True}).status_code == 403
    assert post(gateway, "/webrtc/offer", token, json={**sdp, "from": "+14155550100"}).status_code == 403
    assert post(gateway, "/webrtc/offer", token, json={**sdp, "metadata": {"customer": "4711"}}).status_code == 403
    strange = {"Origin": "https://evil.example"}
    assert post(gateway, "/webrtc/offer", token, json=sdp, headers=strange).status_code == 403
    ours = {"Origin": "https://shop.example"}
    first = post(gateway, "/webrtc/offer", token, json=sdp, headers=ours)
    assert first.status_code == 201
    assert post(gateway, "/webrtc/offer", token, json=sdp, headers=ours).status_code == 503
    for path in ("/calls", "/sessions", "/tokens", "/events"):
        assert post(gateway, path, token, json={}).status_code == 401
    another = post(gateway, "/tokens", json=order).json()["token"]
    leave = f"http://{gateway.http_address}{first.headers['location']}"
    assert httpx.delete(leave, headers={"Authorization": f"Bearer {another}"}).status_code == 403
    assert httpx.delete(leave, headers={"Authorization": f"Bearer {token}"}).status_code == 204
    assert token not in gateway.log.read_text()


def test_without_public_agents_nobody_gets_a_token_without_a_key(gateway: GatewayProcess) -> None:
    assert post(gateway, "/webrtc/token", None).status_code == 401
    assert post(gateway, "/webrtc/offer", None, json={"sdp": CHROMIUM}).status_code == 401
    assert post(gateway, "/webrtc/offer", "pct_guessed", json={"sdp": CHROMIUM}).status_code == 403


# What a browser does with it


async def test_keys_reach_the_call_and_redundancy_brings_back_nothing_twice(
    gateway: GatewayProcess, page: Page
) -> None:
    call_id = await opened(page, to="agent")
    await asyncio.sleep(1.0)
    await page.evaluate("() => window.call.dtmf('1#')")
    await asyncio.sleep(1.5)
    await page.evaluate("() => window.call.hangUp()")
    session = gateway.newest_session(lambda one: one["call_id"] == call_id and one["recording_facts"] is not None)
    assert session["recording_facts"]["complete"]
    pressed = gateway.get(f"/events?call_id={call_id}&kinds=dtmf.received")["events"]
    assert [one["data"]["digit"] for one in pressed] == ["1", "#"]
    assert session["codec"] == "OPUS"
    assert session["quality"]["rx_lost"] == 0
    assert session["quality"]["mos"] > 4.0
    assert session["quality"]["tx_packets"] > 100


async def test_a_call_goes_on_by_another_way_when_the_first_is_lost(gateway: GatewayProcess, page: Page) -> None:
    call_id = await opened(page, to="echo")
    await page.evaluate("() => dispatchEvent(new Event('online'))")  # what a telephone tells that has changed networks
    await page.wait_for_function(
        "() => window.states.includes('reconnecting') && window.call.state === 'connected'", timeout=15_000
    )
    moved = f'"call_id": "{call_id}", "event": "browser_moved"'
    await asyncio.to_thread(wait_for, lambda: moved in gateway.log.read_text(), "the other way")
    before = (await page.evaluate("async () => await window.call.stats()"))["concealed_percent"]
    await asyncio.sleep(1.0)
    assert before is not None
    assert any(one["call_id"] == call_id for one in gateway.get("/calls")["calls"])
    await page.evaluate("() => window.call.hangUp()")
    session = gateway.newest_session(lambda one: one["call_id"] == call_id)
    assert session["end_reason"] == "caller_hung_up"


async def test_a_browser_talks_to_a_telephone(gateway: GatewayProcess, page: Page) -> None:
    """Chromium's own microphone beeps once a second, and the softphone hears it."""
    calling = asyncio.create_task(asyncio.to_thread(softphone, gateway, "manual", "--duration", "9"))
    telephone: str = await asyncio.to_thread(
        wait_for,
        lambda: next((one["call_id"] for one in gateway.get("/calls")["calls"] if one["ringing"]), None),
        "a ring",
    )
    gateway.post(f"/calls/{telephone}/answer")
    desk = await opened(page, desk=True)
    assert gateway.get(f"/calls/{desk}")["activity"] == "desk"
    answer = gateway.post(f"/calls/{telephone}/bridge", {"call_id": desk})
    assert answer.status_code == 200, answer.text
    await asyncio.sleep(3.0)
    heard = gateway.get(f"/calls/{telephone}")
    assert heard["activity"] == "bridge"
    gateway.post(f"/calls/{telephone}/unbridge")
    wait_for(lambda: gateway.get(f"/calls/{desk}")["activity"] == "desk", "the desk")
    await page.evaluate("() => window.call.hangUp()")
    report = await calling
    assert report["answered"]


@contextlib.contextmanager
def coturn(folder: Path) -> Iterator[int]:
    """Debian's TURN server on loopback and the machine's own addresses; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [
        "turnserver", "-n", "--listening-port", str(port), "--use-auth-secret", "--static-auth-secret=north",
        "--realm=parley.test", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli", "--min-port=46000",
        "--max-port=46199", "--log-file=stdout", f"--pidfile={folder}/coturn.pid", f"--userdb={folder}/coturn.db",
    ]  # fmt: skip
    with (folder / "coturn.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            time.sleep(1.0)
            assert server.poll() is None, (folder / "coturn.log").read_text()
            yield port
        finally:
            server.terminate()
            server.wait(10)


async def test_a_browser_that_reaches_us_by_a_relay_only_is_heard(tmp_path: Path) -> None:
    with coturn(tmp_path) as port:
        settings = f'[webrtc]\nturn = "127.0.0.1:{port}"\nturn_secret = "north"\n[agents.receptionist]\n'
        with GatewayProcess(tmp_path, settings) as gateway:
            async with chromium() as browser:
                page = await browser.new_page()
                await page.goto(f"http://{gateway.http_address}/call")
                call_id = await opened(page, relay=True)
                await asyncio.sleep(2.0)
                assert (await page.evaluate("async () => await window.call.stats()"))["way"] == "relay"
                await page.evaluate("() => window.call.hangUp()")
            session = gateway.newest_session(lambda one: one["call_id"] == call_id)
            assert session["quality"]["rx_packets"] > 50
            assert "north" not in gateway.log.read_text()


async def test_the_page_says_what_to_do_when_the_token_has_expired(gateway: GatewayProcess) -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{gateway.http_address}/call")
        await page.evaluate("() => sessionStorage.setItem('parley.key', 'pct_expired')")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("expired")
