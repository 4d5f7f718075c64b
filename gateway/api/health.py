# SPDX-License-Identifier: GPL-3.0-or-later
"""`/healthz`, `/readyz`, `/metrics`: for supervisors, load balancers and Prometheus. No key is asked for.

They tell no numbers, names or texts of calls. Who may reach them is who may reach the port (`http.host`).
"""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from gateway.telemetry.metrics import CONTENT_TYPE, Metrics


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether calls are taken, and if not, why not."""

    status: Literal["ready", "not ready"]
    reasons: list[str] = []


def health_router(metrics: Metrics, ready: Callable[[], list[str]]) -> APIRouter:
    """`ready` gives the reasons against taking calls now; none means ready."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> Health:
        """Alive: the event loop answers."""
        return Health()

    @router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready"}})
    async def readyz() -> Readiness:
        """Ready to take calls."""
        reasons = ready()
        if not reasons:
            return Readiness(status="ready")
        answer = Readiness(status="not ready", reasons=reasons)
        return JSONResponse(answer.model_dump(), status_code=503)  # type: ignore[return-value]

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"description": "Prometheus text format", "content": {CONTENT_TYPE: {}}}},
    )
    async def prometheus() -> Response:
        """All metrics."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router
