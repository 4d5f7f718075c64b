# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent that is edited while the gateway runs: the next caller hears it, this one does not, a restart keeps it."""

from pathlib import Path
from typing import Any

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.peers import softphone
from tests.e2e.raw_caller import RawCaller
from tests.e2e.spoken_line import Line

GREETING = "Welcome to the harbour hotel."
POOL = "# House\n## Where is the swimming pool?\nThe swimming pool is on the roof, next to the garden.\n"
SILENT = """
[agents.receptionist]
greeting = "Hello, how can I help you?"
"""


def said(gateway: GatewayProcess) -> list[str]:
    """By the agent, in the newest call."""
    transcript = gateway.newest_session()["transcript"]
    return [entry["text"] for entry in transcript if entry["role"] == "assistant"]


def edit(gateway: GatewayProcess, order: dict[str, Any]) -> dict[str, Any]:
    answer = gateway.put("/agents/receptionist", order)
    assert answer.status_code == 200, answer.text
    agent: dict[str, Any] = answer.json()
    return agent


def ask(gateway: GatewayProcess) -> dict[str, Any]:
    return softphone(gateway, "agent", "--say", "Where is the swimming pool?")


def test_the_next_caller_hears_what_was_edited_and_a_restart_keeps_it(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, SILENT) as gateway:
        with RawCaller(gateway.sip_port) as caller:  # who is there before the edit
            assert caller.invite("agent").code == 200
            Line(caller).listen(1.5)
            order = {"base_version": 0, "greeting": GREETING, "notes": {"house.md": POOL}, "note": "a pool"}
            assert edit(gateway, order)["version"] == 1
            assert caller.bye("agent").code == 200
        assert said(gateway) == ["Hello, how can I help you?"]
        report = ask(gateway)
        assert "welcome" in report["greeting"].lower(), report
        assert said(gateway)[0] == GREETING
        assert "on the roof" in said(gateway)[1]
        assert "roof" in report["turns"][0]["heard"].lower()
        refused = gateway.put("/agents/receptionist", {"base_version": 1, "notes": {"house.md": "no heading"}})
        assert (refused.status_code, "house.md:1" in refused.json()["detail"]) == (422, True)
        works = {work["kind"]: work for work in gateway.get("/work")["work"]}
        assert works["knowledge"]["state"] == works["engines"]["state"] == "done"
    with GatewayProcess(tmp_path, SILENT) as again:
        assert again.get("/agents/receptionist")["version"] == 1
        ask(again)
        assert said(again)[0] == GREETING
        assert "on the roof" in said(again)[1]
        restored = again.post("/agents/receptionist/versions/0/restore")
        assert restored.json()["version"] == 2
        ask(again)
        assert said(again)[0] == "Hello, how can I help you?"
        assert not any("on the roof" in text for text in said(again))
