# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley serve` as a child process with a configuration of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

import httpx

from tests.e2e.nursery import Child
from tests.e2e.rtp_ports import RtpPorts

PARLEY = [sys.executable, "-m", "gateway"]
API_KEY = "e2e-key"
_READY = re.compile(r"parley ready sip=([\d.]+):(\d+) http=([\d.]+):(\d+)")
_READY_WAIT_S = 60


class GatewayProcess:
    """Started by `with`; stopped by SIGTERM, which must drain and exit 0."""

    def __init__(
        self,
        folder: Path,
        settings: str = "",
        *,
        record: bool = True,
        max_calls: int = 400,
        media: str = "",
        sip: str = "",
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.config = folder / "parley.toml"
        self._rtp = RtpPorts()
        weakref.finalize(self, self._rtp.close)  # it may be started more than once
        self.config.write_text(
            f"""
[sip]
bind = "127.0.0.1"
port = 0
max_calls = {max_calls}
{sip}
[http]
port = 0
api_keys = ["{API_KEY}"]
[media]
rtp_port_min = {self._rtp.low}
rtp_port_max = {self._rtp.high}
record = {str(record).lower()}
{media}
[store]
data_dir = "data"
"""
            + settings
        )
        self.sip_port = 0
        self.http_address = ""
        self.ready_wait_s = _READY_WAIT_S
        self.log = folder / "parley.log"
        self._http = httpx.Client()

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = _begun(["serve", "--config", str(self.config)], log)
        overdue = threading.Timer(self.ready_wait_s, self.process.kill)
        overdue.start()
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                found = _READY.match(line)
                if found:
                    break
            else:
                raise AssertionError(f"parley serve did not get ready:\n{self.log.read_text()}")
        finally:
            overdue.cancel()
        # The lines after the first would fill the pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.sip_port = int(found[2])
        self.http_address = f"{found[3]}:{found[4]}"
        self._http = httpx.Client(
            base_url=f"http://{found[3]}:{found[4]}", headers={"Authorization": f"Bearer {API_KEY}"}, timeout=10
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                # A test that failed left calls behind; the second signal does not wait for their end.
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(30)
            finally:
                self.process.kill()

    @property
    def rtp_ports(self) -> range:
        """Of the first thirty calls at once."""
        return range(self._rtp.low, self._rtp.low + 60, 2)

    def uri(self, user: str) -> str:
        return f"sip:{user}@127.0.0.1:{self.sip_port}"

    def get(self, path: str) -> Any:
        """A JSON answer of the API below /api/v1."""
        answer = self._http.get(f"/api/v1{path}")
        answer.raise_for_status()
        return answer.json()

    def post(
        self, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self._http.post(f"/api/v1{path}", json=body or {}, headers=headers)

    def put(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._http.put(f"/api/v1{path}", json=body)

    def delete(self, path: str) -> None:
        self._http.delete(f"/api/v1{path}").raise_for_status()

    def page(self, path: str) -> str:
        """Text outside the base path: /metrics, /healthz."""
        answer = self._http.get(path)
        answer.raise_for_status()
        return answer.text

    def sessions(self) -> list[dict[str, Any]]:
        """Finished and running sessions, newest first."""
        answer = self.get("/sessions")
        sessions: list[dict[str, Any]] = answer["sessions"] if isinstance(answer, dict) else answer
        return sessions

    def newest_session(self, until: Callable[[dict[str, Any]], bool] = lambda session: True) -> dict[str, Any]:
        """The session that began last, once it has ended and `until` holds for it."""
        session: dict[str, Any] = wait_for(lambda: self._ended_session(until), "a session that has ended")
        return session

    def _ended_session(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        sessions = self.sessions()
        if not sessions:
            return None
        session: dict[str, Any] = self.get(f"/sessions/{sessions[0]['call_id']}")
        return session if session["ended_at"] and until(session) else None


def _begun(arguments: list[str], log: IO[bytes]) -> subprocess.Popen[str] | Child:
    """The command, under way. Benchmarks, and other libraries than the usual, want a process of their own."""
    if "PYTEST_CURRENT_TEST" in os.environ and "LD_PRELOAD" not in os.environ:
        return Child(arguments, log)
    return subprocess.Popen([*PARLEY, *arguments], stdout=subprocess.PIPE, stderr=log, text=True)


def wait_for(look: Callable[[], Any], what: str, timeout_s: float = 10) -> Any:
    """Ask again until something true comes back; for the outside world, which has no clock of ours."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {timeout_s} s")
