# SPDX-License-Identifier: GPL-3.0-or-later
"""How many calls are begun: never more than may be, and predictive pacing abandons fewer than its cap."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.campaigns.pacing import Load, wanted
from tests.call_floor import Floor, policy

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
