# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley serve --workers 2`: two real gateways under one supervisor."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.gateway_process import API_KEY, wait_for
from tests.e2e.nursery import Child, run
from tests.e2e.raw_caller import RawCaller
from tests.e2e.rtp_ports import RtpPorts
from tests.redis_server import RedisServer

_READY = re.compile(r"parley ready sip=([\d.]+):(\d+) http=([\d.]+):(\d+)")


class Workers:
    """A supervisor and what it tells through any of its workers."""

    def __init__(self, folder: Path, redis_url: str, rtp: RtpPorts) -> None:
        (folder / "parley.toml").write_text(
            f"""
[sip]
bind = "127.0.0.1"
port = 0
max_calls = 20
[http]
port = 0
api_keys = ["{API_KEY}"]
[media]
rtp_port_min = {rtp.low}
rtp_port_max = {rtp.high}
[store]
data_dir = "data"
[cluster]
redis_url = "{redis_url}"
node_id = "box"
drain_s = 0
"""
        )
        with (folder / "parley.log").open("wb") as log:
            self.process = Child(["serve", "--workers", "2", "--config", str(folder / "parley.toml")], log)
        overdue = threading.Timer(60, self.process.kill)
        overdue.start()
        found = next((found for line in self.process.stdout if (found := _READY.match(line))), None)
        overdue.cancel()
        assert found is not None, (folder / "parley.log").read_text()
        self.log = folder / "parley.log"
        self._addresses = [f"http://{found[3]}:{found[4]}"]
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.nodes(2)

    def nodes(self, count: int) -> dict[str, dict[str, Any]]:
        """By name, once there are so many that are up."""
        found: dict[str, dict[str, Any]] = wait_for(lambda: self._look(count), f"{count} workers", 45)
        self._addresses = [node["http"] for node in found.values()]
        return found

    def _look(self, count: int) -> dict[str, dict[str, Any]] | None:
        for address in self._addresses:
            try:
                listed = httpx.get(f"{address}/api/v1/nodes", headers={"Authorization": f"Bearer {API_KEY}"}).json()
            except httpx.HTTPError:
                continue
            self._addresses = [node["http"] for node in listed["nodes"] if node["http"]]
            up = {node["node_id"]: node for node in listed["nodes"] if node["state"] == "up"}
            if len(up) == count:
                return up
        return None

    def pids(self) -> set[int]:
        """Of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    rtp = RtpPorts()
    with RedisServer(tmp_path) as redis:
        made = Workers(tmp_path, redis.url, rtp)
        try:
            yield made
        finally:
            if made.process.poll() is None:
                made.process.send_signal(signal.SIGTERM)
                try:
                    made.process.wait(20)
                finally:
                    made.process.kill()
    rtp.close()


def test_workers_take_calls_come_back_and_are_replaced_one_by_one(workers: Workers) -> None:
    nodes = workers.nodes(2)
    assert sorted(nodes) == ["box-1", "box-2"]
    assert [node["capacity"] for node in nodes.values()] == [10, 10]
    for node in nodes.values():
        with RawCaller(int(node["sip"].rpartition(":")[2])) as caller:
            assert caller.invite("echo").code == 200
            assert caller.bye("echo").code == 200

    before = workers.pids()
    assert len(before) == 2
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(workers.pids() - before) == 1, "another worker", 20)
    assert len(workers.pids()) == 2
    wait_for(lambda: _starts(workers.nodes(2)) != _starts(nodes), "the new worker", 45)
    back = workers.nodes(2)

    workers.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: _starts(workers.nodes(2)).isdisjoint(_starts(back)), "the last new worker", 90)
    assert workers.log.read_text().count('"worker_replaced"') == 2

    workers.process.send_signal(signal.SIGTERM)
    assert workers.process.wait(20) == 0


def _starts(nodes: dict[str, dict[str, Any]]) -> set[str]:
    return {node["started_at"] for node in nodes.values()}


def test_workers_without_redis_are_a_clear_fault(tmp_path: Path) -> None:
    done = run(["serve", "--workers", "2"], 20, {**os.environ, "PARLEY_STORE__DATA_DIR": str(tmp_path)})
    assert done.returncode == 2
    assert "cluster.redis_url" in done.stderr
