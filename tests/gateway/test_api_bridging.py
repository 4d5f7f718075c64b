# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders about calls that hear each other: what reaches the calls, and what is refused by field."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.test_api_calls import Api, running_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


async def test_a_bridge_leads_to_a_call_or_to_an_address(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    standing = await api.client.post("/api/v1/calls/call_1/bridge", json={"call_id": "call_2"})
    assert standing.json() == {"call_id": "call_1", "other_call_id": "call_2", "bridged": True}
    dialled = await api.client.post("/api/v1/calls/call_1/bridge", json={"to": "sip:ann@example.com", "from": "7"})
    assert dialled.json() == {"call_id": "call_1", "other_call_id": "call_9", "bridged": False}
    assert (await api.client.post("/api/v1/calls/call_1/unbridge")).status_code == 204
    assert (await api.client.post("/api/v1/calls/call_7/unbridge")).status_code == 404


async def test_a_supervisor_listens_unless_more_is_said(api: Api) -> None:
    await api.client.post("/api/v1/calls", json={"to": "100"})
    for order in ({"supervisor": "call_2"}, {"supervisor": "call_2", "mode": "whisper"}):
        assert (await api.client.post("/api/v1/calls/call_1/supervise", json=order)).status_code == 204
    assert api.calls.asked == [
        ("supervise", "call_1", "call_2", "listen"),
        ("supervise", "call_1", "call_2", "whisper"),
    ]


@pytest.mark.parametrize(
    ("action", "order", "field"),
    [
        ("bridge", {}, "body"),
        ("bridge", {"call_id": "call_2", "to": "100"}, "body"),
        ("bridge", {"call_id": "call_2", "on_end": "party"}, "body.on_end"),
        ("bridge", {"to": "100", "timeout_s": 0}, "body.timeout_s"),
        ("bridge", {"to": "100", "timeout_s": "20"}, "body.timeout_s"),
        ("bridge", {"to": "100", "from": "desk\r\nX-Injected: 1"}, "body.from"),
        ("supervise", {"mode": "listen"}, "body.supervisor"),
        ("supervise", {"supervisor": "call_2", "mode": "shout"}, "body.mode"),
    ],
)
async def test_an_order_that_is_none_is_refused_by_field(
    api: Api, action: str, order: dict[str, object], field: str
) -> None:
    refused = await api.client.post(f"/api/v1/calls/call_1/{action}", json=order)
    assert refused.status_code == 422
    assert [one["field"] for one in refused.json()["errors"]] == [field]
    assert api.calls.asked == []
