# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trunk may cost: destinations, calls at a time, calls per second, minutes a day.

Every call of a trunk is counted here, whoever began it: asking and counting are one step (`admit`), so that a hundred
at once cannot pass a limit of ten.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.trunks.config import TrunkConfig
from gateway.trunks.destinations import Way, bare, is_allowed
from gateway.trunks.numbers import NumberPlan

Bar = Literal["destination", "calls", "rate", "minutes"]
"""Why a call may not go out."""

_DAY_S = 86_400
_LONGEST = 15
"""Digits of a number (E.164 section 6.2.1)."""


@dataclass(slots=True)
class _Account:
    """Of one trunk."""

    calls: set[str] = field(default_factory=set)
    begun: deque[float] = field(default_factory=deque)
    """When the last calls went out, monotonic seconds; at most as many as may in its window."""
    talked_s: float = 0.0
    """Today, in calls that are over."""
    talking: dict[str, float] = field(default_factory=dict)
    """Since when, by call, wall time."""
    day: int = 0


class Tolls:
    """Of every trunk. Calls are known by their ids."""

    def __init__(self, trunks: Mapping[str, TrunkConfig]) -> None:
        self._trunks = trunks
        self._accounts = {name: _Account() for name in trunks}

    def bar(self, trunk: str, number: str, way: Way) -> Bar | None:
        """Whether this number may go out through it at all; None: it may."""
        rules = self._trunks[trunk]
        abroad, told = _abroad(rules.plan, number), rules.plan.written(number)
        readings = {number: abroad}
        # Written for the trunk it may have become another one: +1 011 44... is 011 44... without its country code.
        if _abroad(rules.plan, told) != abroad:
            readings[told] = _abroad(rules.plan, told)
        allow, deny = rules.allow_destinations, rules.deny_destinations
        allowed = all(is_allowed(one, allow, deny, way, abroad=full) for one, full in readings.items())
        return None if allowed else "destination"

    def admit(self, call_id: str, trunk: str, now: float, wall_time: float) -> Bar | None:
        """Count one more outgoing call, or say why there may not be one."""
        rules, account = self._trunks[trunk], self._account(trunk, wall_time)
        if rules.max_calls and len(account.calls) >= rules.max_calls:
            return "calls"
        if rules.max_minutes_per_day and self._talked_s(account, wall_time) >= 60 * rules.max_minutes_per_day:
            return "minutes"
        if rules.max_cps:
            most = max(1, int(rules.max_cps))
            window_s = most / rules.max_cps
            while account.begun and now - account.begun[0] >= window_s:
                account.begun.popleft()
            if len(account.begun) >= most:
                return "rate"
            account.begun.append(now)
        account.calls.add(call_id)
        return None

    def admit_inbound(self, call_id: str, trunk: str) -> Bar | None:
        """Count one more call that came in. It costs nothing, but takes one of `max_calls`."""
        rules, account = self._trunks[trunk], self._accounts[trunk]
        if rules.max_calls and len(account.calls) >= rules.max_calls:
            return "calls"
        account.calls.add(call_id)
        return None

    def answered(self, call_id: str, trunk: str, wall_time: float) -> None:
        """From now on an outgoing call costs."""
        account = self._account(trunk, wall_time)
        if call_id in account.calls:
            account.talking[call_id] = wall_time

    def ended(self, call_id: str, trunk: str, wall_time: float) -> None:
        """It is over, or goes on through another trunk. Unknown calls are over already, and fine."""
        account = self._account(trunk, wall_time)
        account.calls.discard(call_id)
        began = account.talking.pop(call_id, wall_time)
        account.talked_s += max(0.0, wall_time - began)

    def calls(self, trunk: str) -> int:
        """That are counted now."""
        return len(self._accounts[trunk].calls)

    def minutes_today(self, trunk: str, wall_time: float) -> float:
        """Of outgoing calls since midnight UTC, those that last included."""
        return self._talked_s(self._account(trunk, wall_time), wall_time) / 60

    def restore(self, trunk: str, minutes: float, wall_time: float) -> None:
        """What was talked today before this process began."""
        self._account(trunk, wall_time).talked_s += 60 * minutes

    def _talked_s(self, account: _Account, wall_time: float) -> float:
        return account.talked_s + sum(max(0.0, wall_time - began) for began in account.talking.values())

    def _account(self, trunk: str, wall_time: float) -> _Account:
        """The trunk's account of today: at midnight UTC it begins anew, also for calls that last."""
        account, day = self._accounts[trunk], int(wall_time // _DAY_S)
        if day > account.day:
            account.day, account.talked_s = day, 0.0
            account.talking = {call_id: max(began, day * _DAY_S) for call_id, began in account.talking.items()}
        return account


def _abroad(plan: NumberPlan, number: str) -> str:
    """What this number is internationally, as far as the trunk's plan knows: 0900... may be +49900."""
    # Exchanges take no notice of digits that are too many, so that they must not hide what a number is.
    full = replace(plan, sent="e164_plus", prefix="").written(bare(number)[:_LONGEST])
    # +49 (0) 900...
    home = f"+{plan.country_code}"
    is_zero_kept = plan.country_code and plan.national_prefix and full.startswith(home + plan.national_prefix)
    return home + full.removeprefix(home + plan.national_prefix) if is_zero_kept else full
