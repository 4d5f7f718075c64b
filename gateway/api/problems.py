# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as RFC 9457 problem documents: everything that is not 2xx is `application/problem+json`.

Foreign errors (FastAPI's, Starlette's) and ours are mapped here and nowhere else. What the client sent is not repeated.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from gateway.errors import (
    BadAddress,
    BadNote,
    BadPrompt,
    BadStreamOrder,
    CallError,
    CallRefused,
    CampaignError,
    ClusterError,
    ClusterUnreachable,
    DestinationBarred,
    GatewayError,
    IdempotencyConflict,
    ListUnreadable,
    NodeGone,
    NodeSilent,
    NoSuchAgent,
    NoSuchCall,
    NoSuchCampaign,
    NoSuchNode,
    NoSuchStream,
    NoSuchTrunk,
    NoSuchVersion,
    NoSuchVoice,
    OnlyThere,
    OutOfReach,
    ScopeMissing,
    SessionHeld,
    StaleVersion,
    StoreError,
    TokenRefused,
    TooManyCalls,
    TooManyOnlookers,
    TooManyTokens,
    TrunkUnreachable,
    UnknownLanguage,
    UrlError,
    UrlRefused,
    UrlUnreachable,
    WrongCallState,
    WrongCampaignState,
)

CONTENT_TYPE = "application/problem+json"

_RETRY_AFTER_S = "5"

_STATUS: tuple[tuple[type[GatewayError], int, str, str], ...] = (
    (NoSuchCall, 404, "no-such-call", "There is no such call"),
    (NoSuchAgent, 422, "no-such-agent", "There is no such agent"),
    (NoSuchVersion, 404, "no-such-version", "There is no such version"),
    (StaleVersion, 409, "stale-version", "There is a newer version"),
    (BadNote, 422, "bad-note", "The document cannot be kept"),
    (UnknownLanguage, 422, "unknown-language", "The agent does not understand the language"),
    (NoSuchTrunk, 422, "no-such-trunk", "There is no such trunk"),
    (DestinationBarred, 403, "destination-barred", "The number may not be dialled"),
    (TrunkUnreachable, 503, "trunk-unreachable", "The trunk cannot be reached"),
    (BadAddress, 422, "bad-address", "The address cannot be dialled"),
    (NoSuchStream, 404, "no-such-stream", "There is no such stream"),
    (BadStreamOrder, 422, "bad-stream-order", "There can be no such stream"),
    (NoSuchVoice, 422, "no-such-voice", "There is no such voice"),
    (BadPrompt, 422, "bad-prompt", "The recording cannot be played"),
    (IdempotencyConflict, 422, "idempotency-conflict", "The idempotency key belongs to another request"),
    (WrongCallState, 409, "wrong-call-state", "The call's state does not allow this"),
    (TooManyCalls, 503, "too-many-calls", "No more calls are taken now"),
    (CallRefused, 502, "call-refused", "The far end refused"),
    (NoSuchCampaign, 404, "no-such-campaign", "There is no such campaign"),
    (WrongCampaignState, 409, "wrong-campaign-state", "The campaign's state does not allow this"),
    (ListUnreadable, 422, "list-unreadable", "The list cannot be read"),
    (UrlRefused, 422, "url-refused", "The URL is not one to connect to"),
    (UrlUnreachable, 502, "url-unreachable", "Nobody answers at the URL"),
    (TokenRefused, 403, "token-refused", "The token does not open this"),
    (TooManyOnlookers, 503, "too-many-onlookers", "No more may look on now"),
    (TooManyTokens, 503, "too-many-tokens", "No more tokens are given out now"),
    (ScopeMissing, 403, "scope-missing", "Forbidden"),
    (OutOfReach, 403, "out-of-reach", "Forbidden"),
    (ClusterUnreachable, 503, "cluster-unreachable", "The other nodes cannot be asked"),
    (NoSuchNode, 404, "no-such-node", "There is no such node"),
    (NodeSilent, 504, "node-silent", "The node with the call does not answer"),
    (NodeGone, 410, "node-gone", "The node with the call is gone"),
    (OnlyThere, 421, "only-there", "The call is at another node"),
    (SessionHeld, 409, "session-held", "The session must be kept"),
    (StoreError, 503, "store-failed", "The database does not work"),
)


class FieldProblem(BaseModel):
    """What is wrong with one field of the request."""

    field: str
    """`body.to`, `query.limit`."""
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str = "about:blank"
    """`urn:parley:problem:...`, or about:blank when the status says it all."""
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldProblem] | None = None
    """Validation errors, one per field."""


def problem_response(
    status: int,
    detail: str | None = None,
    *,
    name: str | None = None,
    title: str | None = None,
    errors: Sequence[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """The response to send; `name` ends the type URN."""
    problem = Problem(
        type=f"urn:parley:problem:{name}" if name else "about:blank",
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors) if errors else None,
    )
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, status_code=status, headers=headers, media_type=CONTENT_TYPE)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: what these statuses look like in the OpenAPI description."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {CONTENT_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(CallError, _on_gateway_error)
    app.add_exception_handler(CampaignError, _on_gateway_error)
    app.add_exception_handler(ClusterError, _on_gateway_error)
    app.add_exception_handler(StoreError, _on_gateway_error)
    app.add_exception_handler(SessionHeld, _on_gateway_error)
    app.add_exception_handler(UrlError, _on_gateway_error)
    app.add_exception_handler(TokenRefused, _on_gateway_error)
    app.add_exception_handler(ScopeMissing, _on_gateway_error)
    app.add_exception_handler(OutOfReach, _on_gateway_error)
    app.add_exception_handler(TooManyTokens, _on_gateway_error)
    app.add_exception_handler(Exception, _on_bug)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # RFC 9110 section 15.5.6 wants every method; Starlette names those of the first route of this path.
        headers["Allow"] = ", ".join(_methods_of_path(request))
    return problem_response(error.status_code, detail, headers=headers)


def _methods_of_path(request: Request) -> list[str]:
    methods = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
    # An address with a name of its own, or one of those that any name fits.
    if (named := request.app.openapi()["paths"].get(request.url.path)) is not None:
        return [method for method in methods if method.lower() in named]
    asked = {"type": "http", "path": request.url.path, "root_path": "", "headers": []}
    return [
        method
        for method in methods
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [
        FieldProblem(field=".".join(str(part) for part in detail["loc"]), detail=str(detail["msg"]))
        for detail in error.errors()
    ]
    return problem_response(422, "the request is not what this address takes", errors=fields)


async def _on_gateway_error(request: Request, error: Exception) -> Response:
    return problem_of(error)


def problem_of(error: Exception) -> Response:
    """The answer to an error of the gateway."""
    for kind, status, name, title in _STATUS:
        if isinstance(error, kind):
            headers = {"Retry-After": _RETRY_AFTER_S} if status == 503 else {}
            if isinstance(error, ScopeMissing):
                headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{error.scope}"'
            return problem_response(status, str(error), name=name, title=title, headers=headers)
    return problem_response(500)


async def _on_bug(request: Request, error: Exception) -> Response:
    # Starlette raises it again after this response, and uvicorn logs it.
    return problem_response(500)
