# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: what fits stays as it is, what does not is told all at once, with its place."""

import asyncio
from datetime import time
from random import Random

import pytest

from gateway.campaigns.budget import affordable, cost_of
from gateway.campaigns.caller_ids import CallerIds
from gateway.campaigns.policy import Policy
from gateway.campaigns.slots import SendPermits, gap_s
from gateway.errors import PolicyError
from gateway.store.campaign_records import Sums
from tests.fakes.virtual_time import in_virtual_time

EVERYTHING = """
agent = "desk"
trunk = "acme"
concurrency = 40
cps = 2.5
caller_ids = ["+4930901820", "+4989901820"]
local_presence = true
zone = "Europe/Berlin"
region = "de"
holidays = [2026-12-25]
until = 2026-12-31T18:00:00+01:00
consent_column = "agreed"
windows = [{days = ["mon", "fri"], from = "09:00", to = "24:00"}]
metadata = {shop = "Mitte"}

[attempts]
max = 4
busy = {after_s = [60, 600]}

[budget]
max_cost = 50
cost_per_minute = 0.02

[pacing]
mode = "predictive"
agents = 10

[machine]
action = "message"
message = "Hello {name}, please call us back."

[[extract]]
name = "confirmed"
type = "boolean"
question = "Did they confirm the appointment?"
"""


def test_a_policy_is_the_same_after_a_trip_through_json() -> None:
    policy = Policy.from_toml(EVERYTHING, "campaign.toml")
    assert Policy.model_validate_json(policy.model_dump_json(by_alias=True)) == policy
    assert policy.windows[0].to == time(23, 59, 59, 999999)
    assert policy.region == "DE"
    assert policy.agent_slots == 10


def test_every_fault_is_told_with_its_place() -> None:
    faulty = 'cps = 0\nzone = "Mars"\nnonsense = 1\n[machine]\naction = "message"\n[attempts]\nbusy = {after_s = []}\n'
    with pytest.raises(PolicyError) as raised:
        Policy.from_toml(faulty, "c.toml")
    places = {fault.source for fault in raised.value.faults}
    assert places == {
        "c.toml: cps",
        "c.toml: zone",
        "c.toml: nonsense",
        "c.toml: machine",
        "c.toml: attempts.busy.after_s",
    }


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("cps = ", "c.toml: is no TOML"),
        ("until = 2026-12-31T18:00:00", "c.toml: until: needs an offset from UTC"),
        ("region = 'Germany'", "c.toml: region: must be a country's two letters"),
        ("[budget]\nmax_cost = 5", "c.toml: budget: max_cost needs cost_per_minute or cost_per_call"),
        ("[pacing]\nmode = 'predictive'", "c.toml: pacing: predictive needs more concurrency than agents"),
        ("[[extract]]\nname='x'\ntype='choice'\nquestion='?'", "c.toml: extract.0: choices and type"),
        ("extract = [{name='x', question='?'}, {name='x', question='?'}]", "c.toml: extract: two fields"),
    ],
)
def test_what_does_not_fit_together_is_refused(text: str, place: str) -> None:
    with pytest.raises(PolicyError) as raised:
        Policy.from_toml(text, "c.toml")
    assert place in str(raised.value)


def test_calls_within_a_budget_can_all_be_paid_for_however_long_they_last() -> None:
    budget = Policy.model_validate(
        {"budget": {"max_cost": 10, "cost_per_minute": 0.6, "cost_per_call": 0.4, "max_minutes": 25}}
    ).budget
    assert cost_of(budget, None) == 0
    assert cost_of(budget, 60.2) == pytest.approx(0.4 + 0.61)
    dearest = cost_of(budget, 300)
    sums, standing, begun = Sums(), 0, 0
    while affordable(budget, 300, sums, standing):
        standing += 1
        begun += 1
    assert begun == 2, "three of five minutes could pass the cap of ten"
    assert begun * dearest <= 10 < (begun + 1) * dearest
    cheap = Sums(cost=2 * cost_of(budget, 30), talked_s=60)
    assert affordable(budget, 300, cheap, 0) == 2
    assert affordable(Policy().budget, 300, Sums(cost=1e9), 5) is None


def test_the_nearest_of_our_numbers_is_shown_and_always_the_same_to_the_same_person() -> None:
    pool = ["+4930111", "+4930222", "+4989333", "+1212444"]
    local = CallerIds(Policy.model_validate({"caller_ids": pool, "local_presence": True}))
    assert local.choose("+49301234567", 1) in ("+4930111", "+4930222")
    assert local.choose("+498912345", 1) == "+4989333"
    assert local.choose("+12125550100", 1) == "+1212444"
    assert local.choose("+498912345", 1) == local.choose("+498912345", 2)
    by_attempt = CallerIds(Policy.model_validate({"caller_ids": pool, "caller_id_rotation": "attempt"}))
    assert {by_attempt.choose("+498912345", index) for index in (1, 2, 3, 4)} == set(pool)
    shares = [by_attempt.choose(f"+4989{number:05}", 1) for number in range(400)]
    assert min(shares.count(one) for one in pool) > 60
    assert CallerIds(Policy()).choose("+498912345", 1) is None


@pytest.mark.parametrize("cps", [0.2, 0.5, 1, 2.5, 5, 33.3])
@in_virtual_time
async def test_no_second_has_more_invites_than_its_rate_however_long_each_takes_to_leave(cps: float) -> None:
    permits, chance, out = SendPermits(cps), Random(1), list[float]()
    loop = asyncio.get_running_loop()

    async def send() -> None:
        await permits.take()
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.01, 0.3)))  # the machine is slow, or stands still
        out.append(loop.time())
        await asyncio.sleep(chance.choice((0.0, 0.02)))  # until we hear that it is out
        permits.receive_sent()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(60):
            tasks.create_task(send())
            await asyncio.sleep(gap_s(cps) * chance.choice((0.5, 1.0, 1.0)))
    span_s = max(1.0, 1 / cps)
    for begin in out:
        assert sum(begin <= one < begin + span_s for one in out) <= max(1, cps)
    assert len(out) == 60
