# SPDX-License-Identifier: GPL-3.0-or-later
"""`/calls/{call_id}/stream`: a WebSocket with which a backend attaches itself to a call.

    upgrade > gate (key, or a token is there) > token redeemed > call, order > a stream waits? else a new one > admitted

With `?token=` (`POST /tokens`), or with a key of scope `streams`. When a stream of the call waits for a backend (its
route names no URL, or it has lost one) that is what it gets, and the other parameters do not count.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.problems import FieldProblem, problem_of, problem_response
from gateway.calls.call import Call
from gateway.errors import GatewayError, TokenRefused
from gateway.streams.connection import (
    ABNORMAL_CLOSURE,
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    ConnectFailed,
    Disconnected,
    Receiver,
)
from gateway.streams.control import StreamControl, StreamInfo
from gateway.streams.messages import Encoding, ProtocolName, StreamDirection, WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.protocols import chosen_format, chosen_tracks
from gateway.streams.reception import Reception
from gateway.streams.tokens import StreamTokens

_ADMISSION_S = 10.0
"""How long a backend waits at the door for the stream that was made for it."""
_CONGESTED_BYTES = 64 * 1024
_MAX_WAITING_BYTES = 4 * 1024 * 1024
"""Nobody heeded `congested`: the connection ends."""


class Attachment(BaseModel):
    """The parameters of the address."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str | None, Field(max_length=128)] = None
    protocol: ProtocolName = "parley"
    codec: Encoding | None = None
    sample_rate: int | None = None
    direction: StreamDirection | None = None
    track: Literal["inbound", "outbound", "both"] = "inbound"

    def order(self, *, listens_only: bool) -> StreamOrder:
        """What to start for it. Raises `BadStreamOrder`; `TokenRefused` for more than the token allows."""
        direction = self.direction or ("inbound" if listens_only else "bidirectional")
        if listens_only and direction != "inbound":
            raise TokenRefused("a token of scope listen allows direction inbound only")
        return StreamOrder(
            protocol=self.protocol,
            format=chosen_format(self.protocol, self.codec, self.sample_rate),
            direction=direction,
            tracks=chosen_tracks(self.protocol, self.track),
            on_end="return",
        )


def attach_router(
    streams: StreamControl, reception: Reception, tokens: StreamTokens, find_call: Callable[[str], Call]
) -> APIRouter:
    """`find_call` raises `NoSuchCall`."""
    router = APIRouter()

    @router.websocket("/calls/{call_id}/stream")
    async def attach(websocket: WebSocket, call_id: str) -> None:
        try:
            wanted = Attachment.model_validate(dict(websocket.query_params))
            listens_only = False
            if wanted.token is not None:
                listens_only = tokens.redeem(wanted.token, call_id, time.monotonic()).scope == "listen"
            call = find_call(call_id)
            order = wanted.order(listens_only=listens_only)
            backend = AttachedBackend(websocket, listens_only=listens_only)
            if not reception.seat(call_id, backend):
                if _is_expected(streams.of_call(call_id), listens_only=listens_only):
                    reception.line_up(call_id, backend)
                else:
                    await streams.start(call, order, reception.connector(backend))
        except ValidationError as error:
            await websocket.send_denial_response(_faulty(error))
        except GatewayError as error:
            await websocket.send_denial_response(problem_of(error))
        else:
            try:
                await backend.serve()
            finally:
                reception.leave(call_id, backend)

    return router


def _is_expected(streams: Sequence[StreamInfo], *, listens_only: bool) -> bool:
    """Whether one of them has lost such a backend, or will want one in a moment."""
    return any(
        not stream.stream_url
        and stream.state in ("connecting", "reconnecting")
        and not (listens_only and stream.direction != "inbound")
        for stream in streams
    )


def _faulty(error: ValidationError) -> Response:
    fields = [
        FieldProblem(field=f"query.{'.'.join(map(str, one['loc']))}", detail=one["msg"]) for one in error.errors()
    ]
    return problem_response(422, "the request is not what this address takes", errors=fields)


class AttachedBackend:
    """A `Visitor`, and once it is let in a `Connection`. The route's task alone touches the socket."""

    def __init__(self, websocket: WebSocket, *, listens_only: bool) -> None:
        self.listens_only = listens_only
        self._websocket = websocket
        self._admitted: asyncio.Future[tuple[str | None, Receiver]] = asyncio.get_running_loop().create_future()
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._receiver: Receiver | None = None
        self._waiting: deque[WireMessage] = deque()
        """Bounded by `_MAX_WAITING_BYTES`: then the connection is ended."""
        self._waiting_bytes = 0
        self._is_congested = False
        self._goodbye: Disconnected | None = None
        """Said when all before it has been sent."""
        self._something_to_send = asyncio.Event()
        self._aborted = asyncio.Event()

    # Visitor

    async def admit(self, subprotocol: str | None, receiver: Receiver) -> "AttachedBackend":
        if self._admitted.done():
            raise ConnectFailed("the backend has gone")
        self._admitted.set_result((subprotocol, receiver))
        await asyncio.shield(self._accepted)
        return self

    # Connection

    def write(self, message: WireMessage) -> None:
        if self._goodbye is not None or self._aborted.is_set():
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        self._something_to_send.set()
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            self.abort()
        elif self._waiting_bytes > _CONGESTED_BYTES and not self._is_congested and self._receiver is not None:
            self._is_congested = True
            self._receiver.congested(True)

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._goodbye is None:
            self._goodbye = Disconnected(code, reason)
            self._something_to_send.set()

    def abort(self) -> None:
        self._aborted.set()

    # The route's task

    async def serve(self) -> None:
        """Until the connection is over."""
        try:
            async with asyncio.timeout(_ADMISSION_S):
                subprotocol, receiver = await self._admitted
                offered = self._websocket.scope.get("subprotocols", [])
                await self._websocket.accept(subprotocol if subprotocol in offered else None)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):  # RuntimeError: Starlette's, when it went meanwhile
            self._admitted.cancel()
            if not self._accepted.done():
                self._accepted.set_exception(ConnectFailed("the backend has gone"))
                self._accepted.exception()  # looked at: there may be nobody who waits
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._websocket.send_denial_response(problem_response(503, "no stream takes this backend now"))
            return
        self._receiver = receiver
        self._accepted.set_result(None)
        # Whoever admitted comes first: it is not ready for messages before.
        await asyncio.sleep(0)
        how = Disconnected(ABNORMAL_CLOSURE)
        try:
            how = await self._talk(receiver)
        finally:
            self._aborted.set()
            receiver.disconnected(how)

    async def _talk(self, receiver: Receiver) -> Disconnected:
        """Read, write and wait for an abort at once: the first that ends, ends it."""
        tasks: list[asyncio.Task[Disconnected]] = [
            asyncio.create_task(self._read(receiver), name="attached-read"),
            asyncio.create_task(self._write_until_goodbye(receiver), name="attached-write"),
            asyncio.create_task(self._wait_for_abort(), name="attached-abort"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task in done).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, receiver: Receiver) -> Disconnected:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return Disconnected(message.get("code", ABNORMAL_CLOSURE), message.get("reason") or "")
            if self._goodbye is not None:
                continue
            if self.listens_only:
                self.close(POLICY_VIOLATION, "a token of scope listen does not speak")
            else:
                text = message.get("text")
                receiver.receive(message["bytes"] if text is None else text)

    async def _write_until_goodbye(self, receiver: Receiver) -> Disconnected:
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                self._waiting_bytes -= len(message)
                kind = "text" if isinstance(message, str) else "bytes"
                try:
                    await self._websocket.send({"type": "websocket.send", kind: message})
                except WebSocketDisconnect:
                    return Disconnected(ABNORMAL_CLOSURE)
                if self._is_congested and not self._waiting:
                    self._is_congested = False
                    receiver.congested(False)
            if self._goodbye is not None:
                await self._say(self._goodbye)
                return self._goodbye
            self._something_to_send.clear()
            await self._something_to_send.wait()

    async def _say(self, goodbye: Disconnected) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(goodbye.code, goodbye.reason)

    async def _wait_for_abort(self) -> Disconnected:
        await self._aborted.wait()
        return Disconnected(ABNORMAL_CLOSURE)
