# SPDX-License-Identifier: GPL-3.0-or-later
"""uvicorn inside our event loop: it binds before anything else starts, and leaves signals to us."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from gateway.api.connections import (
    MAX_MESSAGE_BYTES,
    PING_S,
    Connections,
    HttpConnection,
    WebSocketConnection,
)
from gateway.errors import StartupError

_STOP_S = 3
"""How long requests that run when we stop may take to end."""
_BACKLOG = 256


class _Server(uvicorn.Server):
    """uvicorn that says when it accepts, and does not touch signal handlers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = Connections()
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind_http(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `StartupError` with what to do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(f"HTTP address {host}:{port} cannot be used: {error.strerror}; set http.host") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"HTTP port {port} on {host} cannot be opened: {error.strerror}. Another program may have it "
            f"(ss -ltnp | grep {port}); set http.port or PARLEY_HTTP__PORT"
        ) from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """`host:port` as bound, which tells the port when 0 was asked for."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """The application answers on the socket inside; on leaving, requests that run are ended properly."""
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http=HttpConnection,
            ws=WebSocketConnection,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            ws_per_message_deflate=False,  # a small message could unpack to any size
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_STOP_S,
        )
    )
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve(sockets=[listener]), name="http")
        try:
            await server.accepting.wait()
            yield
        except Exception as error:  # the user's own error: kept out of the group, and raised below as it is
            failure = error
        finally:
            server.should_exit = True
            await asyncio.wait([running])
    if failure is not None:
        raise failure
