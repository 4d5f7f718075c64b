# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Prometheus as a child process, with the example configuration of scripts/monitoring."""

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

import httpx

from tests.e2e.gateway_process import wait_for

MONITORING = Path(__file__).parents[2] / "scripts/monitoring"


class PrometheusProcess:
    """Started by `with`; looks at one gateway, every second."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        example = (MONITORING / "prometheus.yml").read_text()
        self.config = folder / "prometheus.yml"
        self.config.write_text(example.replace("15s", "1s").replace("127.0.0.1:8080", target))
        shutil.copy(MONITORING / "prometheus-rules.yml", folder)

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            "prometheus",
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self._folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self._log = self._folder / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        try:
            wait_for(self._is_ready, "Prometheus", 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression yields now; its fault is ours."""
        answer = self._http.get("/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, f"{expression}\n{answer.text}"
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with what became of its last evaluation."""
        groups = self._http.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False
