# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Chromium, driven by Playwright, with a WAV file as its microphone."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
AXE_CORE = sorted(Path("~/.cache/parley").expanduser().glob("axe-core@*/axe.min.js"))
"""What scripts/setup.sh has fetched."""


@contextlib.asynccontextmanager
async def chromium(
    microphone: Path | None = None,
    *,
    width: int = 1280,
    height: int = 800,
    dark: bool = False,
    arguments: tuple[str, ...] = (),
) -> AsyncIterator[BrowserContext]:
    """One browser with one empty profile. `microphone`: a WAV file that is heard once; None: Chromium's own beeps."""
    speech = [] if microphone is None else [f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",  # tests may run as root
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--autoplay-policy=no-user-gesture-required",
                *speech,
                *arguments,
            ],
        )
        try:
            yield await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
        finally:
            await browser.close()


@contextlib.contextmanager
def complaints(page: Page) -> Iterator[list[str]]:
    """What the page says to the console as errors, and what it throws, while inside."""
    heard: list[str] = []

    def receive(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.append(message.text)

    page.on("console", receive)
    page.on("pageerror", lambda error: heard.append(str(error)))
    yield heard
