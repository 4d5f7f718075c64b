# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP clients for URLs that come from outside (webhooks, flows, audio to play): httpx with the guard in its sockets.

The guard sits where httpx opens a connection, so there is no second resolution, whatever the URL and its redirects
are, and names are the true ones in Host header and TLS handshake. Proxies from the environment are not used.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore
import httpx

from gateway.errors import UrlRefused, UrlUnreachable
from gateway.guard import OutboundGuard, UrlUse

_TIMEOUT_S = 10.0
_MAX_CONNECTIONS = 100


def http_client(
    guard: OutboundGuard,
    use: UrlUse,
    *,
    timeout_s: float = _TIMEOUT_S,
    max_redirects: int = 0,
    verify: Any = True,
) -> httpx.AsyncClient:
    """A client whose every connection the guard has allowed; its requests raise `UrlRefused`, `UrlUnreachable` or
    `httpx.HTTPError`. Redirects are followed only when `max_redirects` says so, and each is checked.

    `verify`: an `ssl.SSLContext` to trust other certificates than the system's.
    """
    return httpx.AsyncClient(
        transport=_Refusing(use),
        mounts={
            f"{scheme}://": _GuardedTransport(guard, use, encrypted=scheme == "https", verify=verify)
            for scheme in use.schemes
        },
        timeout=timeout_s,
        follow_redirects=max_redirects > 0,
        max_redirects=max_redirects,
        trust_env=False,
    )


async def fetch(
    guard: OutboundGuard, url: str, use: UrlUse, *, max_bytes: int, timeout_s: float, max_redirects: int = 3
) -> bytes:
    """The body behind a URL, at most `max_bytes`, within `timeout_s` in all.

    Raises `UrlRefused`; `UrlUnreachable` when it does not answer 200, breaks off or takes too long.
    """
    status, _, body = await fetch_page(
        guard, url, use, {}, max_bytes=max_bytes, timeout_s=timeout_s, max_redirects=max_redirects
    )
    if status != httpx.codes.OK:
        raise UrlUnreachable(use.field, f"the server answers {status}")
    return body


async def fetch_page(
    guard: OutboundGuard,
    url: str,
    use: UrlUse,
    headers: Mapping[str, str],
    *,
    max_bytes: int,
    timeout_s: float,
    max_redirects: int = 3,
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body behind a URL; the body only of a 200, at most `max_bytes`, within `timeout_s` in all.

    Raises `UrlRefused`; `UrlUnreachable` when there is no answer, or it breaks off or takes too long.
    """
    await guard.check(url, use)  # says what is wrong with the URL itself; the connection is checked again
    body = bytearray()
    try:
        async with (
            asyncio.timeout(timeout_s),
            http_client(guard, use, timeout_s=timeout_s, max_redirects=max_redirects) as client,
            # Compressed, a small body could unpack to any size.
            client.stream("GET", url, headers={**headers, "Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code == httpx.codes.OK:
                async for block in response.aiter_raw():
                    body += block
                    if len(body) > max_bytes:
                        raise UrlRefused(use.field, f"leads to more than {max_bytes} bytes")
            return response.status_code, response.headers, bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UrlUnreachable(use.field, f"cannot be fetched ({type(error).__name__})") from error
    except TimeoutError as error:
        raise UrlUnreachable(use.field, f"is not there after {timeout_s:g} s") from error


class _Refusing(httpx.AsyncBaseTransport):
    """For every scheme that is not allowed: a redirect may lead to one."""

    def __init__(self, use: UrlUse) -> None:
        self._use = use

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise UrlRefused(self._use.field, f"leads to {request.url.scheme}://, which is not allowed")


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a pool of ours: httpx has no argument for the place where connections are opened."""

    def __init__(self, guard: OutboundGuard, use: UrlUse, *, encrypted: bool, verify: Any) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(verify=verify, trust_env=False),
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=_GuardedBackend(guard, use, encrypted=encrypted),
        )


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to addresses that the guard allows, and nothing else."""

    def __init__(self, guard: OutboundGuard, use: UrlUse, *, encrypted: bool) -> None:
        self._guard = guard
        self._use = use
        self._encrypted = encrypted
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._guard.addresses(host, port, self._use, encrypted=self._encrypted)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(address[0], address[1], timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None, "the guard gives one address at least"
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's interface
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise UrlRefused(self._use.field, "leads to a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)
