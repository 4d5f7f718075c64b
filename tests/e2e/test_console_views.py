# SPDX-License-Identifier: GPL-3.0-or-later
"""The console's views of what stays and what is set, in Chromium on a real gateway, each with real content."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.e2e.console_page import faults, pictures, signed_in
from tests.e2e.gateway_process import API_KEY, GatewayProcess
from tests.e2e.peers import softphone

pytestmark = pytest.mark.xdist_group("chromium")

_SETTINGS = """
[agents.receptionist]
[[trunk]]
name = "carrier"
host = "127.0.0.1:9"
options_s = 0
allow = ["203.0.113.0/24"]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with one recorded call, a campaign and a trunk."""
    with GatewayProcess(tmp_path_factory.mktemp("desk"), _SETTINGS, record=True) as gateway:
        report = softphone(gateway, "agent", "--say", "What are your opening hours?")
        assert report["exit"] == 0
        gateway.newest_session(lambda session: session["recording_facts"] is not None)
        made = gateway.post("/campaigns", {"name": "Reminders"}).json()
        gateway.post(f"/campaigns/{made['campaign_id']}/contacts", {"contacts": [{"number": "+14155550100"}]})
        yield gateway


async def look(page: Page, gateway: GatewayProcess, place: str, heading: str) -> None:
    await page.goto(f"http://{gateway.http_address}/#/{place}")
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_view_fits_every_width_and_has_no_serious_fault(desk: GatewayProcess, dark: bool) -> None:
    call_id = desk.sessions()[0]["call_id"]
    places = {
        "sessions": "Sessions",
        f"sessions/{call_id}": None,
        "campaigns": "Campaigns",
        "trunks": "Trunks",
        "agents": "Agents",
        "agents/receptionist": "receptionist",
        "services": "Services",
        "settings": "Settings",
    }
    async with signed_in(desk, dark=dark) as page:
        for place, heading in places.items():
            await page.goto(f"http://{desk.http_address}/#/{place}")
            shown = page.get_by_role("heading", level=1)
            await (expect(shown).to_be_visible() if heading is None else expect(shown).to_contain_text(heading))
            assert await faults(page) == [], place
            one = "-one" if "/" in place else ""
            await pictures(page, f"{place.split('/')[0]}{one}-NNN{'-dark' if dark else ''}")


async def test_a_recording_is_heard_where_the_transcript_says(desk: GatewayProcess) -> None:
    call_id = desk.sessions()[0]["call_id"]
    async with signed_in(desk) as page:
        await page.goto(f"http://{desk.http_address}/#/sessions/{call_id}")
        await page.get_by_role("button", name="Load the recording").click()
        await expect(page.get_by_role("img", name="The recording")).to_be_visible()
        asked = page.locator(".transcript .user").first
        await asked.get_by_role("button").click()
        await expect(asked).to_have_attribute("aria-current", "true")
        session = desk.get(f"/sessions/{call_id}")
        begin_ms = next(one["started_ms"] for one in session["transcript"] if one["role"] == "user")
        at_ms = 1000 * await page.evaluate("() => document.querySelector('audio').currentTime")
        assert 0 <= at_ms + session["recording_facts"]["started_ms"] - begin_ms < 1500
        await expect(page.get_by_role("region", name="Latency")).to_contain_text("Turn 1")
        await expect(page.get_by_role("table", name="SIP messages")).to_contain_text("INVITE")


async def test_an_agent_is_edited_and_taken_back_and_nobody_loses_what_he_typed(desk: GatewayProcess) -> None:
    async with signed_in(desk, refusal=409) as page:
        await look(page, desk, "agents/receptionist", "receptionist")
        await page.get_by_label("Greeting").fill("Good day from the console.")
        await page.get_by_label("Why").fill("friendlier")
        await page.get_by_role("button", name="Save as a new version").click()
        await expect(page.get_by_text("version 1", exact=True)).to_be_visible()
        assert desk.get("/agents/receptionist")["greeting"] == "Good day from the console."
        edited = {"base_version": 1, "greeting": "Somebody else was here."}
        assert desk.put("/agents/receptionist", edited).status_code == 200
        await page.get_by_label("Greeting").fill("My second thought.")
        await page.get_by_role("button", name="Save as a new version").click()
        await expect(page.get_by_text("Somebody has saved version 2 meanwhile")).to_be_visible()
        assert await page.get_by_label("Greeting").input_value() == "My second thought."
        await page.get_by_role("button", name="Save as a new version").click()
        await expect(page.get_by_text("version 3", exact=True)).to_be_visible()
        versions = page.get_by_role("region", name="Versions")
        await versions.get_by_text("Version 0").click()
        await versions.get_by_role("button", name="Restore version 0").click()
        await page.get_by_role("dialog").get_by_role("button", name="Restore").click()
        await expect(page.get_by_text("version 4", exact=True)).to_be_visible()
    assert desk.get("/agents/receptionist")["greeting"] == "Hello, how can I help you?"
    report = softphone(desk, "agent", "--say", "Thank you, goodbye.")
    assert report["exit"] == 0


async def test_a_campaign_is_cancelled_after_a_question(desk: GatewayProcess) -> None:
    async with signed_in(desk) as page:
        await look(page, desk, "campaigns", "Campaigns")
        campaign = page.get_by_role("region", name="Reminders")
        await expect(campaign).to_contain_text("0 of 1 done")
        await campaign.get_by_role("button", name="start").click()
        await campaign.get_by_role("button", name="pause").click()
        await campaign.get_by_role("button", name="cancel").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes").click()
        await expect(campaign).to_contain_text("cancelled")
    assert desk.get("/campaigns")["campaigns"][0]["state"] == "cancelled"


async def test_settings_are_found_and_secrets_are_not(desk: GatewayProcess) -> None:
    async with signed_in(desk) as page:
        await look(page, desk, "settings", "Settings")
        await page.get_by_label("Find").fill("http.api_keys")
        await expect(page.get_by_role("table", name="Settings")).to_contain_text("set, hidden")
        assert API_KEY not in await page.content()


async def test_a_trunk_that_does_not_answer_is_shown(desk: GatewayProcess) -> None:
    async with signed_in(desk) as page:
        await look(page, desk, "trunks", "Trunks")
        await expect(page.get_by_role("table", name="Trunks")).to_contain_text("carrier")
