# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL falls silent, and then dies, under a call that stands."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.peers import start_sipp
from tests.e2e.test_recordings import TALK, active_call, talking
from tests.postgresql_server import PASSWORD, PostgreSqlServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSqlServer]:
    with PostgreSqlServer() as own:
        own.create("parley")
        yield own


def test_a_call_outlives_its_database_and_its_record_is_whole_afterwards(
    server: PostgreSqlServer, tmp_path: Path
) -> None:
    settings = f'url = "{server.url("parley")}"\n[[route]]\naction = "echo"\n'
    with GatewayProcess(tmp_path, settings) as gateway:
        with start_sipp(gateway, "talker.xml", "echo", *TALK, folder=talking(tmp_path)) as caller:
            call_id = active_call(gateway)
            wait_for(lambda: gateway.get(f"/sessions/{call_id}")["answered_at"], "the answer, written")
            server.freeze()
            begun = time.monotonic()
            asked = httpx.get(
                f"http://{gateway.http_address}/api/v1/sessions",
                headers={"Authorization": f"Bearer {API_KEY}"},
                timeout=10,
            )
            assert time.monotonic() - begun < 5
            assert (asked.status_code, asked.headers["content-type"]) == (503, "application/problem+json")
            assert "parley_store_up 0.0" in gateway.page("/metrics")
            server.stop()
            assert gateway.get(f"/calls/{call_id}")["state"] == "active", "the call knows nothing of it"
            assert gateway.post(f"/calls/{call_id}/hangup").status_code == 204
            caller.wait(20)
        server.start()
        wait_for(lambda: "parley_store_up 1.0" in gateway.page("/metrics"), "the database", 20)
        session = gateway.newest_session()
        assert (session["call_id"], session["end_reason"]) == (call_id, "api")
        assert session["recording_facts"]["complete"]
        kinds = [event["kind"] for event in gateway.get("/events?after=0&limit=1000")["events"]]
        assert kinds.index("store.lost") < kinds.index("call.ended") < kinds.index("store.back")
        assert [kinds.count(kind) for kind in ("call.offered", "call.answered", "call.ended")] == [1, 1, 1]
        assert "parley_store_failed_writes_total 0.0" in gateway.page("/metrics")
    assert PASSWORD not in (tmp_path / "parley.log").read_text()
    assert not list(gateway.data_dir.glob("unwritten-*"))
