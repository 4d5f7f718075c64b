# SPDX-License-Identifier: GPL-3.0-or-later
"""The turns of lately, for percentiles that no histogram's buckets have rounded. From events; knows no clock."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import numpy as np

from gateway.events.event import Event

_MOST_TURNS = 20_000
_MOST_CALLS = 10_000
"""Whose agent is remembered; the oldest go first."""


@dataclass(frozen=True, slots=True)
class MeasuredTurn:
    """One answer."""

    at: datetime
    agent: str | None
    response_ms: float
    own_ms: float
    segments_ms: Mapping[str, float]
    speculative: bool
    interrupted: bool


class RecentTurns:
    """Give it all events."""

    def __init__(self) -> None:
        self._turns: deque[MeasuredTurn] = deque(maxlen=_MOST_TURNS)
        self._agents: dict[str, str | None] = {}

    def receive(self, event: Event) -> None:
        """Take an event of the bus."""
        data = cast("Mapping[str, Any]", event.data)
        if event.kind == "call.activity":
            self._agents[event.call_id] = data["agent"]
            if len(self._agents) > _MOST_CALLS:
                del self._agents[next(iter(self._agents))]
        elif event.kind == "call.ended":
            self._agents.pop(event.call_id, None)
        elif event.kind == "turn.measured":
            self._turns.append(
                MeasuredTurn(
                    event.at,
                    self._agents.get(event.call_id),
                    data["response_ms"],
                    data["own_ms"],
                    data["segments_ms"],
                    data["speculative"],
                    data["interrupted"],
                )
            )

    def since(self, begin: datetime, agent: str | None = None) -> list[MeasuredTurn]:
        """Those measured after `begin`, oldest first. `agent`: of this one only."""
        return [one for one in self._turns if one.at >= begin and agent in (None, one.agent)]


def percentiles(values: Iterable[float], wanted: tuple[int, ...]) -> dict[str, float | None]:
    """`{"p50": ...}` in the unit of the values; None when there are none."""
    all_values = np.fromiter(values, np.float64)
    if not len(all_values):
        return {f"p{one}": None for one in wanted}
    found = np.percentile(all_values, wanted)
    return {f"p{one}": round(float(value), 1) for one, value in zip(wanted, found, strict=True)}
