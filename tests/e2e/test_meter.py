# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter of a real call: a tone on an echo, seen on both sides, by everybody who looks, until it ends."""

import asyncio
import base64
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from media.level import SILENCE_DBOV
from media.tones import tone
from media.wav import write_wav
from tests.e2e.gateway_process import API_KEY, GatewayProcess, wait_for
from tests.e2e.peers import softphone


def meter(gateway: GatewayProcess, call_id: str) -> connect:
    """As a page opens it."""
    key = base64.urlsafe_b64encode(API_KEY.encode()).decode().rstrip("=")
    protocols = [Subprotocol("parley.meter"), Subprotocol(f"parley.key.{key}")]
    return connect(f"ws://{gateway.http_address}/api/v1/calls/{call_id}/meter", subprotocols=protocols)


def is_ours(call: dict[str, Any]) -> bool:
    return call["state"] == "active" and "echo" in call["to"] and call["metadata"].get("transport") != "webrtc"


async def reports(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        return [json.loads(await socket.recv()) for _ in range(count)]


async def test_both_sides_are_told_to_everybody_who_looks_until_the_call_ends(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    quiet = np.zeros(8000, np.int16)
    write_wav(tmp_path / "line.wav", np.concatenate([tone([440], 3000, 8000), quiet]), 8000)
    calling = asyncio.create_task(
        asyncio.to_thread(softphone, gateway, "echo", "--play", str(tmp_path / "line.wav"), "--duration", "6")
    )
    call_id: str = await asyncio.to_thread(
        wait_for,
        lambda: next((one["call_id"] for one in gateway.get("/calls")["calls"] if is_ours(one)), None),
        "the call",
    )
    async with meter(gateway, call_id) as one, meter(gateway, call_id) as other:
        assert one.subprotocol == "parley.meter"
        first = (await asyncio.gather(reports(one, 5), reports(other, 5)))[0]
        await other.close()
        seen = first + await reports(one, 10)
        async with asyncio.timeout(20):
            seen += [json.loads(message) async for message in one]
        assert one.close_code == 1000
    assert (await calling)["answered"]
    assert {report["step_ms"] for report in seen} == {40}
    assert all(later["at_ms"] - sooner["at_ms"] >= 160 for sooner, later in itertools.pairwise(seen))
    for side in ("caller", "ours"):
        levels = [level for report in seen for level in report[side]]
        assert max(levels) > -30.0
        assert min(levels) < -60.0
        assert all(SILENCE_DBOV <= level <= 0.0 for level in levels)
    per_second = 1000 * (len(seen) - 1) / (seen[-1]["at_ms"] - seen[0]["at_ms"])
    assert 4.5 < per_second < 5.5


async def test_of_a_call_that_is_none_there_is_no_meter(gateway: GatewayProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await meter(gateway, "call_none")
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body or b"")["type"] == "urn:parley:problem:no-such-call"
