# SPDX-License-Identifier: GPL-3.0-or-later
"""`/stream/schema`: the streaming protocol, for whoever writes a backend."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse

from gateway.api.problems import problem_responses
from gateway.streams.parley_messages import parley_schema

_MEDIA_TYPE = "application/schema+json"


class _SchemaResponse(JSONResponse):
    media_type = _MEDIA_TYPE


def stream_schema_router() -> APIRouter:
    """The route; it needs nothing."""
    router = APIRouter(prefix="/stream", tags=["streams"], responses=problem_responses(401))

    @router.get("/schema", response_class=_SchemaResponse)
    async def get_stream_schema() -> dict[str, Any]:
        """JSON Schema (2020-12) of the text messages of protocol `parley.v1`, both ways."""
        return parley_schema()

    return router
