# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /latency`: how quickly agents have answered lately, and where the time went."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from gateway.api.problems import problem_responses
from gateway.api.reach import reach_of
from gateway.telemetry.turns import RecentTurns, percentiles


class LatencyShares(BaseModel):
    """Percentiles in milliseconds; null when there were no turns."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class Latency(BaseModel):
    """Turns of a stretch of time."""

    turns: int
    response_ms: LatencyShares
    """End of the caller's speech to our first audible packet."""
    own_ms: LatencyShares
    """Of it what was Parley's own: neither waiting for a service nor for the end of the turn."""
    segments_ms: dict[str, LatencyShares]
    """Contiguous parts of the response, each by itself, in their order."""
    speculative: float | None
    """Share of answers that were begun before the caller had finished, 0 to 1."""
    interrupted: float | None
    """Share of answers that callers broke into."""


def latency_router(turns: RecentTurns) -> APIRouter:
    """The route over these turns."""
    router = APIRouter(prefix="/latency", tags=["sessions"], responses=problem_responses(401, 422))

    @router.get("")
    async def get_latency(
        request: Request,
        minutes: Annotated[int, Query(ge=1, le=1440)] = 60,
        agent: Annotated[str | None, Query(max_length=64)] = None,
    ) -> Latency:
        """The turns of the last minutes, 20,000 at most, since the gateway began."""
        found = turns.since(datetime.now(UTC) - timedelta(minutes=minutes), agent)
        covers = reach_of(request).covers_agent
        found = [one for one in found if covers(one.agent)]
        names = dict.fromkeys(name for one in found for name in one.segments_ms)
        return Latency(
            turns=len(found),
            response_ms=_shares([one.response_ms for one in found]),
            own_ms=_shares([one.own_ms for one in found]),
            segments_ms={
                name: _shares([one.segments_ms[name] for one in found if name in one.segments_ms]) for name in names
            },
            speculative=sum(one.speculative for one in found) / len(found) if found else None,
            interrupted=sum(one.interrupted for one in found) / len(found) if found else None,
        )

    return router


def _shares(values: list[float]) -> LatencyShares:
    return LatencyShares.model_validate(percentiles(values, (50, 90, 95, 99)))
