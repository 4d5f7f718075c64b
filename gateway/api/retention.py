# SPDX-License-Identifier: GPL-3.0-or-later
"""`/retention` and holds: what is to be erased when, and what must not be."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from gateway.api.problems import problem_responses
from gateway.store import SessionStore

_CallId = Annotated[str, Path(max_length=128)]


class HoldOrder(BaseModel):
    """Why a session must be kept."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    reason: Annotated[str, Field(min_length=1, max_length=1_000)]
    """For whoever wants to erase it: a case number, who asked."""


class HoldInfo(BaseModel):
    """A legal hold."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    call_id: str
    reason: str
    at: datetime
    by: str
    """Id of the key with which it was asked for."""


class DueInfo(BaseModel):
    """What is to go with the next sweep."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    audio: int = 0
    """Recordings."""
    transcripts: int = 0
    """Sessions whose words go."""
    sessions: int = 0
    """Sessions that go whole."""


def retention_router(store: SessionStore, due: Callable[[], Awaitable[Sequence[str]]]) -> APIRouter:
    """`due`: the part of each session that is to go now."""
    router = APIRouter(tags=["retention"], responses=problem_responses(401, 422, 503))

    @router.get("/retention")
    async def get_due() -> DueInfo:
        """What the rules of `[retention]` would erase now."""
        return DueInfo(**Counter(await due()))

    @router.get("/sessions/{call_id}/hold", responses=problem_responses(404))
    async def get_hold(call_id: _CallId) -> HoldInfo:
        """Why it must be kept."""
        holds = await store.retention.holds((call_id,))
        if not holds:
            raise HTTPException(404, f"session {call_id} is not held")
        return HoldInfo(call_id=call_id, reason=holds[0].reason, at=holds[0].at, by=holds[0].by)

    @router.post("/sessions/{call_id}/hold", status_code=201, responses=problem_responses(404))
    async def hold_session(call_id: _CallId, order: HoldOrder, request: Request) -> HoldInfo:
        """Keep this session, whatever the rules say, and refuse to erase it, until that is ended."""
        if await store.get(call_id) is None:
            raise HTTPException(404, f"there is no session {call_id}")
        await store.retention.hold((call_id,), order.reason, request.state.key_id)
        return await get_hold(call_id)

    @router.delete("/sessions/{call_id}/hold", status_code=204, responses=problem_responses(404))
    async def release_session(call_id: _CallId) -> None:
        """End the hold: the rules are for this session again."""
        if not await store.retention.release(call_id):
            raise HTTPException(404, f"session {call_id} is not held")

    return router
