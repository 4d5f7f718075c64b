# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of real calls: on request, encrypted, and what is left of one when the gateway is killed."""

import signal
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from media.tones import tone
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.peers import start_sipp
from tests.media.decoder import decoded
from tests.mulaw import mu_law

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
TALK = ("-d", "50000")
SETTINGS = f'encryption_key = "{KEY}"\n[[route]]\naction = "echo"\n'


def fetch(gateway: GatewayProcess, session: dict[str, Any]) -> httpx.Response:
    """The recording that the session links to."""
    address = f"http://{gateway.http_address}{session['recording']}"
    return httpx.get(address, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=10)


def active_call(gateway: GatewayProcess) -> str:
    calls = wait_for(lambda: [one for one in gateway.get("/calls")["calls"] if one["state"] == "active"], "a call")
    return str(calls[0]["call_id"])


def test_a_call_is_recorded_on_request_with_a_pause_and_can_be_fetched_before_it_ends(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, SETTINGS, record=False, media='record_format = "opus"') as gateway:
        with start_sipp(gateway, "talker.xml", "echo", *TALK, folder=talking(tmp_path)) as caller:
            call_id = active_call(gateway)
            order = f"/calls/{call_id}/record"
            assert gateway.post(order, {"state": "pause"}).status_code == 409
            assert gateway.post(order, {"state": "start"}).json()["recording"] == "on"
            wait_for(lambda: "parley_recordings_active 1.0" in gateway.page("/metrics"), "the recording in the metrics")
            wait_for(lambda: _size(gateway) > 4000, "some seconds of sound")
            assert gateway.post(order, {"state": "pause"}).json()["recording"] == "paused"
            paused_at = _size(gateway)
            wait_for(lambda: _size(gateway) > paused_at, "silence in the file")
            assert gateway.post(order, {"state": "resume"}).json()["recording"] == "on"
            assert fetch(gateway, gateway.get(f"/sessions/{call_id}")).status_code == 409
            assert gateway.post(order, {"state": "stop"}).json()["recording"] == "ended"
            session = gateway.get(f"/sessions/{call_id}")
            assert fetch(gateway, session).status_code == 200
            assert gateway.post(order, {"state": "start"}).status_code == 409
            assert gateway.post(f"/calls/{call_id}/hangup").status_code == 204
            caller.wait(20)
        session = gateway.newest_session()
        facts = session["recording_facts"]
        assert (facts["format"], facts["encrypted"], facts["complete"]) == ("opus", True, True)
        ((begin_ms, end_ms),) = facts["paused_ms"]
        answer = fetch(gateway, session)
        content, rate_hz = decoded(answer.content)
        assert abs(len(content) / rate_hz * 1000 - facts["duration_ms"]) <= 20
        at = [round(ms * rate_hz / 1000) for ms in (begin_ms + 60, end_ms - 60)]
        assert np.abs(content[slice(*at)].astype(int)).max() < 100, "what Opus makes of silence after a tone"
        assert np.abs(content[: at[0]].astype(int)).max() > 1000
        (file,) = (gateway.data_dir / "recordings").iterdir()
        assert file.name == f"{call_id}.ogg.enc"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_gateway_recorded_can_be_fetched_and_erased_after_its_restart(tmp_path: Path) -> None:
    with (
        GatewayProcess(tmp_path, SETTINGS) as gateway,
        start_sipp(gateway, "talker.xml", "echo", *TALK, folder=talking(tmp_path)) as caller,
    ):
        call_id = active_call(gateway)
        wait_for(lambda: _size(gateway) > 4 * 32_000, "four seconds of sound", timeout_s=20)
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
        size = _size(gateway)
        caller.kill()
    with GatewayProcess(tmp_path, SETTINGS) as gateway:
        session = gateway.get(f"/sessions/{call_id}")
        assert session["end_reason"] == "gateway_restarted"
        answer = fetch(gateway, session)
        assert (answer.status_code, answer.headers["parley-truncated"]) == (200, "true")
        content, rate_hz = decoded(answer.content)
        assert 4 <= len(content) / rate_hz <= size / 32_000
        assert np.abs(content[rate_hz:].astype(int)).max(axis=0).min() > 1000
        address = f"http://{gateway.http_address}/api/v1/sessions/{call_id}"
        assert httpx.delete(address, headers={"Authorization": f"Bearer {API_KEY}"}).status_code == 204
        assert not list((gateway.data_dir / "recordings").iterdir())


def _size(gateway: GatewayProcess) -> int:
    return sum(file.stat().st_size for file in (gateway.data_dir / "recordings").iterdir())


def talking(folder: Path) -> Path:
    """The folder with what SIPp's `talker.xml` sends: a minute of a tone."""
    (folder / "speech.ulaw").write_bytes(mu_law(tone((440.0,), 60_000, 8000)))
    return folder
