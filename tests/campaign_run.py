# SPDX-License-Identifier: GPL-3.0-or-later
"""A campaign against the simulated trunk: real gateways on one data folder, which may be killed meanwhile."""

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.campaigns.outcome import Outcome
from tests.campaign_audit import Attempt, Audit, Invite, audit, read_truth
from tests.e2e.gateway_process import API_KEY, GatewayProcess

_TRUNK_SIM = Path(__file__).resolve().parents[1] / "scripts/bench/trunk_sim"
_AREAS = ("113", "114", "115", "116", "117", "118", "121", "131", "141", "151", "161")
"""Of each of these 496 0000 to 496 0999 are kept free for films (Ofcom): nobody has them."""
_PAGE = 500
_BATCH = 1000
_TRUNK = """
[[trunk]]
name = "simulated"
host = "{trunk}"
"""
RECEPTIONIST = '[[route]]\naction = "agent"\nagent = "receptionist"\n[agents.receptionist]\n'
"""The agent that needs no services, and its own voice and ears."""
POLICY: Mapping[str, Any] = {
    "trunk": "simulated",
    "zone": "Europe/London",
    "windows": [{"from": "00:00", "to": "24:00"}],
    "ring_s": 15,
    "max_duration_s": 60,
    "attempts": {
        "max": 3,
        "max_per_day": 3,
        "busy": {"after_s": [2]},
        "no_answer": {"after_s": [2], "max": 2},
        "failed": {"after_s": [2]},
    },
    "machine": {
        "action": "message",
        "message": "This is the dental practice. Your appointment is tomorrow at nine. Goodbye.",
    },
}
"""Anybody at any time, soon again."""


def numbers(count: int) -> list[str]:
    """So many, E.164. At most 11,000."""
    return [f"+44{_AREAS[index // 1000]}496{index % 1000:04}" for index in range(count)]


class Trunk:
    """The simulator in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.truth = folder / "truth.jsonl"
        self._command = [
            sys.executable,
            str(_TRUNK_SIM),
            "--listen",
            "127.0.0.1:0",
            "--truth",
            str(self.truth),
            *options,
        ]
        self.summary = ""

    def __enter__(self) -> Self:
        self.truth.touch()
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.match(r"trunk_sim ready sip=(\S+)", self.process.stdout.readline())
        assert found is not None, "the trunk simulator does not start"
        self.address = found[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        assert self.process.stdout is not None
        with self.process.stdout as words:
            self.summary = words.read()
        self.process.wait(10)

    def settle(self, limit_s: float = 20.0) -> None:
        """Wait until every call is over: of a gateway that was killed it takes its time to be missed."""
        deadline = time.monotonic() + limit_s
        while any(invite.ended_at is None for invite in self.invites()) and time.monotonic() < deadline:
            time.sleep(0.5)

    def invites(self) -> list[Invite]:
        """All that came, with what is known of each by now."""
        return read_truth(json.loads(line) for line in self.truth.read_text(encoding="utf-8").splitlines())


class Nodes:
    """Gateways on one data folder; with the URL of a database each has its own, as if on a machine of its own."""

    def __init__(
        self, folder: Path, trunk: str, count: int, agents: str = RECEPTIONIST, database: str | None = None
    ) -> None:
        data = folder / "data"
        data.mkdir()
        store = "" if database is None else f'url = "{database}"\n'
        self.killed_at: list[float] = []
        self._gateways = []
        for index in range(count):
            own = folder / f"node{index}"
            own.mkdir()
            if database is None:
                (own / "data").symlink_to(data)
            self._gateways.append(GatewayProcess(own, store + _TRUNK.format(trunk=trunk) + agents, record=False))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for gateway in self._gateways:
            self._stack.enter_context(gateway)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return len(self._gateways)

    @property
    def pids(self) -> list[int]:
        return [gateway.process.pid for gateway in self._gateways]

    def kill(self, index: int) -> None:
        """With -9, and start it again."""
        gateway = self._gateways[index]
        self.killed_at.append(time.time())
        gateway.process.kill()
        gateway.process.wait(10)
        gateway.__enter__()

    def ask(self, method: str, path: str, index: int = 0, **more: Any) -> httpx.Response:
        """Of the API below /api/v1."""
        address = self._gateways[index].http_address
        headers = {"Authorization": f"Bearer {API_KEY}"} | dict(more.pop("headers", {}))
        url = f"http://{address}/api/v1{path}"
        answer = httpx.request(method, url, headers=headers, timeout=30, **more)
        answer.raise_for_status()
        return answer


class CampaignRun:
    """One campaign of these gateways."""

    def __init__(self, nodes: Nodes, listed: Sequence[str], **policy: Any) -> None:
        self.nodes = nodes
        self.numbers = listed
        made = nodes.ask("POST", "/campaigns", json={"name": "run", "policy": {**POLICY, **policy}})
        self.id: str = made.json()["campaign_id"]
        accepted = 0
        for begin in range(0, len(listed), _BATCH):
            rows = [{"number": number} for number in listed[begin : begin + _BATCH]]
            report = nodes.ask("POST", f"/campaigns/{self.id}/contacts", json={"contacts": rows}).json()
            accepted += report["accepted"]
        assert accepted == len(listed), report

    def tell(self, verb: str) -> None:
        """start, pause, resume, drain or cancel."""
        self.nodes.ask("POST", f"/campaigns/{self.id}/{verb}")

    def state(self) -> Mapping[str, Any]:
        """As the API has it."""
        found: Mapping[str, Any] = self.nodes.ask("GET", f"/campaigns/{self.id}").json()
        return found

    def run(self, kills: int, seed: int, limit_s: float, *, dawdle_s: float = 1.5) -> Iterator[Mapping[str, Any]]:
        """Start it and see it through, with each state that was seen; a gateway is killed whenever one of as many
        random shares of the contacts is done, up to `dawdle_s` later. Raises `TimeoutError`."""
        chance = random.Random(seed)
        thresholds = sorted(chance.uniform(0.0, 0.95) * len(self.numbers) for _ in range(kills))
        self.tell("start")
        deadline = time.monotonic() + limit_s
        while (state := self.state())["state"] not in ("done", "cancelled"):
            yield state
            if thresholds and state["progress"]["done"] >= thresholds[0]:
                thresholds.pop(0)
                time.sleep(chance.uniform(0.0, dawdle_s))
                self.nodes.kill(chance.randrange(len(self.nodes)))
            if time.monotonic() > deadline:
                raise TimeoutError(f"the campaign is not done within {limit_s:.0f} s: {state['progress']}")
            time.sleep(0.3)
        yield state

    def attempts(self) -> list[Attempt]:
        """All of them."""
        found: list[Attempt] = []
        more: dict[str, str] = {}
        while True:
            page = self.nodes.ask("GET", f"/campaigns/{self.id}/attempts", params={"limit": _PAGE, **more}).json()
            found += [Attempt.parse(one) for one in page["attempts"]]
            if page["next"] is None:
                return found
            more = {"before": page["next"]}

    def results(self) -> list[tuple[str, Outcome]]:
        """Number and outcome of each row."""
        text = self.nodes.ask("GET", f"/campaigns/{self.id}/results", params={"format": "jsonl"}).text
        rows = (json.loads(line) for line in text.splitlines())
        return [(row["number"], Outcome(row["outcome"])) for row in rows]

    def audit(self, invites: Sequence[Invite]) -> Audit:
        """Against what the trunk says of this list's numbers."""
        return audit(set(self.numbers), self.attempts(), self.results(), invites, self.nodes.killed_at)
