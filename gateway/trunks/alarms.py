# SPDX-License-Identifier: GPL-3.0-or-later
"""When the calls of a trunk sound bad or fail more than they should. Pure: `receive` is told of each call that ends.

    calls of the last quarter of an hour, at most fifty > one figure each for sound, loss and failures > raised, cleared

An alarm is raised when its figure is past the limit, over at least so many calls, and cleared when it is well back:
otherwise one call more or less would ring and silence it.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

WINDOW_S = 900.0
WINDOW_CALLS = 50
_BACK = 0.1
"""Share of the limit by which a figure must be on the good side of it again."""


class Symptom(StrEnum):
    """What is watched."""

    MOS = "mos"
    """Mean of the calls' opinion scores, as we hear them: too low."""
    LOSS = "loss_percent"
    """Mean of the calls' lost packets: too high."""
    FAILURES = "failed_percent"
    """Calls that ended by 408, 5xx or without a word: too high. Busy or unanswered telephones are no failure."""


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """0 switches a symptom off."""

    mos: float = 3.5
    loss_percent: float = 3.0
    failed_percent: float = 20.0
    min_calls: int = 5


@dataclass(frozen=True, slots=True)
class EndedCall:
    """How a call of a trunk went."""

    mos: float | None
    loss_percent: float | None
    """None: there was no audio."""
    is_failed: bool


@dataclass(frozen=True, slots=True)
class AlarmChanged:
    """An alarm was raised or cleared."""

    trunk: str
    symptom: Symptom
    raised: bool
    value: float
    limit: float
    calls: int
    """On which the value rests."""


class TrunkAlarms:
    """All trunks of one gateway."""

    def __init__(self, limits: AlarmLimits) -> None:
        self._limits = limits
        self._calls: dict[str, deque[tuple[float, EndedCall]]] = {}
        self._raised: set[tuple[str, Symptom]] = set()

    def is_raised(self, trunk: str, symptom: Symptom) -> bool:
        """Whether an alarm stands."""
        return (trunk, symptom) in self._raised

    def raised(self, trunk: str) -> tuple[Symptom, ...]:
        """The alarms of a trunk that stand."""
        return tuple(symptom for symptom in Symptom if self.is_raised(trunk, symptom))

    def receive(self, trunk: str, call: EndedCall, now: float) -> list[AlarmChanged]:
        """A call has ended; what that changes. `now`: monotonic seconds."""
        calls = self._calls.setdefault(trunk, deque(maxlen=WINDOW_CALLS))
        calls.append((now, call))
        while calls[0][0] < now - WINDOW_S:
            calls.popleft()
        recent = [one for _, one in calls]
        limits = self._limits
        mos = [one.mos for one in recent if one.mos is not None]
        loss = [one.loss_percent for one in recent if one.loss_percent is not None]
        failures = [100.0 * one.is_failed for one in recent]
        changes = (
            self._judge(trunk, Symptom.MOS, mos, limits.mos, is_low_bad=True),
            self._judge(trunk, Symptom.LOSS, loss, limits.loss_percent),
            self._judge(trunk, Symptom.FAILURES, failures, limits.failed_percent),
        )
        return [change for change in changes if change is not None]

    def _judge(
        self, trunk: str, symptom: Symptom, values: list[float], limit: float, *, is_low_bad: bool = False
    ) -> AlarmChanged | None:
        if limit == 0 or len(values) < self._limits.min_calls:
            return None
        mean = sum(values) / len(values)
        stands = self.is_raised(trunk, symptom)
        bound = limit * (1 + (_BACK if is_low_bad else -_BACK)) if stands else limit
        is_bad = mean < bound if is_low_bad else mean > bound
        if is_bad == stands:
            return None
        (self._raised.add if is_bad else self._raised.discard)((trunk, symptom))
        return AlarmChanged(trunk, symptom, is_bad, round(mean, 2), limit, len(values))
