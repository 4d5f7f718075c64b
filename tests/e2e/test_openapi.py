# SPDX-License-Identifier: GPL-3.0-or-later
"""The API does what its description says, as far as schemathesis can find out against a gateway with live calls."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for

_CAMPAIGNS = "/(campaigns|do-not-call)"


@pytest.mark.parametrize(
    ("paths", "examples"),
    [
        (("--exclude-path-regex", _CAMPAIGNS), 12),  # enough to find every fault again that there was, first
        (("--include-path-regex", _CAMPAIGNS), 3),  # each list is read by a process of its own
    ],
    ids=["calls", "campaigns"],
)
def test_the_api_keeps_to_its_description(
    gateway: GatewayProcess, tmp_path: Path, paths: tuple[str, str], examples: int
) -> None:
    arguments = [
        *("run", f"http://{gateway.http_address}/openapi.json", "--header", f"Authorization: Bearer {API_KEY}"),
        *("--checks", "all", "--max-examples", str(examples), "--seed", "1", *paths),
        *("--continue-on-failure", "--no-shrink", "--request-timeout", "20", "--warnings", "off"),
    ]
    found = subprocess.run(
        [str(Path(sys.executable).with_name("st")), *arguments],
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.e2e.openapi_hooks",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OPENAPI_HTTP": gateway.http_address,
            "OPENAPI_SIP_PORT": str(gateway.sip_port),
            "OPENAPI_KEY": API_KEY,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    for call in gateway.get("/calls")["calls"]:
        gateway.post(f"/calls/{call['call_id']}/hangup")
    wait_for(lambda: not gateway.get("/calls")["calls"], "the end of all calls")
    assert found.returncode == 0, found.stdout + found.stderr
