# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP application: routes, and what every request passes before it reaches one."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer

from gateway.api.auth import BearerGate, is_one_of
from gateway.api.calls import calls_router
from gateway.api.control import CallControl
from gateway.api.health import health_router
from gateway.api.idempotency import IdempotentRequests
from gateway.api.limits import BodyLimit
from gateway.api.problems import FieldProblem, Problem, install_problem_handlers
from gateway.api.sessions import sessions_router
from gateway.api.twilio import twilio_router
from gateway.config import VERSION
from gateway.store import SessionStore
from gateway.telemetry import Metrics

BASE_PATH = "/api/v1"
_MAX_BODY_BYTES = 64 * 1024


def create_app(
    calls: CallControl,
    store: SessionStore,
    metrics: Metrics,
    *,
    api_keys: Sequence[str],
    ready: Callable[[], list[str]],
    twilio_auth_token: str | None = None,
) -> FastAPI:
    """The application; `ready` gives the reasons against taking calls now, none meaning ready."""
    app = FastAPI(
        title="Parley",
        version=VERSION,
        description="Calls as an API. Errors are RFC 9457 problem documents.",
        redoc_url=None,
    )
    # HTTPBearer only describes; BearerGate asks.
    api = APIRouter(prefix=BASE_PATH, dependencies=[Security(HTTPBearer(auto_error=False))])
    api.include_router(calls_router(calls, IdempotentRequests(store)))
    api.include_router(sessions_router(store))
    app.include_router(api)
    app.include_router(health_router(metrics, ready))
    passwords = (*api_keys, *([twilio_auth_token] if twilio_auth_token else ()))
    app.include_router(twilio_router(calls, lambda password: is_one_of(passwords, password.encode())))
    install_problem_handlers(app)
    # Added last is asked first: no key, no body.
    app.add_middleware(BodyLimit, max_bytes=_MAX_BODY_BYTES)
    app.add_middleware(BearerGate, keys=api_keys, prefix=BASE_PATH)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _describe(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with problem documents in place of its own error shape."""
    described = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = described["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for model in (Problem, FieldProblem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    return described
