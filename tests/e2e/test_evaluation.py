# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley eval` calls a gateway as its scenarios have it, and says whether they were met."""

import json
import subprocess
from pathlib import Path

from tests.e2e.gateway_process import API_KEY, PARLEY, GatewayProcess

_SCENARIOS = Path(__file__).parents[2] / "scripts" / "scenarios"


def test_two_scenarios_are_met_and_their_report_is_written(gateway: GatewayProcess, tmp_path: Path) -> None:
    files = [str(_SCENARIOS / name) for name in ("thinking_pause.toml", "goodbye.toml")]
    page = tmp_path / "report.html"
    where = ["--target", gateway.uri("agent"), "--api", f"http://{gateway.http_address}", "--key", API_KEY]
    command = [*PARLEY, "eval", *files, *where, "--json", "--html", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 0, [one for each in report["scenarios"] for one in each["checks"] if not one["passed"]]
    pause, goodbye = report["scenarios"]
    assert "cleaning" in pause["calls"][0]["steps"][0]["understood"].lower()
    assert goodbye["calls"][0]["record"]["end_reason"] == "goodbye"
    assert page.read_text().count("<polygon") == 4
