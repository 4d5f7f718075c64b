# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's campaigns against the real API, over a scripted telephone."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.client import InvalidRequest, NotFound, ParleyClient
from tests.gateway.test_api_calls import KEY, Api, api

__all__ = ["api"]

POLICY = {"windows": [{"from": "00:00", "to": "24:00"}], "zone": "America/New_York", "region": "US", "cps": 1000.0}
LIST = b"number,name\n202 555 0123,Ann\n202 555 0123,Ann again\n12,Bob\n312 555 0142,Cid\n"


@pytest.fixture
async def parley(api: Api) -> AsyncIterator[ParleyClient]:
    async with ParleyClient("http://parley", KEY, transport=httpx.ASGITransport(api.app)) as client:
        yield client


async def test_a_list_becomes_calls_and_calls_become_results(parley: ParleyClient, tmp_path: Path) -> None:
    campaigns = parley.campaigns
    draft = await campaigns.create("winter", POLICY)
    assert (draft.state, draft.policy.cps, draft.policy.ring_s) == ("draft", 1000.0, 30.0)

    async def pieces() -> AsyncIterator[bytes]:
        for begin in range(0, len(LIST), 7):
            yield LIST[begin : begin + 7]

    report = await campaigns.add_contacts(draft.campaign_id, pieces())
    assert (report.rows, report.accepted, report.duplicates, report.invalid) == (4, 2, 1, 1)
    assert [problem.line for problem in report.problems] == [3, 4]
    await campaigns.start(draft.campaign_id)
    async with asyncio.timeout(60):
        while (campaign := await campaigns.get(draft.campaign_id)).state != "done":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (campaign.progress.outcomes, campaign.end_reason) == ({"talked": 2}, "completed")
    assert [one.campaign_id for one in await campaigns.listed()] == [draft.campaign_id]
    async with campaigns.results(draft.campaign_id, "jsonl", after=1) as blocks:
        (row,) = (b"".join([block async for block in blocks])).splitlines()
    assert json.loads(row)["sequence"] == 2
    page = await campaigns.attempts(draft.campaign_id, outcomes=["talked", "busy"])
    assert sorted(one.metadata["name"] for one in page.attempts) == ["Ann", "Cid"]
    oldest = page.attempts[-1].attempt_id
    assert (await campaigns.attempts(draft.campaign_id, before=oldest, outcomes=["busy"])).attempts == ()
    await campaigns.save_report(draft.campaign_id, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!")
    await campaigns.remove(draft.campaign_id)
    with pytest.raises(NotFound):
        await campaigns.get(draft.campaign_id)


async def test_what_a_policy_leaves_out_is_the_gateways_to_choose_and_none_is_said(parley: ParleyClient) -> None:
    draft = await parley.campaigns.create("winter", {"attempts": {"busy": None}})
    assert draft.policy.attempts.busy is None
    assert draft.policy.attempts.no_answer is not None
    with pytest.raises(InvalidRequest) as refusal:
        await parley.campaigns.create("winter", {"speed": 9})
    assert list(refusal.value.fields) == ["body.policy.speed"]


async def test_numbers_are_barred_page_by_page_and_allowed_again(
    parley: ParleyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.campaigns._PAGE", 2)
    numbers = [f"+1202555012{digit}" for digit in range(5)]
    for number in numbers:
        await parley.campaigns.add_do_not_call(number)
    assert [one.number async for one in parley.campaigns.do_not_call()] == numbers
    await parley.campaigns.remove_do_not_call(numbers[0])
    assert [one.number async for one in parley.campaigns.do_not_call()] == numbers[1:]
    with pytest.raises(NotFound):
        await parley.campaigns.remove_do_not_call(numbers[0])
