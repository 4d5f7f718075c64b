# SPDX-License-Identifier: GPL-3.0-or-later
"""How many calls are begun: never more than may be, and predictive pacing abandons fewer than its cap."""

import heapq
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.campaigns.pacing import Load, wanted
from gateway.campaigns.policy import Policy

loads = st.builds(
    Load,
    dialing=st.integers(0, 60),
    talking=st.integers(0, 60),
    placed=st.just(200),
    answered_by_people=st.integers(0, 200),
    abandoned=st.integers(0, 10),
    people_in_all=st.integers(0, 2000),
    abandoned_in_all=st.integers(0, 60),
    mean_ring_s=st.floats(0, 30),
    mean_talk_s=st.floats(0, 300),
)


def policy(mode: str, agents: int = 10, concurrency: int = 50) -> Policy:
    return Policy.model_validate({"concurrency": concurrency, "pacing": {"mode": mode, "agents": agents}})


@given(loads, st.sampled_from(["fixed", "progressive", "predictive"]))
def test_no_mode_passes_the_calls_there_may_be(load: Load, mode: str) -> None:
    number = wanted(policy(mode), load)
    assert number >= 0
    assert number == 0 or load.dialing + load.talking + number <= 50


@given(loads)
def test_progressive_pacing_never_has_more_calls_than_agents(load: Load) -> None:
    number = wanted(policy("progressive"), load)
    assert number == 0 or load.dialing + load.talking + number <= 10


@given(loads)
def test_predictive_pacing_is_progressive_while_too_many_were_abandoned(load: Load) -> None:
    if load.abandoned_in_all >= 0.03 * load.people_in_all:
        assert wanted(policy("predictive"), load) == wanted(policy("progressive"), load)


@dataclass
class Floor:
    """Agents and a list, second by second: who answers is drawn by seed."""

    policy: Policy
    answer_rate: float
    seed: int
    people: int = 0
    abandoned: int = 0
    talked_s: float = 0.0
    recent: list[tuple[bool, bool, float]] = field(default_factory=list)

    def run(self, until_s: float) -> None:
        draw = random.Random(self.seed)
        ringing: list[tuple[float, bool]] = []
        talking: list[float] = []
        for second in range(int(until_s)):
            while ringing and ringing[0][0] <= second:
                _, is_person = heapq.heappop(ringing)
                is_abandoned = is_person and len(talking) >= self.policy.agent_slots
                talk_s = draw.expovariate(1 / 60) if is_person and not is_abandoned else 0.0
                if talk_s:
                    heapq.heappush(talking, second + talk_s)
                self.people += is_person
                self.abandoned += is_abandoned
                self.talked_s += talk_s
                self.recent = [*self.recent[-199:], (is_person, is_abandoned, talk_s)]
            while talking and talking[0] <= second:
                heapq.heappop(talking)
            for _ in range(wanted(self.policy, self._load(len(ringing), len(talking)))):
                is_person = draw.random() < self.answer_rate
                rings_s = draw.uniform(4, 16) if is_person else draw.uniform(10, 25)
                heapq.heappush(ringing, (second + rings_s, is_person))

    def _load(self, dialing: int, talking: int) -> Load:
        talks = [talk_s for _, _, talk_s in self.recent if talk_s]
        return Load(
            dialing=dialing,
            talking=talking,
            placed=len(self.recent),
            answered_by_people=sum(is_person for is_person, _, _ in self.recent),
            abandoned=sum(is_abandoned for _, is_abandoned, _ in self.recent),
            people_in_all=self.people,
            abandoned_in_all=self.abandoned,
            mean_ring_s=10.0,
            mean_talk_s=sum(talks) / len(talks) if talks else 0.0,
        )


@pytest.mark.parametrize("answer_rate", [0.1, 0.25, 0.4, 0.6])
def test_predictive_pacing_keeps_agents_busier_than_progressive_and_abandons_under_its_cap(answer_rate: float) -> None:
    busy = dict.fromkeys(("progressive", "predictive"), 0.0)
    people = abandoned = 0
    for seed in range(2):
        for mode in busy:
            floor = Floor(policy(mode, agents=10, concurrency=60), answer_rate, seed)
            floor.run(3600)
            busy[mode] += floor.talked_s
            if mode == "progressive":
                assert floor.abandoned == 0
            else:
                people += floor.people
                abandoned += floor.abandoned
    assert abandoned / people < 0.03, f"{abandoned} of {people}"
    assert busy["predictive"] > (1.0 if answer_rate > 0.5 else 1.05) * busy["progressive"], busy


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 20), st.floats(0.05, 0.95), st.integers(0, 10_000))
def test_on_any_floor_the_cap_holds_over_a_day(agents: int, answer_rate: float, seed: int) -> None:
    floor = Floor(policy("predictive", agents=agents, concurrency=4 * agents), answer_rate, seed)
    floor.run(3600)
    # Of few people two are more than the cap, and nobody could have known.
    assert floor.abandoned <= 0.03 * floor.people + 3
