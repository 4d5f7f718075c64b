# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /trunks`: the connections to providers and PBXs, and how they are."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request
from pydantic import BaseModel

from gateway.api.problems import problem_responses
from gateway.api.reach import reach_of


class TrunkServer(BaseModel):
    """One of a trunk's servers."""

    address: str
    is_up: bool
    """It answers, or nobody has asked it yet."""


class TrunkInfo(BaseModel):
    """A trunk as it is now."""

    name: str
    profile: str | None
    host: str
    registers: bool
    """We register with it."""
    registered: bool | None
    """Null: we need not, or have not tried yet."""
    is_up: bool
    """Calls go out through it; else it is tried last."""
    servers: list[TrunkServer]
    """Those that have been heard of."""
    calls: int
    """That stand, in both directions."""
    max_calls: int
    """0: no limit."""
    minutes_today: float
    """Of outgoing calls, since midnight UTC."""
    alarms: list[str]
    """That stand: `mos`, `loss_percent`, `failed_percent`."""


class TrunkList(BaseModel):
    trunks: list[TrunkInfo]


def trunks_router(trunks: Callable[[], Sequence[TrunkInfo]]) -> APIRouter:
    """The route over these."""
    router = APIRouter(prefix="/trunks", tags=["console"], responses=problem_responses(401))

    @router.get("")
    async def list_trunks(request: Request) -> TrunkList:
        """All of `[[trunk]]`, in their order."""
        covers = reach_of(request).covers_trunk
        return TrunkList(trunks=[one for one in trunks() if covers(one.name)])

    return router
