# SPDX-License-Identifier: GPL-3.0-or-later
"""How many calls to begin now: a pure function of what the campaign does, so that several gateways agree.

fixed        up to `concurrency`
progressive  one for each free agent slot: nobody finds none
predictive   more, by the share of calls that people answer, held down by the share of those that found no slot

A person who answers while every slot is taken is abandoned. With n calls ringing, each answered by a person with
probability p before it stops, and f slots free, the number abandoned is what of a binomial (n, p) exceeds f; n is
chosen so that its share of the people stays below what is allowed now. That is the cap, and the more the further the
campaign has stayed below it so far: calls do not all answer in the same moment, as the binomial has it.
"""

import math
from dataclasses import dataclass

from gateway.campaigns.policy import Policy

_LEAST_CALLS = 50
"""Fewer than these say too little of how many answer: until then a call for each free slot."""
_LEAST_PEOPLE = 20
_CAUTION = 0.7
"""Of the cap this much is aimed at: what is rare comes in clusters."""
_BOLDNESS = 0.25
"""For each person who might have been abandoned and was not, the allowed share grows by this part of the cap..."""
_BOLDEST = 0.15
"""... but not beyond this."""
_FURTHEST = 6.0
"""Calls for one free slot at most."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a campaign does, in all gateways."""

    dialing: int
    """Calls that are not answered yet."""
    talking: int
    """Calls that are answered and not over."""
    placed: int = 0
    """Of the latest calls that are over: all..."""
    answered_by_people: int = 0
    """... that people answered, abandoned ones among them..."""
    abandoned: int = 0
    """... who found no slot."""
    people_in_all: int = 0
    """The same two of the whole campaign."""
    abandoned_in_all: int = 0
    mean_ring_s: float = 0.0
    """From INVITE to answer."""
    mean_talk_s: float = 0.0
    """Of people, from answer to end."""


def wanted(policy: Policy, load: Load) -> int:
    """How many calls to begin now; `concurrency` is kept, `cps` is the caller's affair."""
    room = policy.concurrency - load.dialing - load.talking
    if room <= 0:
        return 0
    match policy.pacing.mode:
        case "fixed":
            return room
        case "progressive":
            return min(room, max(0, policy.agent_slots - load.dialing - load.talking))
        case "predictive":
            return min(room, _predicted(policy, load))


def _predicted(policy: Policy, load: Load) -> int:
    free = policy.agent_slots - load.talking
    if load.placed < _LEAST_CALLS or load.answered_by_people < _LEAST_PEOPLE:
        return max(0, free - load.dialing)
    cap = policy.pacing.abandonment_cap * _CAUTION
    spared = cap * load.people_in_all - load.abandoned_in_all
    if spared <= 0 or load.abandoned >= policy.pacing.abandonment_cap * max(load.answered_by_people, _LEAST_PEOPLE):
        return max(0, free - load.dialing)  # nobody more may be abandoned until others have been served
    allowed = min(cap * (1 + _BOLDNESS * spared), max(cap, _BOLDEST))
    answered = load.answered_by_people / load.placed
    # Slots that come free while the calls ring are as good as free.
    soon = 0.0
    if load.mean_talk_s > 0:
        soon = load.talking * min(1.0, load.mean_ring_s / load.mean_talk_s)
    slots = max(0, free) + math.floor(soon * 0.5)
    number = max(0, free)
    while number < _FURTHEST * max(1, slots) and _abandoned_share(number + 1, answered, slots) <= allowed:
        number += 1
    return max(0, number - load.dialing)


def _abandoned_share(calls: int, answered: float, slots: int) -> float:
    """Of the people who answer so many calls, the share that exceeds the slots."""
    expected = calls * answered
    if expected <= 0:
        return 0.0
    excess = 0.0
    probability = (1 - answered) ** calls
    for people in range(calls + 1):
        if people > slots:
            excess += (people - slots) * probability
        if answered >= 1:
            break
        probability *= (calls - people) / (people + 1) * answered / (1 - answered)
    if answered >= 1:
        excess = max(0.0, calls - slots)
    return excess / expected
