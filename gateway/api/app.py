# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP application: routes, and what every request passes before it reaches one."""

import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.api.bridging import LiveCalls, bridging_router
from gateway.api.calls import calls_router
from gateway.api.console import console_router
from gateway.api.events import events_router
from gateway.api.fence import Fence, Owners
from gateway.api.gate import BearerGate
from gateway.api.health import health_router
from gateway.api.idempotency import IdempotentRequests
from gateway.api.keyring import KeyRing
from gateway.api.keys import keys_router
from gateway.api.limits import BodyLimit
from gateway.api.memories import memories_router
from gateway.api.nodes import nodes_router
from gateway.api.problems import FieldProblem, Problem, install_problem_handlers, problem_responses
from gateway.api.reach import EVERYTHING, Reach
from gateway.api.routing import RoutedRequests
from gateway.api.scopes import allows, scope_needed
from gateway.api.sessions import sessions_router
from gateway.api.stream_schema import stream_schema_router
from gateway.api.streams import streams_router
from gateway.api.tokens import tokens_router
from gateway.api.twilio import twilio_router
from gateway.cluster.routing import Routing
from gateway.config import VERSION
from gateway.events import EventLog
from gateway.events.reading import EventReading, OwnEvents
from gateway.rates import Rate
from gateway.sip.signalling import SipMessage
from gateway.store import SessionStore
from gateway.streams.tokens import StreamTokens
from gateway.telemetry import Metrics
from gateway.webrtc.tokens import PageTokens

BASE_PATH = "/api/v1"
_MAX_BODY_BYTES = 64 * 1024


def create_app(
    calls: LiveCalls,
    store: SessionStore,
    metrics: Metrics,
    events: EventLog,
    *,
    keys: KeyRing,
    tokens: StreamTokens,
    pages: PageTokens,
    ready: Callable[[], list[str]],
    rate: Rate | None = None,
    attach: APIRouter | None = None,
    campaigns: Sequence[APIRouter] = (),
    more: Sequence[APIRouter] = (),
    origins: Sequence[str] = (),
    agents: Sequence[str] = (),
    twilio_auth_token: str | None = None,
    mcp: ASGIApp | None = None,
    live_signalling: Callable[[str], Sequence[SipMessage]] = lambda _: (),
    routing: Routing | None = None,
    told: EventReading | None = None,
) -> FastAPI:
    """The application; `ready` gives the reasons against taking calls now, none meaning ready. `rate`: requests of one
    key. `attach`: the WebSocket for backends that come to us (`gateway.api.attach`). `campaigns`: the routes of
    `gateway.api.campaigns`. `more`: those of browsers and
    of the console; `origins`: sites whose pages may use them. `agents`:
    for whom there are page tokens; none: any name. `mcp`: what is at `/mcp`; keys are
    its own business. `live_signalling`: the SIP messages of a call that is not over. `routing`: to other nodes of the
    cluster; `told`: the events of all of them."""
    app = FastAPI(
        title="Parley",
        version=VERSION,
        description="Calls as an API. Errors are RFC 9457 problem documents.",
        redoc_url=None,
    )
    # HTTPBearer only describes; BearerGate asks.
    api = APIRouter(prefix=BASE_PATH, dependencies=[Security(HTTPBearer(auto_error=False))])
    api.include_router(calls_router(calls, IdempotentRequests(store)))
    api.include_router(bridging_router(calls))
    api.include_router(sessions_router(store, live_signalling))
    api.include_router(memories_router(store.memories))
    owners = Owners(calls, store)
    api.include_router(events_router(told or OwnEvents(events), metrics, owners))
    for router in (*campaigns, *more):
        api.include_router(router)
    api.include_router(keys_router(store, keys))
    api.include_router(tokens_router(tokens, pages, calls, agents))
    if attach is not None:
        api.include_router(attach)
    api.include_router(stream_schema_router())
    api.include_router(streams_router(calls))
    api.include_router(nodes_router(routing))
    app.include_router(api)
    app.include_router(health_router(metrics, ready))
    app.include_router(console_router(origins))
    app.include_router(twilio_router(calls, lambda given: _reach_to_end_calls(given, keys, twilio_auth_token), rate))
    if mcp is not None:
        app.router.routes.append(Route("/mcp", endpoint=mcp, include_in_schema=False))
    install_problem_handlers(app)
    # Added last is asked first: no key, no body.
    if routing is not None:
        app.add_middleware(RoutedRequests, routing=routing, prefix=BASE_PATH, application=app)
    app.add_middleware(BodyLimit, max_bytes=_MAX_BODY_BYTES)
    app.add_middleware(Fence, owners=owners, prefix=BASE_PATH)
    app.add_middleware(BearerGate, keys=keys, rate=rate, prefix=BASE_PATH)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["DELETE", "GET", "PATCH", "POST"],
            allow_headers=["Authorization", "Content-Type", "If-Match"],
            expose_headers=["ETag", "Location"],
        )

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    if routing is not None:
        app.middleware_stack = app.build_middleware_stack()  # others may ask before the first client does
    return app


def _reach_to_end_calls(password: str, keys: KeyRing, twilio_auth_token: str | None) -> Reach | None:
    """Whose calls whoever knows this may end; None: nobody's."""
    holder = keys.holder(password.encode(), datetime.now(UTC))
    if holder is not None:
        return Reach.of(holder.only) if allows(holder.scopes, "calls:write") else None
    if twilio_auth_token is not None and hmac.compare_digest(password.encode(), twilio_auth_token.encode()):
        return EVERYTHING
    return None


def _describe(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with problem documents in place of its own error shape, and what the gate asks for."""
    described = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = described["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for model in (Problem, FieldProblem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    for path, methods in described["paths"].items():
        if path.startswith(f"{BASE_PATH}/"):
            for method, operation in methods.items():
                needed = scope_needed(method.upper(), path.removeprefix(BASE_PATH))
                operation["security"] = [{"HTTPBearer": [needed]}]
                # 400 is a body that is no text at all.
                more = problem_responses(403, 429, *((400,) if "requestBody" in operation else ()))
                operation["responses"] |= {str(status): one for status, one in more.items()}
    return described
