# SPDX-License-Identifier: GPL-3.0-or-later
"""SIPp, baresip and the softphone as child processes. Each is given a time limit and ends by itself."""

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e import nursery
from tests.e2e.gateway_process import GatewayProcess

_SCENARIOS = Path(__file__).parent / "sipp"
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = itertools.count(30000 + _WORKER * 4000 + os.getpid() % 100 * 20, 20)
"""Local ports for SIPp; spread so that neither a leftover of another run nor a test beside this one is met."""

_TERMINAL = {**os.environ, "TERM": "dumb"}

CODECS = {
    "pcmu": (0, "PCMU/8000", ""),
    "pcma": (8, "PCMA/8000", ""),
    "g722": (9, "G722/8000", ""),
    "l16-8k": (96, "L16/8000", ""),
    "l16-16k": (97, "L16/16000", ""),
    "opus": (98, "opus/48000/2", "useinbandfec=1"),
}
"""Payload type, rtpmap and fmtp a peer offers; G.722's RTP clock is 8,000 Hz by mistake (RFC 3551 section 4.5.2)."""


def run_sipp(
    gateway: GatewayProcess, scenario: str, user: str, *options: str, folder: Path, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """One SIPp run against the gateway; its exit code is 0 when every call went as the scenario has it."""
    command = _sipp_command(gateway, scenario, user, timeout_s)
    return subprocess.run(
        [*command, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s + 10,
        check=False,
        env=_TERMINAL,
    )


def start_sipp(
    gateway: GatewayProcess, scenario: str, user: str, *options: str, folder: Path
) -> "subprocess.Popen[bytes]":
    """The same in the background, for a minute at most."""
    command = [*_sipp_command(gateway, scenario, user, 60), *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_TERMINAL)


def _sipp_command(gateway: GatewayProcess, scenario: str, user: str, timeout_s: float) -> list[str]:
    port = next(PORTS)
    return [
        "sipp",
        f"127.0.0.1:{gateway.sip_port}",
        *("-sf", str(_SCENARIOS / scenario), "-s", user, "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1"),
        *("-mp", str(port + 4), "-m", "1", "-nostdin", "-timeout", f"{timeout_s:.0f}s", "-timeout_error"),
    ]


def sipp_codec(name: str) -> list[str]:
    """SIPp options that make `caller.xml` offer this codec only."""
    payload, rtpmap, fmtp = CODECS[name]
    return ["-key", "payload", str(payload), "-key", "rtpmap", rtpmap, "-key", "fmtp", fmtp or "ignored=1"]


def softphone(
    gateway: GatewayProcess, user: str, *options: str, timeout_s: float = 90, address: str = ""
) -> dict[str, Any]:
    """`parley softphone --json`; what it printed, with its exit code under `exit`. `address`: `host:port`, if it is
    another than that of UDP."""
    uri = f"sip:{user}@{address}" if address else gateway.uri(user)
    done = nursery.run(["softphone", uri, "--json", "--bind", "127.0.0.1", *options], timeout_s)
    assert done.stdout.startswith("{"), f"softphone printed no JSON: {done.stdout}{done.stderr}"
    report: dict[str, Any] = json.loads(done.stdout)
    return {**report, "exit": done.returncode}


def run_baresip(
    gateway: GatewayProcess, user: str, codec: str, *, folder: Path, talk_s: int, speech: Path | None = None
) -> str:
    """A baresip call of `talk_s` seconds that plays `speech`, or returns what it hears; baresip's log."""
    modules = {"pcmu": "g711", "pcma": "g711", "g722": "g722", "l16": "l16", "opus": "opus"}
    names = {"pcmu": "PCMU/8000/1", "pcma": "PCMA/8000/1", "g722": "G722/16000/1", "l16": "L16/16000/1"}
    rate_hz = 8000 if modules[codec] == "g711" else 16000
    port = next(PORTS)
    (folder / "config").write_text(
        f"""
sip_listen 127.0.0.1:{port}
audio_source {f"aufile,{speech}" if speech else "aubridge,loop"}
audio_player aubridge,loop
audio_alert aubridge,alert
ausrc_srate {rate_hz}
auplay_srate {rate_hz}
ausrc_channels 1
auplay_channels 1
rtp_ports {port + 2}-{port + 12}
module_path /usr/lib/baresip/modules
module {modules[codec]}.so
module aufile.so
module aubridge.so
module_app account.so
module_app menu.so
"""
    )
    (folder / "accounts").write_text(
        f"<sip:qa@127.0.0.1:{port}>;regint=0;audio_codecs={names.get(codec, 'opus/48000/2')}\n"
    )
    (folder / "contacts").touch()
    command = ["baresip", "-f", str(folder), "-t", str(talk_s), "-e", f"/dial {gateway.uri(user)}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=talk_s + 20, check=False)
    return done.stdout + done.stderr
