# SPDX-License-Identifier: GPL-3.0-or-later
"""The call page in Chromium: a stranger presses the button, hears the agent, asks, and breaks in."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, expect

from media.wav import write_wav
from tests.e2e.chromium import chromium, complaints
from tests.e2e.conftest import SENTENCE, Voice
from tests.e2e.gateway_process import API_KEY, GatewayProcess
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
