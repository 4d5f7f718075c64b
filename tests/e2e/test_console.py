# SPDX-License-Identifier: GPL-3.0-or-later
"""The console in Chromium on a real gateway: who may come in, and everything that can be done with a call that stands,
made by the softphone."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.async_api import Locator, Page, expect

from media.wav import read_wav, write_wav
from tests.e2e.chromium import chromium, complaints
from tests.e2e.conftest import SENTENCE, Voice
from tests.e2e.console_page import faults, pictures, sign_in, signed_in
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.nursery import Child

pytestmark = pytest.mark.xdist_group("chromium")

RATE_HZ = 16000
OPERATOR = "The purple elephant is dancing in the garden."
_LOUDNESS = """() => new Promise((resolve) => {
  const context = new AudioContext(), analyser = context.createAnalyser(), samples = new Float32Array(2048);
  context.createMediaStreamSource(document.querySelector("audio").srcObject).connect(analyser);
  let loudest = 0;
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
  }, 40);
  setTimeout(() => { clearInterval(timer); context.close(); resolve(loudest); }, 2000);
})"""
"""How loud the operator's loudspeaker is within two seconds: 1 is as loud as can be."""
_PAINTED = """(canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const half = data.length / 2, painted = (from, to) => {
    let count = 0;
    for (let at = from + 3; at < to; at += 4) if (data[at] > 40) count += 1;
    return count;
  };
  return [painted(0, half), painted(half, data.length)];
}"""
"""Points of the waveform above and below its line."""
_KEEP_PARTIALS = """() => {
  window.partials = [];
  new MutationObserver(() => {
    for (const one of document.querySelectorAll(".transcript .partial .said")) window.partials.push(one.textContent);
  }).observe(document.querySelector(".transcript"), {childList: true, characterData: true, subtree: true});
}"""
"""They stand for a moment only."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("exchange"), "[agents.receptionist]\n", record=False) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def breaking_in(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A question, and while that is answered another one."""
    pause = np.zeros(round(2.8 * RATE_HZ), np.int16)
    second = voice.say_clearly("Stop, how much does a cleaning cost?", RATE_HZ)
    path = tmp_path_factory.mktemp("lines") / "breaking_in.wav"
    write_wav(path, np.concatenate([voice.say_clearly(SENTENCE, RATE_HZ), pause, second]), RATE_HZ)
    return path


@pytest.fixture(scope="module")
def operator(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone into which somebody says the same again and again, for a minute."""
    once = np.concatenate([voice.say_clearly(OPERATOR, RATE_HZ), np.zeros(RATE_HZ, np.int16)])
    path = tmp_path_factory.mktemp("lines") / "operator.wav"
    write_wav(path, np.tile(once, 60 * RATE_HZ // len(once)), RATE_HZ)
    return path


@asynccontextmanager
async def live_call(gateway: GatewayProcess, folder: Path, *options: str) -> AsyncIterator[dict[str, Any]]:
    """A call that the softphone makes, as the API shows it; over when the softphone has ended by itself."""
    command = ["softphone", gateway.uri("reception"), "--bind", "127.0.0.1", "--duration", "60", *options]
    with (folder / "softphone.log").open("wb") as log:
        phone = Child(command, log)
        try:
            yield await asyncio.to_thread(wait_for, lambda: _standing(gateway), "the call", 30)
            await asyncio.to_thread(phone.wait, 15)
        finally:
            phone.kill()


def _standing(gateway: GatewayProcess) -> dict[str, Any] | None:
    calls: list[dict[str, Any]] = gateway.get("/calls")["calls"]
    return next((call for call in calls if call["activity"] == "agent"), None)


async def open_call(page: Page, call: dict[str, Any]) -> None:
    await page.locator(f"tr[data-call='{call['call_id']}'] a").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("reception")


async def press(page: Page, name: str) -> None:
    await page.get_by_role("region", name="Actions").get_by_role("button", name=name, exact=True).click()


def said_at(page: Page) -> Locator:
    """What the page says about the operator's own leg."""
    return page.get_by_role("region", name="Actions").get_by_role("status")


async def becomes(gateway: GatewayProcess, call_id: str, **wanted: object) -> None:
    def look() -> bool:
        call = gateway.get(f"/calls/{call_id}")
        return all(call[name] == value for name, value in wanted.items())

    await asyncio.to_thread(wait_for, look, str(wanted))


async def test_a_wrong_key_is_told_what_to_do_and_the_right_one_comes_in(exchange: GatewayProcess) -> None:
    for dark in (False, True):
        async with chromium(dark=dark) as browser:
            page = await browser.new_page()
            with complaints(page) as said:
                await page.goto(f"http://{exchange.http_address}/#/latency")
                await expect(page.get_by_label("API key")).to_be_focused()
                await sign_in(page, "wrong")
                await expect(page.get_by_role("alert")).to_contain_text("wrong, has expired or was revoked")
                await expect(page.get_by_role("alert")).to_contain_text("parley keys add")
                await expect(page.get_by_label("API key")).to_be_focused()
                assert await faults(page) == []
                await pictures(page, f"sign-in-NNN{'-dark' if dark else ''}")
                await sign_in(page)
                await expect(page.get_by_role("heading", level=1)).to_have_text("Latency")
                await page.reload()
                await expect(page.get_by_role("heading", level=1)).to_have_text("Latency")
                await page.get_by_role("button", name="Sign out").click()
                await expect(page.get_by_label("API key")).to_be_visible()
                assert await page.evaluate("() => sessionStorage.length + localStorage.length") == 0
            assert [one for one in said if "status of 401" not in one] == []
            assert API_KEY not in page.url
    assert API_KEY not in exchange.log.read_text()


async def test_a_key_that_is_revoked_meanwhile_leads_to_the_sign_in(exchange: GatewayProcess) -> None:
    made = exchange.post("/keys", {"name": "desk", "scopes": ["calls:read", "events"]}).json()
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{exchange.http_address}/")
        await sign_in(page, made["key"])
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
        exchange.delete(f"/keys/{made['key_id']}")
        await page.get_by_role("link", name="Latency").click()
        await expect(page.get_by_role("alert")).to_contain_text("revoked, or it has expired")
        await expect(page.get_by_label("API key")).to_be_visible()


async def test_a_key_without_the_scope_is_told_which_one(exchange: GatewayProcess) -> None:
    made = exchange.post("/keys", {"name": "lists", "scopes": ["campaigns"]}).json()
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{exchange.http_address}/")
        await sign_in(page, made["key"])
        await expect(page.get_by_role("heading", level=1)).to_have_text("This key may not see this")
        await expect(page.locator("main")).to_contain_text("calls:read")


async def test_what_takes_a_while_is_shown_until_it_is_over(exchange: GatewayProcess) -> None:
    campaign_id = exchange.post("/campaigns", {"name": "Long"}).json()["campaign_id"]
    line, seen = "+14155550100\n", threading.Event()

    def contacts() -> Iterator[bytes]:
        yield f"number\n{line * 500}".encode()
        seen.wait(20)
        yield (line * 500).encode()

    def send() -> httpx.Response:
        address = f"http://{exchange.http_address}/api/v1/campaigns/{campaign_id}/contacts"
        size = len("number\n") + 1000 * len(line)
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "text/csv", "Content-Length": str(size)}
        return httpx.post(address, content=contacts(), headers=headers, timeout=30)

    async with signed_in(exchange) as page:
        sending = asyncio.ensure_future(asyncio.to_thread(send))
        work = page.get_by_role("region", name="Work under way")
        try:
            await expect(work).to_contain_text(f"Reading the list of {campaign_id}")
            await expect(work.get_by_role("progressbar", name=campaign_id)).to_be_visible()
            assert await faults(page) == []
        finally:
            seen.set()
        assert (await sending).status_code == 200
        await expect(page.get_by_text(f"Reading the list of {campaign_id}")).to_be_hidden()


async def test_a_call_appears_and_is_followed_word_by_word_to_its_end(
    exchange: GatewayProcess, breaking_in: Path, tmp_path: Path
) -> None:
    async with signed_in(exchange) as page:
        await expect(page.get_by_text("There are no calls now.")).to_be_visible()
        async with live_call(exchange, tmp_path, "--play", str(breaking_in)) as call:
            row = page.locator(f"tr[data-call='{call['call_id']}']")
            for text in ("reception", "receptionist", "OPUS", "agent", "0:0"):
                await expect(row).to_contain_text(text)
            await page.get_by_label("Filter calls").fill("nobody")
            await expect(row).to_be_hidden()
            await page.get_by_label("Filter calls").fill("RECEPTIONIST opus")
            await expect(row).to_be_visible()
            await pictures(page, "calls-live-NNN")
            await open_call(page, call)
            transcript = page.get_by_role("list", name="Transcript")
            await page.evaluate(_KEEP_PARTIALS)
            asked = transcript.locator(".user:not(.partial)").first
            await expect(asked).to_contain_text("opening hours", timeout=20_000)
            assert "opening" in " ".join(await page.evaluate("() => window.partials"))
            await expect(page.get_by_text("We: speaking")).to_be_visible()
            await expect(transcript.locator(".user:not(.partial)").nth(1)).to_contain_text("cost", timeout=20_000)
            cut = transcript.locator(".assistant", has_text="caller broke in")
            await expect(cut).to_have_count(1)
            await expect(cut.locator("s")).not_to_be_empty()
            above, below = await page.locator("canvas.waveform").evaluate(_PAINTED)
            assert above > 500
            assert below > 500
            await _look_at_the_waterfall(page, exchange, call["call_id"])
            await expect(page.get_by_role("region", name="Facts")).to_contain_text("MOS", timeout=15_000)
            assert await faults(page) == []
            await pictures(page, "call-live-NNN")
            await page.emulate_media(color_scheme="dark")
            assert await faults(page) == []
            await pictures(page, "call-live-NNN-dark")
            await press(page, "Hang up…")
            await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
            assert exchange.get(f"/calls/{call['call_id']}")["state"] == "active"
            await press(page, "Hang up…")
            await page.get_by_role("dialog").get_by_role("button", name="Hang up").click()
            await expect(transcript).to_contain_text("The call is over: api")
            await expect(page.get_by_role("button", name="Hold")).to_be_disabled()
        await page.get_by_role("link", name="Calls", exact=True).click()
        await expect(row).to_be_hidden()
        await page.get_by_role("link", name="Latency").click()
        await expect(page.get_by_role("table").first).to_contain_text("All agents")
        assert await faults(page) == []
        await pictures(page, "latency-NNN")
        await page.emulate_media(color_scheme="dark")
        assert await faults(page) == []


async def _look_at_the_waterfall(page: Page, gateway: GatewayProcess, call_id: str) -> None:
    """Each turn's segments are named, in ms, and are those of the session."""
    latency = page.get_by_role("region", name="Latency")
    await expect(latency.locator("details")).to_have_count(2, timeout=15_000)
    await expect(latency).to_contain_text("p95")
    first = gateway.get(f"/sessions/{call_id}")["turns"][0]
    details = latency.locator(f"details[data-turn='{first['index']}']")
    await expect(details.locator("summary")).to_contain_text(f"{first['response_ms']:.0f} ms")
    await details.locator("summary").click()
    assert await details.evaluate("(one) => one.open")
    steps = details.get_by_role("table")
    await expect(steps.get_by_role("row", name="end of turn")).to_contain_text(" ms")
    widths = await steps.locator("td .segment").evaluate_all("(all) => all.map((one) => parseFloat(one.style.width))")
    assert len(widths) == len(first["segments_ms"])
    assert abs(sum(widths) - 100) < 1


async def test_an_operator_holds_mutes_and_transfers_a_call(exchange: GatewayProcess, tmp_path: Path) -> None:
    async with signed_in(exchange, refusal=404) as page, live_call(exchange, tmp_path) as call:
        call_id = call["call_id"]
        await open_call(page, call)
        await press(page, "Hold")
        await becomes(exchange, call_id, state="held")
        await expect(page.get_by_text("on hold", exact=True)).to_be_visible()
        await press(page, "Resume")
        await becomes(exchange, call_id, state="active")
        await press(page, "Mute our side")
        await becomes(exchange, call_id, muted=True)
        await expect(page.get_by_role("button", name="Mute our side")).to_have_attribute("aria-pressed", "true")
        await press(page, "Mute our side")
        await press(page, "Mute the caller")
        await becomes(exchange, call_id, muted=False, muted_theirs=True)
        await press(page, "Transfer…")
        await page.get_by_label("SIP URI or number").fill("sip:ann@192.0.2.7")
        assert await faults(page) == []
        await page.get_by_role("dialog").get_by_role("button", name="Transfer").click()
        await expect(page.get_by_role("list", name="Transcript")).to_contain_text("Transfer: failed")
        assert exchange.get(f"/calls/{call_id}")["transfer"]["to"] == "sip:ann@192.0.2.7"
        exchange.post(f"/calls/{call_id}/hangup")
        await expect(page.get_by_text("over", exact=True)).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text("This call is over")


async def test_an_operator_listens_whispers_takes_the_call_over_and_gives_it_back(
    exchange: GatewayProcess, operator: Path, voice: Voice, tmp_path: Path
) -> None:
    heard_by_caller = tmp_path / "heard.wav"
    async with (
        signed_in(exchange, microphone=operator) as page,
        live_call(exchange, tmp_path, "--record", str(heard_by_caller)) as call,
    ):
        call_id = call["call_id"]
        answered_at = datetime.fromisoformat(call["answered_at"]).timestamp()
        await open_call(page, call)
        await press(page, "Listen in")
        await expect(said_at(page)).to_have_text("You are listening; nobody hears you.")
        exchange.post(f"/calls/{call_id}/say", {"text": "Thank you for waiting. Somebody will be with you soon."})
        assert await page.evaluate(_LOUDNESS) > 0.05
        await press(page, "Whisper")
        await expect(said_at(page)).to_have_text("Our side hears you; the caller does not.")
        transcript = page.get_by_role("list", name="Transcript")
        await expect(transcript.locator(".user", has_text="elephant").first).to_be_visible(timeout=15_000)
        await press(page, "Take over")
        await expect(said_at(page)).to_contain_text("You talk to the caller.")
        taken_over_s = time.time() - answered_at
        await becomes(exchange, call_id, activity="bridge")
        await asyncio.sleep(6)  # speech in real time
        await press(page, "Give back")
        await becomes(exchange, call_id, activity="agent")
        await expect(page.get_by_role("button", name="Take over")).to_be_visible()
        await asyncio.to_thread(
            wait_for, lambda: len(exchange.get("/calls")["calls"]) == 1, "the end of the desk's leg"
        )
        await press(page, "Barge in")
        await expect(said_at(page)).to_have_text("Everybody hears you.")
        await press(page, "Barge in")
        await expect(said_at(page)).to_have_text("")
        exchange.post(f"/calls/{call_id}/hangup")
    samples, rate_hz = read_wav(heard_by_caller)
    at = round((taken_over_s - 0.5) * rate_hz)
    before, after = samples[:at], samples[at : at + 7 * rate_hz]
    words = [(await asyncio.to_thread(voice.hear, part, rate_hz)).lower() for part in (before, after)]
    assert "elephant" not in words[0]
    assert "elephant" in words[1]
