# SPDX-License-Identifier: GPL-3.0-or-later
"""`/stream` and `/calls/{id}/streams`: media streams of calls that stand."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from gateway.api.calls import check_within, owner_of_call
from gateway.api.control import CallControl
from gateway.api.orders import StartStream, StopStream
from gateway.api.problems import problem_responses
from gateway.api.reach import Reach, reach_of
from gateway.errors import NoSuchStream
from gateway.streams.control import StreamInfo


class StreamList(BaseModel):
    """A call's streams that have not ended, oldest first."""

    streams: list[StreamInfo]


def streams_router(calls: CallControl) -> APIRouter:
    """The routes over this hub."""
    router = APIRouter(tags=["streams"], responses=problem_responses(401, 413, 422))

    @router.post("/stream/start", status_code=201, responses=problem_responses(404, 409))
    async def start_stream(order: StartStream, request: Request) -> StreamInfo:
        """Connect a call to a backend; answers while it connects. The events `stream.connected`, `stream.disconnected`
        and `stream.stopped` tell how it goes."""
        await check_within(reach_of(request), calls, order.call_id)
        return await calls.start_stream(order)

    @router.post("/stream/stop", responses=problem_responses(404))
    async def stop_stream(order: StopStream, request: Request) -> StreamInfo:
        """End a stream; its call goes on as its `on_end` says."""
        reach = reach_of(request)
        if reach.is_limited and not await _is_within(reach, order.stream_id):
            raise NoSuchStream(order.stream_id)
        return await calls.stop_stream(order.stream_id)

    @router.get("/calls/{call_id}/streams", responses=problem_responses(404))
    async def list_streams(call_id: Annotated[str, Path(max_length=128)]) -> StreamList:
        """The call's streams."""
        return StreamList(streams=list(await calls.list_streams(call_id)))

    async def _is_within(reach: Reach, stream_id: str) -> bool:
        """Whether it is a stream of a call that the key reaches."""
        mine = [call.call_id for call in await calls.list() if reach.covers(owner_of_call(call))]
        return any([one.stream_id == stream_id for call_id in mine for one in await calls.list_streams(call_id)])

    return router
