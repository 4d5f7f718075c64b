# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /services`: the speech and language services, how they are, how quick, and what they have cost."""

from collections.abc import Callable, Sequence
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from gateway.api.problems import problem_responses
from gateway.api.reach import reach_of


class FirstNews(BaseModel):
    """Milliseconds to the first word, token or sound of the last 200 requests."""

    p50: float | None
    p95: float | None


class ServiceInfo(BaseModel):
    """A service in one role."""

    name: str
    kind: str
    role: Literal["stt", "llm", "tts", "realtime"]
    state: Literal["ok", "failing", "resting", "idle"]
    """resting: left alone for a while after failures. failing: more than one in ten of its last 50 requests failed.
    idle: nobody has asked it."""
    requests: int
    """Since the gateway began."""
    failures: int
    latency_ms: FirstNews
    usage: dict[str, float]
    """By unit: `prompt`, `cached`, `completion` (tokens), `audio_s`, `characters`."""
    cost: float | None
    """By `[services.NAME.price]`; null: no price is set."""
    used_by: list[str]
    """Agents."""


class ServiceList(BaseModel):
    services: list[ServiceInfo]


def services_router(services: Callable[[], Sequence[ServiceInfo]]) -> APIRouter:
    """The route over these."""
    router = APIRouter(prefix="/services", tags=["console"], responses=problem_responses(401))

    @router.get("")
    async def list_services(request: Request) -> ServiceList:
        """All of `[services]` that an agent uses, and the offline engines (`local`). What they were asked and what that
        cost is of all agents: keys that are limited see none."""
        return ServiceList(services=[] if reach_of(request).is_limited else list(services()))

    return router
