# SPDX-License-Identifier: GPL-3.0-or-later
"""`/audit`: what was done to personal data, keys and agents, and whether the record of it is whole."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from gateway.api.problems import problem_responses
from gateway.store import SessionStore


class AuditLineInfo(BaseModel):
    """One note."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    audit_id: int
    at: datetime
    action: str
    """`session_erased`, `api_key_created`, `session_held`..."""
    subject: str
    """What it was done to: an id, or a keyed digest; never a number or a name."""
    position: int | None
    """In the chain, from 1; null: not chained yet, which takes a second."""
    hash: str | None


class AuditPage(BaseModel):
    """Notes in the order in which they were made."""

    lines: list[AuditLineInfo]


class ChainInfo(BaseModel):
    """Whether the log is whole."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    lines: int
    """Of the chain, all computed again."""
    waiting: int
    """Noted, and not chained yet."""
    head: str
    """Hash of the last line. Keep it elsewhere: with it, an end that was cut off is found out."""
    problems: list[str]
    """What is wrong, the first ten; none: every line is as it was written."""


def audit_router(store: SessionStore) -> APIRouter:
    """The routes over this store."""
    router = APIRouter(prefix="/audit", tags=["audit"], responses=problem_responses(401, 422, 503))

    @router.get("")
    async def list_audit(
        after: Annotated[int, Query(ge=0, description="`audit_id` of the last line that you have.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> AuditPage:
        """What was noted after a line."""
        await store.flush()
        lines = await store.audit_log.lines(after, limit)
        return AuditPage(lines=[AuditLineInfo.model_validate(line) for line in lines])

    @router.get("/verification")
    async def verify_audit(
        head: Annotated[str, Query(max_length=64, description="One that you kept: it must be in the chain.")] = "",
    ) -> ChainInfo:
        """Compute the chain again, line by line."""
        return ChainInfo.model_validate(await store.audit_log.verify(head))

    return router
