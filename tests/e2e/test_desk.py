# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind the console on a real gateway: agents that are edited and called, services, trunks, meters."""

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.peers import softphone

_SETTINGS = """
[agents.receptionist]
[agents.hosted]
llm = "broken"
prompt = "Be brief."
[services.broken]
kind = "openai"
url = "http://127.0.0.1:9/v1"
model = "none"
[services.broken.price]
prompt_per_million = 2.0
[[trunk]]
name = "carrier"
host = "127.0.0.1:9"
options_s = 1
max_calls = 7
[[route]]
match = "hosted"
action = "agent"
agent = "hosted"
[[route]]
action = "agent"
agent = "receptionist"
"""
BOATS = "# Boats\n\n## How much does a boat cost?\n\nA boat costs nine euros an hour.\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path_factory.mktemp("desk"), _SETTINGS, record=False)
    with gateway:
        yield gateway


def test_an_edited_agent_speaks_so_with_the_next_call_and_after_a_restart(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, _SETTINGS, record=False)
    with gateway:
        order = {
            "base_version": 0,
            "greeting": "Welcome to the harbour.",
            "notes": {"boats.md": BOATS},
            "note": "boats",
        }
        edited = gateway.put("/agents/receptionist", order)
        assert edited.status_code == 200, edited.text
        assert (edited.json()["version"], edited.json()["configured_anew"]) == (1, False)
        assert "boats.md" in edited.json()["documents"]
        assert gateway.put("/agents/receptionist", order).status_code == 409
        report = softphone(gateway, "agent", "--say", "How much does a boat cost?", "--expect", "nine|9")
        assert report["exit"] == 0, report
        assert gateway.newest_session()["transcript"][0]["text"] == "Welcome to the harbour."
    text = gateway.config.read_text().replace("[agents.receptionist]\n", '[agents.receptionist]\ngreeting = "New."\n')
    gateway.config.write_text(text)
    with gateway:
        agent = gateway.get("/agents/receptionist")
        assert (agent["version"], agent["greeting"], agent["configured_anew"]) == (1, "Welcome to the harbour.", True)
        assert agent["notes"] == {"boats.md": BOATS}
        restored = gateway.post("/agents/receptionist/versions/0/restore").json()
        assert (restored["version"], restored["greeting"], restored["notes"]) == (2, "New.", {})
        assert "boats.md" not in restored["documents"]
        versions = gateway.get("/agents/receptionist/versions")["versions"]
        assert [one["version"] for one in versions] == [2, 1, 0]
        assert gateway.get("/agents/receptionist/versions/1")["note"] == "boats"


@pytest.mark.parametrize(
    ("path", "order", "status"),
    [
        ("receptionist", {"base_version": 0, "notes": {"../evil.md": "x"}}, 422),
        ("receptionist", {"base_version": 0, "notes": {"page.html": "x"}}, 422),
        ("receptionist", {"base_version": 0, "voice": "x"}, 422),
        ("receptionist", {"base_version": 3}, 409),
        ("nobody", {"base_version": 0}, 422),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    desk: GatewayProcess, path: str, order: dict[str, object], status: int
) -> None:
    assert desk.put(f"/agents/{path}", order).status_code == status
    assert desk.get("/agents/receptionist")["version"] == 0


def test_who_may_look_on_may_not_change(desk: GatewayProcess) -> None:
    made = desk.post("/keys", {"name": "viewer", "scopes": ["calls:read"]}).json()
    own = {"Authorization": f"Bearer {made['key']}"}
    with contextlib.closing(desk._http.__class__(base_url=f"http://{desk.http_address}/api/v1", headers=own)) as viewer:
        for path in ("/agents", "/agents/receptionist", "/trunks", "/services", "/latency", "/work"):
            assert viewer.get(path).status_code == 200, path
        assert viewer.put("/agents/receptionist", json={"base_version": 0}).status_code == 403
        assert viewer.post("/agents/receptionist/versions/0/restore").status_code == 403
        assert viewer.get("/settings").status_code == 403


def test_a_service_that_fails_and_a_trunk_that_is_silent_are_shown_as_such(desk: GatewayProcess) -> None:
    softphone(desk, "hosted", "--say", "What are your opening hours?")
    service = next(one for one in desk.get("/services")["services"] if one["name"] == "broken")
    assert (service["name"], service["role"], service["used_by"]) == ("broken", "llm", ["hosted"])
    assert service["failures"] > 0
    assert service["state"] in ("failing", "resting")
    assert service["cost"] == 0.0
    trunk = wait_for(
        lambda: next((one for one in desk.get("/trunks")["trunks"] if not one["is_up"]), None), "a silent trunk", 20
    )
    assert (trunk["name"], trunk["max_calls"], trunk["calls"], trunk["registered"]) == ("carrier", 7, 0, None)


def test_both_sides_of_a_call_are_metered_until_it_ends(desk: GatewayProcess) -> None:
    calling = threading.Thread(target=softphone, args=(desk, "agent", "--say", "What are your opening hours?"))
    calling.start()
    call_id = wait_for(
        lambda: next((one["call_id"] for one in desk.get("/calls")["calls"] if one["state"] == "active"), None),
        "a call",
    )
    caller, ours, steps = asyncio.run(_metered(desk, call_id))
    calling.join()
    assert max(caller) > -40
    assert max(ours) > -40
    assert min(caller) < -60
    assert steps == {40}
    assert desk.get("/latency")["turns"] >= 1
    assert desk.get("/latency?agent=hosted")["segments_ms"] == {} or desk.get("/latency?agent=hosted")["turns"] >= 1
    with pytest.raises(InvalidStatus) as refusal:
        asyncio.run(_metered(desk, call_id))
    assert refusal.value.response.status_code == 404


async def _metered(desk: GatewayProcess, call_id: str) -> tuple[list[float], list[float], set[int]]:
    key = base64.urlsafe_b64encode(API_KEY.encode()).decode().rstrip("=")
    address = f"ws://{desk.http_address}/api/v1/calls/{call_id}/meter"
    caller: list[float] = []
    ours: list[float] = []
    steps: set[int] = set()
    protocols = [Subprotocol("parley.meter"), Subprotocol(f"parley.key.{key}")]
    async with connect(address, subprotocols=protocols) as meter:
        assert meter.subprotocol == "parley.meter"
        async for message in meter:
            report = json.loads(message)
            caller += report["caller"]
            ours += report["ours"]
            steps.add(report["step_ms"])
    return caller, ours, steps
