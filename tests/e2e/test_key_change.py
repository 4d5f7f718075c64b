# SPDX-License-Identifier: GPL-3.0-or-later
"""A new encryption key takes the old one's place while a gateway has calls, and the old one is left out afterwards."""

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx

from media.encryption import EncryptionKey
from tests.e2e.gateway_process import API_KEY, PARLEY, GatewayProcess, wait_for
from tests.e2e.peers import start_sipp
from tests.e2e.test_recordings import TALK, active_call, fetch, talking
from tests.media.decoder import decoded, played

OLD, NEW = "b2xk" * 10 + "b2w=", "bmV3" * 10 + "bmU="
ECHO = '[[route]]\naction = "echo"\n'


def keys(gateway: GatewayProcess, verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PARLEY, "keys", verb, "--config", str(gateway.config)],
        capture_output=True,
        text=True,
        timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("PARLEY_STORE")},
    )


def configured(folder: Path, settings: str) -> GatewayProcess:
    return GatewayProcess(folder, settings + ECHO, media='record_format = "opus"')


def recorded_call(gateway: GatewayProcess, folder: Path, during: Any = lambda: None) -> str:
    with start_sipp(gateway, "talker.xml", "echo", *TALK, folder=talking(folder)) as caller:
        call_id = active_call(gateway)
        file = gateway.data_dir / "recordings" / f"{call_id}.ogg.enc"
        wait_for(lambda: file.exists() and file.stat().st_size > 3_000, "some sound on the disk")
        during()
        assert gateway.post(f"/calls/{call_id}/hangup").status_code == 204
        caller.wait(20)
    wait_for(lambda: gateway.get(f"/sessions/{call_id}")["recording_facts"], "the end of the recording")
    return call_id


def seconds_of(gateway: GatewayProcess, call_id: str) -> float:
    answer: httpx.Response = fetch(gateway, gateway.get(f"/sessions/{call_id}"))
    assert answer.status_code == 200, answer.text
    content, rate_hz = decoded(answer.content)
    return len(content) / rate_hz


def test_the_key_is_changed_beside_a_gateway_with_calls(tmp_path: Path) -> None:
    with configured(tmp_path, f'encryption_key = "{OLD}"\n') as gateway:
        first = recorded_call(gateway, tmp_path)
        length_s = seconds_of(gateway, first)
    both = f'encryption_key = "{NEW}"\nold_encryption_keys = ["{OLD}"]\n'
    with configured(tmp_path, both) as gateway:
        assert seconds_of(gateway, first) == length_s, "the old key opens it"

        def rotate() -> None:
            done = keys(gateway, "rotate")
            assert done.returncode == 0, done
            assert seconds_of(gateway, first) == length_s, "the gateway goes on, with the new one"

        second = recorded_call(gateway, tmp_path, rotate)
        assert len({one["call_id"] for one in gateway.sessions()}) == 2
        listed = httpx.get(
            f"http://{gateway.http_address}/api/v1/events?call_id={first}",
            headers={"Authorization": f"Bearer {API_KEY}"},
        ).json()
        assert listed["events"], "events of before are read with the new one"
    alone = configured(tmp_path, f'encryption_key = "{NEW}"\n')
    assert keys(alone, "check").returncode == 0
    for call_id in (first, second):
        content, _ = played(alone.data_dir / "recordings" / f"{call_id}.ogg.enc", EncryptionKey.parse(NEW))
        assert len(content) > 1_000
