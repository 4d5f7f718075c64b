# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to one service over HTTP, shared by all calls and ready before a request needs one.

stream > an idle connection > response
       > that was the last idle one: another is opened beside the conversation (GET of `warm_url`)
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
import structlog

from agent.clients.faults import mapped
from agent.clients.settings import ServiceSettings
from agent.clients.trust import tls_context
from agent.errors import ServiceError

log = structlog.get_logger(__name__)

_MAX_CONNECTIONS = 512
"""One per request that is under way; more than that wait for `_POOL_S`."""
_KEEP_ALIVE_S = 120.0
_CONNECT_S = 3.0
_POOL_S = 1.0
_WARM_FOR_S = 20.0
"""A connection that was used so lately needs no warming."""
_COUNT_HOLDS_S = 60.0
"""After that connections are counted anew: idle ones may have been closed."""


class HttpPool:
    """One service's."""

    def __init__(
        self,
        settings: ServiceSettings,
        warm_url: str,
        headers: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`headers`: of every request, credentials included. `warm_url`: a GET of it answers quickly, whatever it
        says. Raises `ServiceRejected`: a file of the settings cannot be used."""
        self._name = settings.name
        self._warm_url = warm_url
        self._clock = clock
        self._used_at = -_WARM_FOR_S
        self._under_way = 0
        self._connections = 0
        """As many as there should be, idle ones included."""
        self._counted_at = 0.0
        self._shares = settings.http2
        """Requests share connections."""
        self._spare: asyncio.Task[None] | None = None
        self._client = httpx.AsyncClient(
            headers={**settings.headers, **headers},
            verify=tls_context(settings),
            http2=settings.http2,
            limits=httpx.Limits(
                max_connections=_MAX_CONNECTIONS,
                max_keepalive_connections=_MAX_CONNECTIONS,
                keepalive_expiry=_KEEP_ALIVE_S,
            ),
            timeout=httpx.Timeout(settings.timeout_s, connect=_CONNECT_S, pool=_POOL_S),
            trust_env=False,
        )

    async def warm(self) -> None:
        """Have a connection ready; what is wrong with the service is logged, not raised. Cheap when one was used just
        now."""
        now = self._clock()
        if now - self._used_at < _WARM_FOR_S:
            return
        self._used_at = now
        try:
            with mapped(self._name):
                response = await self._client.get(self._warm_url)
        except ServiceError as error:
            log.warning("service_not_ready", service=error.service, detail=error.detail)
            return
        self._connections = max(self._connections, self._under_way + 1)
        if response.status_code in (400, 401, 403):
            log.warning("service_not_ready", service=self._name, detail=f"answers {response.status_code}")

    @asynccontextmanager
    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """A response, to be read as it comes; left before its end, it is cancelled. Raises what httpx raises."""
        self._used_at = self._clock()
        self._under_way += 1
        self._maybe_open_spare(self._used_at)
        try:
            async with self._client.stream("POST", url, content=content, headers=headers) as response:
                yield response
        finally:
            self._under_way -= 1

    async def aclose(self) -> None:
        if self._spare is not None:
            self._spare.cancel()
            await asyncio.gather(self._spare, return_exceptions=True)
        await self._client.aclose()

    def _maybe_open_spare(self, now: float) -> None:
        if now - self._counted_at > _COUNT_HOLDS_S:
            self._connections = self._under_way
            self._counted_at = now
        self._connections = max(self._connections, self._under_way)
        is_last = self._under_way >= self._connections and self._connections < _MAX_CONNECTIONS
        if is_last and not self._shares and (self._spare is None or self._spare.done()):
            self._spare = asyncio.create_task(self._open_spare(), name=f"{self._name}: a spare connection")

    async def _open_spare(self) -> None:
        try:
            with mapped(self._name):
                await self._client.get(self._warm_url)
        except ServiceError as error:  # whoever needs one connects, and hears what is wrong
            log.debug("no_spare_connection", service=error.service, detail=error.detail)
        else:
            self._connections = max(self._connections, self._under_way + 1)
