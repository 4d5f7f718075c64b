# SPDX-License-Identifier: GPL-3.0-or-later
"""The call page in Chromium: a stranger presses the button, hears the agent, asks, and breaks in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, expect

from media.wav import write_wav
from tests.e2e.chromium import chromium, complaints
from tests.e2e.conftest import SENTENCE, Voice
from tests.e2e.console_page import faults, pictures
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.page_ears import RATE_HZ, PageEars

pytestmark = pytest.mark.xdist_group("chromium")


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """An agent that everybody may call."""
    folder = tmp_path_factory.mktemp("open")
    settings = '[webrtc]\npublic_agents = ["receptionist"]\n[agents.receptionist]\n'
    with GatewayProcess(folder, settings, record=False) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def conversation(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone: six seconds of nothing, a question, and while that is answered another one."""
    quiet = np.zeros(6 * RATE_HZ, np.int16)
    question = voice.say_clearly(SENTENCE, RATE_HZ)
    breaks_in = voice.say_clearly("Stop, how much does a cleaning cost?", RATE_HZ)
    pause = np.zeros(round(3.2 * RATE_HZ), np.int16)
    path = tmp_path_factory.mktemp("microphone") / "conversation.wav"
    write_wav(path, np.concatenate([quiet, question, pause, breaks_in, quiet, quiet]), RATE_HZ)
    return path


async def call(page: Page, gateway: GatewayProcess) -> None:
    await page.goto(f"http://{gateway.http_address}/call")
    await page.get_by_role("button", name="Call", exact=True).click()
    await expect(page.get_by_role("status")).to_contain_text("You are connected", timeout=10_000)


async def test_a_stranger_hears_the_greeting_asks_is_answered_and_breaks_in(
    open_gateway: GatewayProcess, conversation: Path, voice: Voice
) -> None:
    async with chromium(conversation) as browser:
        page = await browser.new_page()
        with complaints(page) as said_by_the_page:
            await page.goto(f"http://{open_gateway.http_address}/call")
            ears = PageEars(page)
            await ears.begin()
            await page.get_by_role("button", name="Call", exact=True).click()
            await expect(page.get_by_role("status")).to_contain_text("You are connected", timeout=10_000)
            await ears.listen()
            own = page.locator("#captions li.user:not(.partial)")
            await expect(own.first).to_contain_text("opening hours", ignore_case=True, timeout=20_000)
            await expect(own.nth(1)).to_contain_text("cost", ignore_case=True, timeout=20_000)
            await asyncio.sleep(4.0)
            heard, _ = await ears.taken()
            await page.get_by_role("button", name="Hang up").click()
            await expect(page.get_by_role("status")).to_have_text("You have hung up.")
            cut = await page.locator("#captions li.assistant s").count()
        assert said_by_the_page == []
    session = open_gateway.newest_session()
    assert session["codec"] == "OPUS"
    assert session["end_reason"] == "caller_hung_up"
    assert session["metadata"]["transport"] == "webrtc"
    interrupted = [entry for entry in session["transcript"] if entry["interrupted"]]
    assert len(interrupted) == 1
    assert cut == 1
    words = (await asyncio.to_thread(voice.hear, heard, RATE_HZ)).lower()
    assert "monday" in words or "open" in words, words


async def test_without_a_token_of_its_own_the_page_asks_for_a_key(gateway: GatewayProcess) -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://{gateway.http_address}/call")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("give an API key")
        await page.get_by_label("API key").fill("wrong")
        await page.get_by_role("button", name="Use this key").click()
        await expect(page.get_by_role("status")).to_contain_text("This key is wrong, has expired")
        await page.get_by_label("API key").fill(API_KEY)
        await page.get_by_role("button", name="Use this key").click()
        await expect(page.get_by_role("status")).to_contain_text("You are connected", timeout=10_000)
        assert API_KEY not in page.url
        await page.get_by_role("button", name="Hang up").click()
    assert API_KEY not in gateway.log.read_text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_the_page_fits_every_width_and_has_no_serious_fault_before_and_in_a_call(
    open_gateway: GatewayProcess, dark: bool
) -> None:
    name = f"call-NNN{'-dark' if dark else ''}"
    async with chromium(dark=dark) as browser:
        page = await browser.new_page()
        await page.goto(f"http://{open_gateway.http_address}/call")
        assert await faults(page) == []
        await pictures(page, name)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("You are connected", timeout=10_000)
        await expect(page.locator("#captions li.assistant").first).to_be_visible(timeout=10_000)
        await page.get_by_role("button", name="Keypad").click()
        assert await faults(page) == []
        await pictures(page, f"standing-{name}")
        await page.get_by_role("button", name="Hang up").click()


WIDGET_PAGE = """<!doctype html><title>Shop</title><h1>Shop</h1>
<script src="http://{gateway}/static/widget.js" data-agent="receptionist"{more}></script>"""


async def test_a_site_of_its_own_has_the_button_and_others_may_not_frame_the_page(
    tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """Two sites on ports of their own; only the first is in `webrtc.origins`."""
    shop, stranger = unused_tcp_port_factory(), unused_tcp_port_factory()
    settings = (
        f'[webrtc]\npublic_agents = ["receptionist"]\norigins = ["http://127.0.0.1:{shop}"]\n[agents.receptionist]\n'
    )
    with GatewayProcess(tmp_path_factory.mktemp("widget"), settings, record=False) as gateway:
        site = WIDGET_PAGE.format(gateway=gateway.http_address, more="")
        async with serving_page(shop, site), serving_page(stranger, site), chromium() as browser:
            page = await browser.new_page()
            await page.goto(f"http://127.0.0.1:{shop}/")
            await page.get_by_role("button", name="Call us").click()
            frame = page.frame_locator("iframe[title='Call us']")
            await frame.get_by_role("button", name="Call", exact=True).click()
            await expect(frame.get_by_role("status")).to_contain_text("You are connected", timeout=10_000)
            assert len(gateway.get("/calls")["calls"]) == 1
            await page.get_by_role("button", name="Call us").click()  # closes the frame, and hangs up
            await asyncio.to_thread(wait_for, lambda: not gateway.get("/calls")["calls"], "the end of the call")
            other = await browser.new_page()
            with complaints(other) as said:
                await other.goto(f"http://127.0.0.1:{stranger}/")
                await other.get_by_role("button", name="Call us").click()
                await asyncio.sleep(1.0)
            assert any("frame-ancestors" in one for one in said)


@asynccontextmanager
async def serving_page(port: int, html: str) -> AsyncIterator[None]:
    """A web server that has one page."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = html.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield
