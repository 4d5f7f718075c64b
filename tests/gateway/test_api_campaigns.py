# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns over HTTP: from list and policy to outcomes, with a scripted telephone."""

import asyncio
import csv
import io
import json
from typing import Any

import pytest

from gateway.errors import TrunkUnreachable
from gateway.store.campaign_records import ClaimedAttempt
from tests.fakes.campaign_line import Answer, refused, talked
from tests.gateway.test_api_calls import Api, api

__all__ = ["api"]

ALWAYS = [{"from": "00:00", "to": "24:00"}]
POLICY: dict[str, Any] = {"windows": ALWAYS, "zone": "Europe/Berlin", "cps": 1000, "concurrency": 50}
NUMBERS = [f"+4930901820{index:02}" for index in range(20)]


async def draft(api: Api, policy: dict[str, Any] | None = None, numbers: list[str] | None = None) -> str:
    made = await api.client.post("/api/v1/campaigns", json={"name": "Test", "policy": POLICY | (policy or {})})
    assert made.status_code == 201, made.text
    campaign_id = str(made.json()["campaign_id"])
    rows = [{"number": number, "name": f"Name {line}"} for line, number in enumerate(numbers or NUMBERS)]
    report = await api.client.post(f"/api/v1/campaigns/{campaign_id}/contacts", json={"contacts": rows})
    assert report.json()["accepted"] == len(rows), report.text
    return campaign_id


async def run(api: Api, campaign_id: str, until: str = "done") -> dict[str, Any]:
    (await api.client.post(f"/api/v1/campaigns/{campaign_id}/start")).raise_for_status()
    return await wait(api, campaign_id, until)


async def wait(api: Api, campaign_id: str, until: str = "done") -> dict[str, Any]:
    async with asyncio.timeout(90):
        while True:
            campaign: dict[str, Any] = (await api.client.get(f"/api/v1/campaigns/{campaign_id}")).json()
            progress = campaign["progress"]
            if campaign["state"] == until and (until == "paused" or progress["done"] == progress["contacts"]):
                return campaign
            await asyncio.sleep(0.02)


async def calls(api: Api, number: int) -> None:
    """Until so many have been placed."""
    async with asyncio.timeout(90):
        while len(api.line.calls) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_everybody_on_the_list_is_called_once_and_has_an_outcome(api: Api) -> None:
    def answer(attempt: ClaimedAttempt) -> Answer:
        return refused(603) if attempt.number.endswith("7") else talked()

    api.line.answer = answer
    campaign = await run(api, await draft(api))
    assert campaign["end_reason"] == "completed"
    assert campaign["progress"]["outcomes"] == {"talked": 18, "rejected": 2}
    assert campaign["progress"]["contact_rate"] == 0.9
    assert dict(api.line.dialled) == dict.fromkeys(NUMBERS, 1)
    results = await api.client.get(f"/api/v1/campaigns/{campaign['campaign_id']}/results")
    rows = list(csv.DictReader(io.StringIO(results.text)))
    assert {row["number"]: row["outcome"] for row in rows} == {
        number: "rejected" if number.endswith("7") else "talked" for number in NUMBERS
    }
    assert {row["list.name"] for row in rows} == {f"Name {line}" for line in range(20)}
    lines = (
        await api.client.get(f"/api/v1/campaigns/{campaign['campaign_id']}/results?format=jsonl&after=18")
    ).text.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [19, 20]


async def test_who_is_busy_is_called_again_as_often_as_the_policy_says(api: Api) -> None:
    api.line.answer = lambda attempt: refused(486)
    attempts = {"max": 3, "max_per_day": 3, "busy": {"after_s": [0.05]}}
    campaign = await run(api, await draft(api, {"attempts": attempts}))
    assert campaign["progress"]["outcomes"] == {"busy": 20}
    assert dict(api.line.dialled) == dict.fromkeys(NUMBERS, 3)
    page = (await api.client.get(f"/api/v1/campaigns/{campaign['campaign_id']}/attempts?outcome=busy&limit=500")).json()
    assert len(page["attempts"]) == 60


async def test_cancelling_ends_what_rings_and_lets_nothing_out_any_more(api: Api) -> None:
    api.line.answer = lambda attempt: None
    campaign_id = await draft(api, {"concurrency": 5})
    await api.client.post(f"/api/v1/campaigns/{campaign_id}/start")
    await calls(api, 5)
    cancelled = await api.client.post(f"/api/v1/campaigns/{campaign_id}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    campaign = await wait(api, campaign_id, "cancelled")
    assert campaign["progress"]["outcomes"] == {"cancelled": 20}
    assert len(api.line.calls) == 5
    assert all(call.over.is_set() for call in api.line.calls)
    assert (await api.client.post(f"/api/v1/campaigns/{campaign_id}/resume")).status_code == 409
    assert (await api.client.delete(f"/api/v1/campaigns/{campaign_id}")).status_code == 204
    assert (await api.client.get(f"/api/v1/campaigns/{campaign_id}")).status_code == 404


async def test_a_paused_campaign_goes_on_where_it_was(api: Api) -> None:
    campaign_id = await draft(api, {"cps": 10})
    await api.client.post(f"/api/v1/campaigns/{campaign_id}/start")
    await calls(api, 3)
    await api.client.post(f"/api/v1/campaigns/{campaign_id}/pause")
    await asyncio.sleep(0.3)
    called = len(api.line.calls)
    await asyncio.sleep(0.3)
    assert len(api.line.calls) == called < 20
    await run(api, campaign_id)
    assert dict(api.line.dialled) == dict.fromkeys(NUMBERS, 1)


async def test_a_drained_campaign_calls_nobody_else(api: Api) -> None:
    campaign_id = await draft(api, {"cps": 5})
    await api.client.post(f"/api/v1/campaigns/{campaign_id}/start")
    await api.client.post(f"/api/v1/campaigns/{campaign_id}/drain")
    campaign = await wait(api, campaign_id)
    outcomes = campaign["progress"]["outcomes"]
    assert campaign["end_reason"] == "drained"
    assert outcomes["not_called"] >= 18
    assert sum(outcomes.values()) == 20


async def test_a_trunk_that_is_away_costs_nobody_an_attempt(api: Api) -> None:
    away = [TrunkUnreachable("no server of the trunk can be found")]
    api.line.answer = lambda attempt: away.pop() if away else talked()
    campaign = await run(api, await draft(api, numbers=NUMBERS[:3]))
    assert campaign["progress"]["outcomes"] == {"talked": 3}
    assert campaign["progress"]["attempts"] == 3


async def test_more_people_than_slots_are_abandoned_when_pacing_is_predictive_and_counted(api: Api) -> None:
    pacing = {"mode": "predictive", "agents": 1}
    campaign = await run(api, await draft(api, {"pacing": pacing, "concurrency": 2}))
    assert campaign["progress"]["people"] == 20


async def test_a_budget_is_never_passed(api: Api) -> None:
    budget = {"max_minutes": 35}  # three calls of ten minutes could be paid for, if they lasted
    api.line.answer = lambda attempt: None
    campaign_id = await draft(api, {"budget": budget})
    await api.client.post(f"/api/v1/campaigns/{campaign_id}/start")
    await calls(api, 3)
    await asyncio.sleep(0.3)
    assert len(api.line.calls) == 3
    await api.client.post(f"/api/v1/campaigns/{campaign_id}/cancel")


@pytest.mark.parametrize(
    ("kind", "body", "detail"),
    [
        ("text/csv", "name,phone\nA,+493090182001\n", "line 1: there is no column 'number'; found: name, phone"),
        ("text/csv", "number\n+493090182001\nM\xfcller\n".encode("latin-1"), "line 3, byte 2 is not UTF-8 (0xfc)"),
        ("text/csv", "", "has no first line"),
        ("application/pdf", "x", "a list is text/csv, application/x-ndjson or application/json"),
        ("application/json", '{"contacts": 1}', "body.contacts: Input should be a valid array"),
    ],
)
async def test_a_list_that_is_none_is_refused_whole_and_says_why(
    api: Api, kind: str, body: str | bytes, detail: str
) -> None:
    campaign_id = await draft(api, numbers=["+493090182099"])
    answer = await api.client.post(
        f"/api/v1/campaigns/{campaign_id}/contacts", content=body, headers={"Content-Type": kind}
    )
    assert answer.status_code in (415, 422)
    assert detail in answer.json()["detail"]
    campaign = (await api.client.get(f"/api/v1/campaigns/{campaign_id}")).json()
    assert campaign["progress"]["contacts"] == 1


async def test_a_list_is_reported_line_by_line_before_anybody_is_called(api: Api) -> None:
    made = await api.client.post(
        "/api/v1/campaigns", json={"name": "L", "policy": POLICY | {"consent_column": "ok", "region": "DE"}}
    )
    campaign_id = made.json()["campaign_id"]
    barred = await api.client.post("/api/v1/do-not-call", json={"number": "+49 30 9018-2005"})
    assert barred.json()["number"] == "+493090182005"
    text = (
        "number;ok;name\n"
        "030 9018 2001;yes;Anna\n"
        "+493090182001;yes;Anna again\n"
        "12;yes;Ben\n"
        "+493090182003;no;Carl\n"
        '+493090182004;yes;"Dora\nwith a line more"\n'
        "+493090182005;yes;Emil\n"
        "+493090182006;yes\n"
    )
    answer = await api.client.post(
        f"/api/v1/campaigns/{campaign_id}/contacts", content=text, headers={"Content-Type": "text/csv; charset=utf-8"}
    )
    report = answer.json()
    assert {
        name: report[name] for name in ("rows", "accepted", "invalid", "duplicates", "do_not_call", "no_consent")
    } == {
        "rows": 7,
        "accepted": 2,
        "invalid": 2,
        "duplicates": 1,
        "do_not_call": 1,
        "no_consent": 1,
    }
    assert [(one["line"], one["column"]) for one in report["problems"]] == [
        (3, "number"),
        (4, "number"),
        (5, "ok"),
        (8, "number"),
        (9, ""),
    ]
    assert "2003" not in answer.text
    assert not api.line.calls
    assert (await api.client.delete("/api/v1/do-not-call/+493090182005")).status_code == 204
    assert (await api.client.delete("/api/v1/do-not-call/+493090182005")).status_code == 404


async def test_a_policy_with_faults_is_refused_with_every_fault_and_its_place(api: Api) -> None:
    answer = await api.client.post(
        "/api/v1/campaigns", json={"name": "x", "policy": {"cps": 0, "zone": "Mars", "attempts": {"mox": 1}}}
    )
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [
        "body.policy.cps",
        "body.policy.zone",
        "body.policy.attempts.mox",
    ]


async def test_an_empty_campaign_cannot_be_started(api: Api) -> None:
    made = await api.client.post("/api/v1/campaigns", json={"name": "empty"})
    answer = await api.client.post(f"/api/v1/campaigns/{made.json()['campaign_id']}/start")
    assert answer.status_code == 409
    assert "no contacts" in answer.json()["detail"]
