# SPDX-License-Identifier: GPL-3.0-or-later
"""`POST /tokens`: a token with which a backend attaches itself to a call (`/calls/{id}/stream?token=`), or a page in a
browser opens calls (`/webrtc/offer`)."""

import time
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from gateway.api.calls import check_within
from gateway.api.control import CallControl
from gateway.api.numbers import JSON_NUMBER
from gateway.api.orders import Metadata
from gateway.api.problems import problem_responses
from gateway.api.reach import reach_of
from gateway.api.scopes import allows
from gateway.errors import NoSuchAgent, ScopeMissing
from gateway.setting_types import WebOrigin
from gateway.streams.tokens import MAX_TTL_S, StreamTokens, TokenScope
from gateway.webrtc.tokens import PageGrant, PageTokens

_Origin = Annotated[WebOrigin, Field(pattern=r"^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$")]


class IssueToken(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    scope: TokenScope | Literal["call"]
    """stream: the backend hears, speaks and acts. listen: it hears, and nothing else. call: a page in a browser opens
    calls to an agent, one at a time (docs/browser.md); the key needs the scope `calls:write`, too."""
    agent: Annotated[str | None, Field(max_length=64)] = None
    """Scope call: which; may be left out when there is only one."""
    origins: Annotated[list[_Origin], Field(max_length=20)] = []
    """Scope call: origins of pages besides our own that may use it, `https://shop.example`."""
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    """Scope call: of the calls that it opens."""
    call_id: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    """The only call it is good for; null: any one call, also one that does not exist yet."""
    ttl_s: Annotated[int, Field(ge=1, le=MAX_TTL_S), JSON_NUMBER] = 60
    """Seconds until it is worth nothing."""


class IssuedToken(BaseModel):
    """A new token. This is the only time that it is shown."""

    token: str
    scope: TokenScope | Literal["call"]
    call_id: str | None
    expires_in_s: int


def tokens_router(tokens: StreamTokens, pages: PageTokens, calls: CallControl, agents: Sequence[str] = ()) -> APIRouter:
    """The route over these. `agents`: those there are; none: any name will do."""
    router = APIRouter(prefix="/tokens", tags=["streams"], responses=problem_responses(401, 422))

    @router.post("", status_code=201, responses=problem_responses(404, 413, 503))
    async def issue_token(order: IssueToken, request: Request) -> IssuedToken:
        """A token that is good for a short time: once, for one call; or, of scope call, for calls one after another."""
        reach = reach_of(request)
        if order.call_id is not None:
            await calls.get(order.call_id)
            await check_within(reach, calls, order.call_id)
        elif order.scope != "call":
            reach.refuse_others("name the call that the token is for")
        now = time.monotonic()
        if order.scope == "call":
            if not allows(request.state.scopes, "calls:write"):
                raise ScopeMissing("calls:write")
            if reach.trunks is not None:
                reach.refuse_others("calls from browsers come through no trunk")
            order = order.model_copy(
                update={"agent": reach.agent_for(order.agent), "metadata": reach.metadata_for(order.metadata)}
            )
            if agents and (order.agent or (agents[0] if len(agents) == 1 else "")) not in agents:
                raise NoSuchAgent(order.agent or "")
            grant = PageGrant(order.agent, now + order.ttl_s, dict(order.metadata), tuple(order.origins))
            token = pages.issue(grant, now)
        else:
            token = tokens.issue(order.scope, order.call_id, order.ttl_s, now)
        return IssuedToken(token=token, scope=order.scope, call_id=order.call_id, expires_in_s=order.ttl_s)

    return router
