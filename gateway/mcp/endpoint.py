# SPDX-License-Identifier: GPL-3.0-or-later
"""`/mcp` on the gateway's own port: MCP over streamable HTTP, without sessions, for whoever has an API key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from gateway.api.keyring import KeyRing
from gateway.api.problems import problem_response
from gateway.mcp.server import mcp_server

Scope = Any
"""ASGI's, as of `starlette.types`."""


class McpEndpoint:
    """An ASGI application; serves inside `running`."""

    def __init__(self, keys: KeyRing, base_path: str) -> None:
        self._keys = keys
        self._base_path = base_path
        self._api: Any = None
        self._manager = StreamableHTTPSessionManager(
            mcp_server(self._open_rest), json_response=True, stateless=True, max_request_body_size=64 << 10
        )

    @asynccontextmanager
    async def running(self, api: Any) -> AsyncIterator[None]:
        """`api`: the application that has the REST API; tools ask it within this process."""
        self._api = api
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """No key, no answer. What the key may do is asked for each tool, by the API itself."""
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, given = header.partition(b" ")
        holder = self._keys.holder(given.strip(), datetime.now(UTC)) if scheme.lower() == b"bearer" else None
        if holder is None:
            headers = {"WWW-Authenticate": "Bearer"}
            refusal = problem_response(401, "send the header Authorization: Bearer KEY", headers=headers)
            await refusal(scope, receive, send)
            return
        await self._manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def _open_rest(self, context: ServerRequestContext[Any, Any]) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": context.request.headers["authorization"]} if context.request is not None else {}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self._api), base_url=f"http://parley{self._base_path}", headers=headers
        ) as client:
            yield client
