# SPDX-License-Identifier: GPL-3.0-or-later
"""A floor of agents and a list, second by second, for pacing: who answers, when, and how long they talk is drawn."""

import heapq
import random
from dataclasses import dataclass, field

from gateway.campaigns.pacing import Load, wanted
from gateway.campaigns.policy import Policy


def policy(mode: str, agents: int = 10, concurrency: int = 50) -> Policy:
    """With so many agent slots."""
    return Policy.model_validate({"concurrency": concurrency, "pacing": {"mode": mode, "agents": agents}})


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
