# SPDX-License-Identifier: GPL-3.0-or-later
"""What webhooks and feeds brought, judged: once or recognisably again, in order for each call, nothing missing."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from tests.e2e.gateway_process import API_KEY, GatewayProcess


class ReceiverProcess:
    """`tests.simulators.webhook_receiver`, to be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "webhooks.jsonl"
        self.port = 0

    def start(self) -> Self:
        command = [sys.executable, "-m", "tests.simulators.webhook_receiver", str(self.port), str(self.file)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """What arrived, in the order of arrival, repeats too."""
        whole = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in whole]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How deliveries compare with what happened."""

    missing: Sequence[int]
    """Cursors that never arrived."""
    repeated: int
    """Arrivals under an id that had arrived before."""
    unmarked: int
    """Arrivals of an event that had arrived under another id."""
    disordered: int
    """First arrivals of an event after a later one of the same call."""


def judge(happened: Iterable[dict[str, Any]], arrived: Iterable[dict[str, Any]]) -> Judgement:
    """`happened`: events; `arrived`: lines of the receiver."""
    ids: dict[int, str] = {}
    newest: dict[str, int] = {}
    repeated = unmarked = disordered = 0
    for line in arrived:
        event = line["event"]
        cursor, call_id = event["cursor"], event["call_id"]
        if cursor in ids:
            repeated += 1
            unmarked += ids[cursor] != line["id"]
            continue
        ids[cursor] = line["id"]
        disordered += cursor < newest.get(call_id, 0)
        newest[call_id] = max(cursor, newest.get(call_id, 0))
    missing = [event["cursor"] for event in happened if event["cursor"] not in ids]
    return Judgement(missing, repeated, unmarked, disordered)


def open_feed(gateway: GatewayProcess, query: str = "") -> ClientConnection:
    """The feed of events; its first message tells where it begins."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    return connect(f"ws://{gateway.http_address}/api/v1/events{query}", additional_headers=headers)


def all_events(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Everything in the log."""
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        page = gateway.get(f"/events?after={after}&limit=1000")
        found += page["events"]
        if not page["events"]:
            return found
        after = page["cursor"]
