# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /work`, and what campaigns put there: a list is followed while it is sent, and its end is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.gateway.test_api_calls import Api, api
from tests.gateway.test_api_campaigns import POLICY

__all__ = ["api"]

HEADER, ROW = b"number,name\n", b"+493090182%04d,Name\n"


async def work(api: Api) -> list[dict[str, Any]]:
    answer = await api.client.get("/api/v1/work")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["work"]
    return found


async def campaign(api: Api) -> str:
    made = await api.client.post("/api/v1/campaigns", json={"name": "Test", "policy": POLICY})
    return str(made.json()["campaign_id"])


async def test_nothing_to_do_is_an_empty_list(api: Api) -> None:
    assert await work(api) == []


async def test_a_list_is_seen_while_it_is_sent_and_when_it_is_there(api: Api) -> None:
    campaign_id = await campaign(api)
    may_go_on, size = asyncio.Event(), len(HEADER) + 10 * len(ROW % 1)

    async def pieces() -> AsyncIterator[bytes]:
        yield HEADER
        await may_go_on.wait()
        for number in range(10):
            yield ROW % number

    headers = {"Content-Type": "text/csv", "Content-Length": str(size)}
    sending = asyncio.create_task(
        api.client.post(f"/api/v1/campaigns/{campaign_id}/contacts", content=pieces(), headers=headers)
    )
    async with asyncio.timeout(20):
        while not (found := await work(api)) or not found[0]["done"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(found) == 1
    assert {**found[0], "id": ""} == {
        "id": "",
        "kind": "campaign_list",
        "name": campaign_id,
        "done": len(HEADER),
        "total": size,
        "unit": "bytes",
        "state": "running",
        "detail": "",
    }
    may_go_on.set()
    assert (await sending).json()["accepted"] == 10
    (done,) = await work(api)
    assert (done["id"], done["state"], done["done"]) == (found[0]["id"], "done", size)


async def test_a_list_of_unknown_length_has_no_total(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield HEADER
        yield ROW % 1

    answer = await api.client.post(
        f"/api/v1/campaigns/{await campaign(api)}/contacts", content=pieces(), headers={"Content-Type": "text/csv"}
    )
    assert answer.json()["accepted"] == 1
    (done,) = await work(api)
    assert (done["total"], done["done"], done["state"]) == (None, len(HEADER) + len(ROW % 1), "done")


async def test_an_unreadable_list_has_failed_with_its_cause(api: Api) -> None:
    answer = await api.client.post(
        f"/api/v1/campaigns/{await campaign(api)}/contacts", content=b"a\n1\n", headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 422
    (failed,) = await work(api)
    assert failed["state"] == "failed"
    assert "number" in failed["detail"]
