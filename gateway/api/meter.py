# SPDX-License-Identifier: GPL-3.0-or-later
"""`/calls/{call_id}/meter`: a WebSocket that tells how loud both sides are, five times a second, until the call ends.

{"at_ms": since the answer, "step_ms": 40, "caller": [dBov, ...], "ours": [dBov, ...]}
"""

import asyncio
import contextlib
import json
from collections import deque

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.onlookers import Onlookers
from gateway.api.problems import problem_of
from gateway.calls.meter import STEP_MS, Meters
from gateway.errors import GatewayError

METER_PROTOCOL = "parley.meter"
"""Offered by pages, beside `parley.key.KEY` (gateway.api.gate)."""
_MOST_METERS = 200
_MOST_WAITING = 10
"""Reports for a reader that is slow; the oldest give way."""


def meter_router(meters: Meters) -> APIRouter:
    """The route over these."""
    router = APIRouter()
    onlookers = Onlookers(_MOST_METERS)

    @router.websocket("/calls/{call_id}/meter")
    async def follow_meter(socket: WebSocket, call_id: str) -> None:
        waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        more = asyncio.Event()

        def report(at_ms: int, caller: list[float], ours: list[float]) -> None:
            values = {"at_ms": at_ms, "step_ms": STEP_MS, "caller": caller, "ours": ours}
            waiting.append(json.dumps(values, separators=(",", ":")))
            more.set()

        with contextlib.ExitStack() as ends_with_it:
            try:
                ends_with_it.enter_context(onlookers.place(call_id))
                call = meters.watch(call_id, report)
                ends_with_it.callback(meters.unwatch, call_id, report)
            except GatewayError as error:
                await socket.send_denial_response(problem_of(error))
                return
            offered = socket.scope.get("subprotocols", ())
            await socket.accept(METER_PROTOCOL if METER_PROTOCOL in offered else None)
            async with asyncio.TaskGroup() as tasks:
                ends = (
                    tasks.create_task(_send(socket, waiting, more), name="meter"),
                    tasks.create_task(_until_gone(socket), name="meter-reader"),
                    tasks.create_task(call.until_over(), name="meter-call"),
                )
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in ends:
                    task.cancel()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it has gone already
            await socket.close()

    return router


async def _send(socket: WebSocket, waiting: "deque[str]", more: asyncio.Event) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await more.wait()
            more.clear()
            while waiting:
                await socket.send_text(waiting.popleft())


async def _until_gone(socket: WebSocket) -> None:
    """Nothing is expected of the client but its going."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
