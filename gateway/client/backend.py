# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend's side of `parley.v1`: a server that the gateway connects to, or a connection to the gateway.

async def echo(call: StreamCall) -> None:
    async for item in call:
        if isinstance(item, bytes):
            await call.play(item)

asyncio.run(serve(echo, port=9000))
"""

import asyncio
import contextlib
import http
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websocket_server
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway.client.errors import BadAnswer, StreamEnded
from gateway.client.handshake import CLOSE_WAIT_S, MAX_MESSAGE_BYTES, open_websocket
from gateway.client.stream_call import StreamCall
from gateway.errors import SignatureRefused
from gateway.signing import SigningSecret, verify
from gateway.streams.parley import SUBPROTOCOL
from gateway.streams.parley_messages import StartMessage, read_gateway_message

log = logging.getLogger(__name__)

Handler = Callable[[StreamCall], Awaitable[None]]
"""Has one connection of a call, from its `start` on. When it returns, the connection is closed."""

_START_WAIT_S = 10.0
_LINGER_S = 30.0
"""How long a handler may go on after its stream has ended."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A server that runs."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What a gateway on the same machine would be given as `stream_url`."""
        return f"ws://{self.host}:{self.port}"


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    secrets: Sequence[str] = (),
    public_url: str | None = None,
) -> AsyncIterator[Backend]:
    """Inside, every stream that a gateway opens gets a call of `handler`. Port 0: a free one.

    With `secrets` (the gateway's `stream.secrets`, `whsec_...`; several while one is being changed) nobody else gets
    in: the gateway signs the URL that it dials. Behind a proxy say what that begins with: `wss://bot.example.com`.
    """
    gate = _SignatureGate([SigningSecret.parse(secret) for secret in secrets], public_url)

    async def on_connection(connection: ServerConnection) -> None:
        start = await _first_message(connection)
        if start is not None:
            await attend(StreamCall(connection, start), connection, handler)

    async with websocket_server(
        on_connection,
        host,
        port,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        process_request=gate if secrets else None,
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        close_timeout=CLOSE_WAIT_S,
    ) as server:
        bound = next(iter(server.sockets)).getsockname()
        yield Backend(f"[{bound[0]}]" if ":" in bound[0] else bound[0], bound[1])


async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 9000,
    *,
    secrets: Sequence[str] = (),
    public_url: str | None = None,
) -> None:
    """The same until it is cancelled."""
    async with serving(handler, host, port, secrets=secrets, public_url=public_url):
        await asyncio.get_running_loop().create_future()


@contextlib.asynccontextmanager
async def attach(
    base_url: str,
    call_id: str,
    token: str,
    *,
    codec: Literal["l16", "pcmu", "pcma", "g722", "opus"] | None = None,
    sample_rate: int | None = None,
    direction: Literal["inbound", "outbound", "bidirectional"] | None = None,
    track: Literal["inbound", "outbound", "both"] | None = None,
) -> AsyncIterator[StreamCall]:
    """Connect to a call from our side, for backends that nobody can reach: `token` is from `ParleyClient.create_token`.

    What is left out is as in `StreamOrder`. All of it counts only when no stream of the call waits for a backend.

    Raises `NotReachable`, `ApiError` (`NotAllowed`: the token was used, is too old, or is for another call),
    `BadAnswer`.
    """
    wanted = {"token": token, "codec": codec, "sample_rate": sample_rate, "direction": direction, "track": track}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    connection = await open_websocket(
        base_url, f"/api/v1/calls/{quote(call_id, safe='')}/stream?{query}", subprotocol=SUBPROTOCOL
    )
    async with connection:
        start = await _first_message(connection)
        if start is None:
            raise BadAnswer(f"the gateway did not begin a stream: {connection.close_reason or connection.close_code}")
        call = StreamCall(connection, start)
        # No TaskGroup: it would wrap whatever the caller's own block raises.
        pump = asyncio.create_task(call.pump(), name="stream")
        try:
            yield call
        finally:
            await connection.close()
            await pump


async def attend(call: StreamCall, connection: Connection, handler: Handler) -> None:
    """Run the handler beside the pump, and close the connection after both."""

    async def handle() -> int:
        try:
            await handler(call)
        except StreamEnded:
            return 1000
        except Exception:  # one call's fault must not end the others; the gateway hears of it by the code
            log.exception("the handler of a call failed")
            return 1011
        return 1000

    async with asyncio.TaskGroup() as tasks:
        pump = tasks.create_task(call.pump(), name="stream")
        work = tasks.create_task(handle(), name="handler")
        await asyncio.wait([pump, work], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait([work], timeout=_LINGER_S)
        if not work.done():
            log.warning("a handler was stopped: its stream is over")
            work.cancel()
        await connection.close(work.result() if work.done() else 1000)


async def _first_message(connection: Connection) -> StartMessage | None:
    """The `start`; None when the other side says anything else, or nothing, and the connection is being closed."""
    try:
        async with asyncio.timeout(_START_WAIT_S):
            message = await connection.recv()
        start = read_gateway_message(message) if isinstance(message, str) else None
    except (TimeoutError, ConnectionClosed, ValueError):
        start = None
    if isinstance(start, StartMessage):
        return start
    await connection.close(1002, "no start")
    return None


class _SignatureGate:
    """Lets nobody in whom the gateway did not send."""

    def __init__(self, secrets: Sequence[SigningSecret], public_url: str | None) -> None:
        self._secrets = secrets
        self._public_url = None if public_url is None else public_url.rstrip("/")

    def __call__(self, connection: ServerConnection, request: Request) -> Response | None:
        base = self._public_url or f"ws://{request.headers.get('Host', '')}"
        # What is dialled as ws://host:9000 arrives as a request for "/".
        urls = [f"{base}{request.path}", *([base] if request.path == "/" else [])]
        refusals = [refusal for url in urls if (refusal := self._refusal(request, url)) is not None]
        if len(refusals) < len(urls):
            return None
        log.warning("a stream was refused: %s", refusals[0])
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, f"{refusals[0]}\n")

    def _refusal(self, request: Request, url: str) -> SignatureRefused | None:
        try:
            verify(self._secrets, dict(request.headers.raw_items()), url.encode(), time.time())
        except SignatureRefused as refusal:
            return refusal
        return None
