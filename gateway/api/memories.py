# SPDX-License-Identifier: GPL-3.0-or-later
"""`/memories`: what agents remember of a caller, and how to make it go away."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from gateway.api.problems import problem_responses
from gateway.sip.identity import named_caller
from gateway.store import ConsentRecord, MemoryRecord, MemoryRows

Caller = Annotated[str, Query(min_length=1, max_length=256)]
"""Who: `sip:anna@192.0.2.7`, or a bare number, which means every address with it as its user part."""


class CallerMemory(BaseModel):
    """What agents remember of one caller."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    memories: list[MemoryRecord]
    """One for each call, newest first."""
    consents: list[ConsentRecord]
    """What the caller has answered to being remembered; none: they were not asked, or gave no answer."""


def memories_router(rows: MemoryRows) -> APIRouter:
    """The routes over these rows."""
    router = APIRouter(prefix="/memories", tags=["memories"], responses=problem_responses(401, 422, 503))

    @router.get("")
    async def get_memories(caller: Caller) -> CallerMemory:
        """What is remembered of this caller."""
        known, number = named_caller(caller)
        now = datetime.now(UTC)
        return CallerMemory(
            memories=await rows.of_caller(known, number, now), consents=await rows.consents(known, number, now)
        )

    @router.delete("", status_code=204)
    async def erase_memories(caller: Caller) -> None:
        """Erase it, consents included, also of calls that go on. Transcripts stay: they go with their session."""
        known, number = named_caller(caller)
        await rows.forget(known, number, wait=True)

    return router
