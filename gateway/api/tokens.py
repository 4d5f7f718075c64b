# SPDX-License-Identifier: GPL-3.0-or-later
"""`POST /tokens`: a token with which a backend attaches itself to a call (`/calls/{id}/stream?token=`)."""

import time
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.control import CallControl
from gateway.api.numbers import JSON_NUMBER
from gateway.api.problems import problem_responses
from gateway.streams.tokens import MAX_TTL_S, StreamTokens, TokenScope


class IssueToken(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    scope: TokenScope
    """stream: the backend hears, speaks and acts. listen: it hears, and nothing else."""
    call_id: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    """The only call it is good for; null: any one call, also one that does not exist yet."""
    ttl_s: Annotated[int, Field(ge=1, le=MAX_TTL_S), JSON_NUMBER] = 60
    """Seconds until it is worth nothing."""


class IssuedToken(BaseModel):
    """A new token. This is the only time that it is shown."""

    token: str
    scope: TokenScope
    call_id: str | None
    expires_in_s: int


def tokens_router(tokens: StreamTokens, calls: CallControl) -> APIRouter:
    """The route over these tokens."""
    router = APIRouter(prefix="/tokens", tags=["streams"], responses=problem_responses(401, 422))

    @router.post("", status_code=201, responses=problem_responses(404, 413, 503))
    async def issue_token(order: IssueToken) -> IssuedToken:
        """A token that is good once, for one call, for a short time."""
        if order.call_id is not None:
            await calls.get(order.call_id)
        token = tokens.issue(order.scope, order.call_id, order.ttl_s, time.monotonic())
        return IssuedToken(token=token, scope=order.scope, call_id=order.call_id, expires_in_s=order.ttl_s)

    return router
