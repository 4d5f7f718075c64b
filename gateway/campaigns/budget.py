# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls cost, and how many more can be paid for whatever they turn out to be: the cap is never passed."""

import math

from gateway.campaigns.policy import Budget
from gateway.store.campaign_records import Sums


def cost_of(budget: Budget, talked_s: float | None) -> float:
    """Of an attempt: `talked_s` seconds from answer to end, each one that has begun; None: it was not answered."""
    if talked_s is None:
        return 0.0
    return budget.cost_per_call + budget.cost_per_minute * math.ceil(talked_s) / 60


def affordable(budget: Budget, max_duration_s: float, sums: Sums, standing: int) -> int | None:
    """How many more calls may begin, when each of them and of the `standing` ones lasts as long as it may. None: any
    number, there is no cap."""
    left = []
    if budget.max_minutes is not None:
        minutes = max_duration_s / 60
        left.append((budget.max_minutes - sums.talked_s / 60) / minutes - standing)
    if budget.max_cost is not None and (dearest := cost_of(budget, max_duration_s)) > 0:
        left.append((budget.max_cost - sums.cost) / dearest - standing)
    return max(0, math.floor(min(left) + 1e-9)) if left else None
