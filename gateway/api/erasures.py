# SPDX-License-Identifier: GPL-3.0-or-later
"""`/erasures`: everything of one person goes."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.problems import problem_responses


class ErasureOrder(BaseModel):
    """Who is to be forgotten; in the body, since addresses stand in logs."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    caller: Annotated[str, Field(min_length=1, max_length=256)]
    """A number, or an address like `sip:anna@192.0.2.7`."""


class Erased(Protocol):
    """What became of it: `gateway.store.erasure.Erasure`."""

    @property
    def digest(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def sessions(self) -> int: ...
    @property
    def recordings(self) -> int: ...
    @property
    def contacts(self) -> int: ...
    @property
    def held(self) -> tuple[str, ...]: ...
    @property
    def standing(self) -> tuple[str, ...]: ...


class ErasureProof(BaseModel):
    """What was found, and what became of it."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    digest: str
    """Keyed digest of the person: the audit log has it under `caller_erased`, and nothing else of them."""
    at: datetime
    sessions: int
    """Erased, with all that was said."""
    recordings: int
    contacts: int
    """Contacts of campaigns whose number and columns were taken out."""
    held: list[str]
    """Sessions that must be kept (legal hold), and were."""
    standing: list[str]
    """Calls that go on: hang up, and ask again."""


def erasures_router(erase: Callable[[str], Awaitable[Erased]]) -> APIRouter:
    """`erase`: does it."""
    router = APIRouter(tags=["retention"], responses=problem_responses(401, 422, 503))

    @router.post("/erasures", status_code=201)
    async def erase_caller(order: ErasureOrder) -> ErasureProof:
        """Erase every session, recording, memory, consent and contact of this person. The do-not-call list stays."""
        return ErasureProof.model_validate(await erase(order.caller))

    return router
