# SPDX-License-Identifier: GPL-3.0-or-later
"""The console's views of what stays and what is set, in Chromium on a real gateway, each with real content."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Download, Locator, Page, expect

from media.frames import PcmSamples
from tests.e2e.conftest import SENTENCE, Voice
from tests.e2e.console_page import faults, pictures, signed_in
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller
from tests.e2e.sip_server import SipServer
from tests.e2e.spoken_line import Line
from tests.simulators.stack import in_thread

pytestmark = pytest.mark.xdist_group("chromium")

_SETTINGS = """
[services.openai_brain.price]
prompt_per_million = 2.5
completion_per_million = 10.0
[agents.receptionist]
[agents.other]
[agents.third]
llm = "gemini_brain"
[agents.fourth]
[[route]]
match = "agent"
action = "agent"
agent = "receptionist"
[[trunk]]
name = "carrier"
host = "{carrier}"
username = "alice"
password = "{password}"
register = true
allow = ["203.0.113.0/24"]
[[trunk]]
name = "spare"
host = "{silent}"
options_s = 1
"""
_PASSWORD = "known-to-the-carrier"
_POLICY = {
    "agent": "receptionist",
    "trunk": "carrier",
    "windows": [{"from": "00:00", "to": "24:00"}],
    "cps": 0.5,
    "attempts": {"max": 1},
}
_COLOURS = """(canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const half = 4 * Math.floor(data.length / 8);
  return [[0, half], [half, data.length]].map(([from, to]) => {
    const seen = new Map();
    for (let at = from; at < to; at += 4) {
      const colour = data.slice(at, at + 3).join();
      if (data[at + 3] === 255) seen.set(colour, (seen.get(colour) || 0) + 1);
    }
    return [...seen].sort((a, b) => b[1] - a[1])[0];
  });
}"""
"""The most frequent colour above and below the line, with its points."""


@dataclass(frozen=True)
class Desk:
    """What the views have to show."""

    gateway: GatewayProcess
    carrier: SipServer
    call_id: str
    """Of the recorded call."""


def ask(gateway: GatewayProcess, user: str, question: PcmSamples) -> None:
    """A call with this question, whose answer is heard."""
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite(user).code == 200
        line = Line(caller)
        line.until_heard(5.0)
        line.listen(2.5)
        line.speak(question)
        line.until_heard(8.0)
        line.listen(2.0)
        assert caller.bye(user).code == 200


@pytest.fixture(scope="module")
def desk(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One recorded call, one by services, an agent in two versions, a trunk that is registered and one that is dead."""
    with ExitStack() as stack:
        carrier, silent = SipServer(invite=486), SipServer(options=None)
        stack.enter_context(carrier)
        stack.enter_context(silent)
        services = stack.enter_context(in_thread())
        agent = services.agent("openai")
        used = [one.toml for one in services.services if one.name in {*agent.keys.values(), "gemini_brain"}]
        settings = _SETTINGS.format(carrier=carrier.host, silent=silent.host, password=_PASSWORD)
        folder = tmp_path_factory.mktemp("desk")
        gateway = stack.enter_context(GatewayProcess(folder, "\n".join([*used, agent.toml, settings]), record=True))
        question = voice.say_clearly(SENTENCE, 8000)
        with ThreadPoolExecutor() as callers:
            list(callers.map(lambda user: ask(gateway, user, question), ("openai", "agent")))
        call_id = next(one["call_id"] for one in gateway.sessions() if one["agent"] == "receptionist")
        wait_for(lambda: gateway.get(f"/sessions/{call_id}")["recording_facts"], "the recording")
        note = "# Parking\n\n## Where can I park?\n\nBehind the house.\n"
        first = {"base_version": 0, "greeting": "Good morning, how can I help?", "note": "friendlier"}
        assert gateway.put("/agents/receptionist", first).status_code == 200
        second = {"base_version": 1, "prompt": "You are brief.", "notes": {"parking.md": note}, "note": "parking"}
        assert gateway.put("/agents/receptionist", second).status_code == 200
        yield Desk(gateway, carrier, call_id)


def campaign(desk: Desk, name: str, contacts: int = 4) -> str:
    """A draft with so many on its list."""
    made: str = desk.gateway.post("/campaigns", {"name": name, "policy": _POLICY}).json()["campaign_id"]
    listed = [{"number": f"+141555501{index:02}"} for index in range(contacts)]
    assert desk.gateway.post(f"/campaigns/{made}/contacts", {"contacts": listed}).status_code == 200
    return made


async def look(page: Page, desk: Desk, place: str) -> None:
    await page.goto(f"http://{desk.gateway.http_address}/#/{place}")
    await expect(page.locator("h1")).to_be_visible()


async def becomes(asked: Any, what: str, timeout_s: float = 15) -> None:
    """`asked` is a question to the API."""
    await asyncio.to_thread(wait_for, asked, what, timeout_s)


async def saved(page: Page, press: Locator) -> tuple[str, bytes]:
    """The file that this button gives: its name and content."""
    async with page.expect_download() as told:
        await press.click()
    file: Download = await told.value
    return file.suggested_filename, await asyncio.to_thread((await file.path()).read_bytes)


async def open_recording(page: Page) -> None:
    await page.get_by_role("button", name="Load the recording").click()
    await expect(page.get_by_role("img", name="The recording")).to_be_visible()


async def open_trial_and_version(page: Page) -> None:
    await page.get_by_text("Version 1").click()
    await expect(page.get_by_role("group", name="Prompt, compared")).to_contain_text("You are brief.")
    await page.get_by_role("button", name="Try now").click()
    await expect(page.frame_locator("iframe").get_by_role("button", name="Call", exact=True)).to_be_visible()


async def find_sip(page: Page) -> None:
    await page.get_by_label("Find").fill("http.")


_OPENED = {"sessions-one": open_recording, "agents-one": open_trial_and_version, "settings": find_sip}
"""What is done in a view before it is looked at."""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_view_fits_every_width_and_has_no_serious_fault(desk: Desk, dark: bool) -> None:
    places = ["sessions", f"sessions/{desk.call_id}", "campaigns", "trunks", "agents", "agents/receptionist"]
    campaign(desk, "Reminders" + " in the dark" * dark)
    async with signed_in(desk.gateway, dark=dark) as page:
        for place in [*places, "services", "settings"]:
            await look(page, desk, place)
            name = place.split("/")[0] + "-one" * ("/" in place)
            if name in _OPENED:
                await _OPENED[name](page)
            assert await faults(page) == [], place
            await pictures(page, f"{name}-NNN{'-dark' if dark else ''}")


async def test_a_recording_is_drawn_and_heard_where_the_transcript_says(desk: Desk) -> None:
    session = desk.gateway.get(f"/sessions/{desk.call_id}")
    async with signed_in(desk.gateway) as page:
        await look(page, desk, f"sessions/{desk.call_id}")
        asked = page.locator(".transcript .user").first
        await asked.locator(".said").click()  # loads it as well
        await expect(asked).to_have_attribute("aria-current", "true")
        begin_ms = next(one["started_ms"] for one in session["transcript"] if one["role"] == "user")
        at_ms = 1000 * await page.evaluate("() => document.querySelector('audio').currentTime")
        assert 0 < at_ms + session["recording_facts"]["started_ms"] - begin_ms < 1500
        await expect(page.locator(".transcript .assistant").nth(1)).to_have_attribute("aria-current", "true")
        await expect(asked).not_to_have_attribute("aria-current", "true")
        drawn = page.get_by_role("img", name="The recording")
        (above, caller), (below, ours) = await drawn.evaluate(_COLOURS)
        assert min(caller, ours) > 500
        assert above != below != "0,0,0"
        await drawn.click(position={"x": 2, "y": 20})
        await expect(page.locator(".transcript .assistant").first).to_have_attribute("aria-current", "true")
        await expect(page.get_by_role("region", name="Latency")).to_contain_text("Turn 1")
        await expect(page.get_by_role("region", name="Quality")).to_contain_text("MOS")
        await expect(page.get_by_role("table", name="SIP messages").get_by_role("row")).to_have_count(
            len(session["sip"]) + 1
        )
        name, content = await saved(page, page.get_by_role("button", name="Capture file"))
        assert name == f"{desk.call_id}.pcap"
        assert b"INVITE sip:" in content


async def test_a_session_is_found_and_erased_after_a_question(desk: Desk) -> None:
    call_id = next(one["call_id"] for one in desk.gateway.sessions() if one["agent"] == "openai")
    async with signed_in(desk.gateway) as page:
        await look(page, desk, "sessions")
        rows = page.get_by_role("table", name="Sessions").locator("tbody tr")
        known = len(desk.gateway.sessions())
        await expect(rows).to_have_count(known)
        await page.get_by_label("Find").fill("nobody")
        await expect(page.get_by_text("None of them is like that.")).to_be_visible()
        await page.get_by_label("Find").fill(f"{call_id} OpenAI recorded caller hung")
        await expect(rows).to_have_count(1)
        await rows.get_by_role("link").click()
        await page.get_by_role("button", name="Erase").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert desk.gateway.get(f"/sessions/{call_id}")["call_id"] == call_id
        await page.get_by_role("button", name="Erase").click()
        await page.get_by_role("dialog").get_by_role("button", name="Erase").click()
        await expect(rows).to_have_count(known - 1)
    assert call_id not in [one["call_id"] for one in desk.gateway.sessions()]


async def test_an_agent_is_edited_and_two_who_edit_it_lose_nothing(desk: Desk) -> None:
    async with signed_in(desk.gateway, refusal=409) as page:
        await look(page, desk, "agents/other")
        save = page.get_by_role("button", name="Save as a new version")
        greeting, why = page.get_by_label("Greeting", exact=True), page.get_by_label("Why")
        await greeting.fill("Good day from the console.")
        await why.fill("friendlier")
        await save.click()
        await expect(page.get_by_text("version 1", exact=True)).to_be_visible()
        found = desk.gateway.get("/agents/other")
        assert (found["greeting"], found["note"]) == ("Good day from the console.", "friendlier")

        await page.get_by_role("button", name="Add a note").click()
        await page.get_by_label("File name").fill("../secret")
        await page.get_by_role("dialog").get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.get_by_label("File name").fill("mine.md")
        await page.get_by_role("dialog").get_by_role("button", name="Go on").click()
        await page.get_by_label("mine.md", exact=True).fill("# Mine\n\n## Whose?\n\nMine.\n")
        theirs = {"base_version": 1, "prompt": "Theirs.", "notes": {"theirs.md": "# Theirs\n\n## Whose?\n\nTheirs.\n"}}
        assert desk.gateway.put("/agents/other", theirs).status_code == 200
        await save.click()
        stale = page.get_by_role("region", name="Saving").get_by_role("status")
        await expect(stale).to_contain_text("Somebody has saved version 2 meanwhile.")
        await expect(stale).to_contain_text("Save again to have both.")
        await expect(page.get_by_label("Prompt", exact=True)).to_have_value("Theirs.")
        await save.click()
        await expect(page.get_by_text("version 3", exact=True)).to_be_visible()
        found = desk.gateway.get("/agents/other")
        assert (found["prompt"], sorted(found["notes"])) == ("Theirs.", ["mine.md", "theirs.md"])

        assert desk.gateway.put("/agents/other", {"base_version": 3, "greeting": "Theirs."}).status_code == 200
        await greeting.fill("My second thought.")
        await save.click()
        await expect(stale).to_contain_text("Both of you have changed: greeting.")
        await expect(greeting).to_have_value("My second thought.")
        assert desk.gateway.get("/agents/other")["greeting"] == "Theirs."
        await save.click()
        await expect(page.get_by_text("version 5", exact=True)).to_be_visible()
        assert desk.gateway.get("/agents/other")["greeting"] == "My second thought."

        await page.get_by_text("mine.md", exact=True).click()
        await page.get_by_role("button", name="Remove mine.md").click()
        await save.click()
        await expect(page.get_by_text("version 6", exact=True)).to_be_visible()
        assert list(desk.gateway.get("/agents/other")["notes"]) == ["theirs.md"]
    assert desk.gateway.get("/agents/other/versions")["versions"][0]["version"] == 6


async def test_what_was_typed_waits_for_who_has_looked_elsewhere(desk: Desk) -> None:
    before = desk.gateway.get("/agents/third")
    async with signed_in(desk.gateway) as page:
        await look(page, desk, "agents/third")
        await page.get_by_label("Greeting", exact=True).fill("Half a thought")
        await look(page, desk, "agents")
        await expect(page.locator("#toasts")).to_contain_text("is not saved")
        await page.get_by_role("link", name="third").click()
        await expect(page.get_by_label("Greeting", exact=True)).to_have_value("Half a thought")
        await expect(page.get_by_text("still here, and not saved yet")).to_be_visible()
        await page.get_by_role("button", name="Discard changes").click()
        await page.get_by_role("dialog").get_by_role("button", name="Discard").click()
        await expect(page.get_by_label("Greeting", exact=True)).to_have_value(before["greeting"])
    assert desk.gateway.get("/agents/third") == before


async def test_an_old_version_is_compared_line_by_line_and_comes_back(desk: Desk) -> None:
    words = {"base_version": 0, "prompt": "One.\nTwo.\nThree."}
    assert desk.gateway.put("/agents/fourth", words).status_code == 200
    async with signed_in(desk.gateway) as page:
        await look(page, desk, "agents/fourth")
        await page.get_by_label("Prompt", exact=True).fill("One.\nTwo and a half.\nThree.\nFour.")
        versions = page.get_by_role("region", name="Versions")
        await versions.get_by_text("Version 1, in force").click()
        lines = versions.get_by_role("group", name="Prompt, compared").locator("> div")
        await expect(lines).to_have_text(["One.", "Two.", "Two and a half.", "Three.", "Four."])
        marks = await lines.evaluate_all("(all) => all.map((one) => one.firstElementChild?.tagName || '')")
        assert marks == ["", "DEL", "INS", "", "INS"]
        await versions.get_by_text("Version 0").click()
        await versions.get_by_role("button", name="Restore version 0").click()
        await expect(page.get_by_role("dialog")).to_contain_text("not saved is discarded")
        await page.get_by_role("dialog").get_by_role("button", name="Restore").click()
        await expect(page.get_by_text("version 2", exact=True)).to_be_visible()
    assert desk.gateway.get("/agents/fourth")["prompt"] == desk.gateway.get("/agents/third")["prompt"]


async def test_an_agent_is_tried_in_a_panel_that_hangs_up_when_it_is_closed(desk: Desk, question: Path) -> None:
    def standing() -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = desk.gateway.get("/calls")["calls"]
        return calls

    async with signed_in(desk.gateway, microphone=question) as page:
        await look(page, desk, "agents/receptionist")
        await page.get_by_role("button", name="Try now").click()
        panel = page.frame_locator("iframe")
        await panel.get_by_role("button", name="Call", exact=True).click()
        await expect(panel.get_by_text("You are connected.")).to_be_visible(timeout=15_000)
        await expect(panel.get_by_role("list", name="What is said")).to_contain_text("Good morning", timeout=15_000)
        assert [call["agent"] for call in standing()] == ["receptionist"]
        await page.get_by_role("button", name="End the trial").click()
        await becomes(lambda: not standing(), "its end")


async def test_a_campaign_is_led_from_its_first_call_to_its_report(desk: Desk) -> None:
    campaign_id = campaign(desk, "Winter")

    def facts() -> dict[str, Any]:
        found: dict[str, Any] = desk.gateway.get(f"/campaigns/{campaign_id}")
        return found

    async def stands(state: str) -> None:
        await expect(one.get_by_text(state, exact=True)).to_be_visible()
        await becomes(lambda: facts()["state"] == state, state)

    async with signed_in(desk.gateway) as page:
        await look(page, desk, "campaigns")
        one = page.get_by_role("region", name="Winter")
        await expect(one).to_contain_text("0 of 4 done")
        await one.get_by_role("button", name="Start").click()
        await stands("running")
        await expect(one).to_contain_text("1 of 4 done", timeout=15_000)
        await expect(one).to_contain_text("1 busy")
        await one.get_by_role("button", name="Pause").click()
        await stands("paused")
        await one.get_by_role("button", name="Resume").click()
        await stands("running")
        await pictures(page, "campaigns-running-NNN")
        await one.get_by_role("button", name="Drain…").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert facts()["state"] == "running"
        await one.get_by_role("button", name="Drain…").click()
        await page.get_by_role("dialog").get_by_role("button", name="Call nobody else").click()
        await becomes(lambda: facts()["state"] in ("draining", "done"), "that nobody else is called")
        name, content = await saved(page, one.get_by_role("button", name="Results"))
        assert name == f"{campaign_id}.csv"
        assert b"busy" in content
        name, content = await saved(page, one.get_by_role("button", name="Report"))
        assert name == f"{campaign_id}.html"
        assert b"Winter" in content


async def test_a_campaign_is_cancelled_after_a_question(desk: Desk) -> None:
    campaign_id = campaign(desk, "Spring")
    async with signed_in(desk.gateway) as page:
        await look(page, desk, "campaigns")
        one = page.get_by_role("region", name="Spring")
        await one.get_by_role("button", name="Start").click()
        await one.get_by_role("button", name="Cancel…").click()
        await page.get_by_role("dialog").get_by_role("button", name="End it now").click()
        await expect(one.get_by_text("cancelled", exact=True)).to_be_visible()
        await expect(one.get_by_role("button", name="Start")).to_have_count(0)
    assert desk.gateway.get(f"/campaigns/{campaign_id}")["state"] == "cancelled"


async def test_trunks_are_shown_as_they_are_and_become(desk: Desk) -> None:
    async with signed_in(desk.gateway) as page:
        await look(page, desk, "trunks")
        carrier, spare = (page.get_by_role("row", name=name) for name in ("carrier", "spare"))
        await expect(carrier).to_contain_text("registered")
        await expect(carrier).to_contain_text("up")
        await expect(spare).to_contain_text("not needed")
        await expect(spare.get_by_text("down", exact=True)).to_be_visible(timeout=30_000)
        assert [one["is_up"] for one in desk.gateway.get("/trunks")["trunks"]] == [True, False]


async def test_services_tell_what_they_did_and_what_that_costs(desk: Desk) -> None:
    told = next(one for one in desk.gateway.get("/services")["services"] if one["name"] == "openai_brain")
    assert told["requests"] > 0
    assert told["cost"] > 0
    async with signed_in(desk.gateway) as page:
        await look(page, desk, "services")
        brain = page.get_by_role("row", name="openai_brain")
        for text in ("language model, openai", "ok", f"{told['cost']:.4f}", "tokens written", "openai"):
            await expect(brain).to_contain_text(text)
        await expect(page.get_by_role("row", name="gemini_brain")).to_contain_text("idle")
        await expect(page.get_by_role("row", name="gemini_brain")).to_contain_text("no price")
        await page.get_by_role("region", name="Services").focus()
        async with page.expect_response("**/api/v1/services"):  # it is asked again
            pass
        await expect(page.get_by_role("region", name="Services")).to_be_focused()


async def test_settings_are_found_with_their_source_and_secrets_are_not(desk: Desk) -> None:
    told = {one["key"]: one for one in desk.gateway.get("/settings")["settings"]}
    async with signed_in(desk.gateway) as page:
        await look(page, desk, "settings")
        table, find = page.get_by_role("table", name="Settings"), page.get_by_label("Find")
        await expect(page.get_by_text(f"{len(told)} of {len(told)} settings")).to_be_visible()
        await find.fill("http.api_keys")
        await expect(table).to_contain_text("set, hidden")
        await find.fill("trunk.0.password")
        await expect(table).to_contain_text("set, hidden")
        await find.fill("trunk.0.host")
        await expect(table.get_by_role("row").nth(1)).to_contain_text(desk.carrier.host)
        await expect(table.get_by_role("row").nth(1)).to_contain_text("file")
        await find.fill("")
        await page.get_by_label("only what is set").check()
        changed = sum(one["source"] != "default" for one in told.values())
        await expect(page.get_by_text(f"{changed} of {len(told)} settings")).to_be_visible()
        seen = await page.content()
        assert API_KEY not in seen
        assert _PASSWORD not in seen
    assert _PASSWORD not in json.dumps(told)
