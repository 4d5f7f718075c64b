# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls over IPv6, beside those over IPv4."""

import subprocess
from pathlib import Path

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller

SCENARIO = Path(__file__).parent / "sipp" / "short.xml"


def test_both_families_are_spoken(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, '[[route]]\naction = "echo"\n', record=False)
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("[sip]\n", '[sip]\nbind6 = "::1"\n'))
    with gateway:
        command = ["sipp", f"[::1]:{gateway.sip_port}", "-sf", str(SCENARIO), "-s", "echo", "-i", "::1", "-mi", "::1"]
        limits = ["-m", "1", "-nostdin", "-timeout", "20s", "-timeout_error"]
        done = subprocess.run([*command, *limits], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        session = gateway.newest_session()
        assert session["answered_at"] is not None
        assert session["sip"][0]["peer"].startswith("[::1]:")
        answer = next(
            one["text"]
            for one in gateway.get(f"/sessions/{session['call_id']}/signalling")["messages"]
            if one["summary"] == "200 OK (INVITE)"
        )
        assert "c=IN IP6 " in answer
        with RawCaller(gateway.sip_port) as caller:
            found = caller.invite("echo")
            assert found.code == 200
            assert "c=IN IP4 " in found.text
            caller.bye("echo")
