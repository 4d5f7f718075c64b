# SPDX-License-Identifier: GPL-3.0-or-later
"""The console in Chromium: signed in, looked at in every width, and gone through by axe-core."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, expect

from tests.e2e.chromium import AXE_CORE, chromium, complaints
from tests.e2e.gateway_process import API_KEY, GatewayProcess

ARTEFACTS = Path("test-artefacts") / "console"
"""Pictures, to be looked at."""
WIDTHS = (390, 1024, 1920)


@asynccontextmanager
async def signed_in(
    gateway: GatewayProcess,
    *,
    width: int = 1024,
    dark: bool = False,
    refusal: int | None = None,
    microphone: Path | None = None,
) -> AsyncIterator[Page]:
    """A page of the console; what it complains of fails the test, but for an answer with the status `refusal`, which
    the browser tells of by itself."""
    async with chromium(microphone, width=width, height=900, dark=dark) as browser:
        page = await browser.new_page()
        with complaints(page) as said:
            await page.goto(f"http://{gateway.http_address}/")
            await sign_in(page)
            await expect(page.get_by_role("navigation", name="Console")).to_be_visible()
            yield page
        assert [one for one in said if refusal is None or f"status of {refusal}" not in one] == []
        assert API_KEY not in page.url


async def sign_in(page: Page, key: str = API_KEY) -> None:
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()


async def faults(page: Page) -> list[str]:
    """What axe-core finds that is serious."""
    await page.evaluate(AXE_CORE[-1].read_text(encoding="utf-8"))
    found = await page.evaluate(
        "async () => (await axe.run()).violations.map((one) => [one.impact, one.id, one.nodes.length])"
    )
    return [f"{name} x{count}" for impact, name, count in found if impact in ("serious", "critical")]


async def pictures(page: Page, name: str) -> None:
    """One for every width, in which nothing may stand out to the side."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        overflow = await page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, (name, width)
        await page.screenshot(path=ARTEFACTS / f"{name.replace('NNN', str(width))}.png", full_page=True)
    assert before is not None
    await page.set_viewport_size(before)
