# SPDX-License-Identifier: GPL-3.0-or-later
"""`/calls`: place calls, see them, and act on them while they run."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel

from gateway.api.control import CallControl, CallInfo, Playback, Stopped
from gateway.api.idempotency import MAX_KEY_CHARACTERS, IdempotentRequests
from gateway.api.orders import (
    AgentOrder,
    DtmfOrder,
    HangUpOrder,
    KeysOrder,
    MuteOrder,
    PlaceCall,
    PlayOrder,
    RecordOrder,
    SayOrder,
    StopOrder,
    TransferOrder,
)
from gateway.api.problems import problem_responses
from gateway.api.reach import Owner, Reach, reach_of
from gateway.api.scopes import allows
from gateway.errors import NoSuchCall, NoSuchNode, OutOfReach, ScopeMissing
from media.keys import KeyMethod

CallId = Annotated[str, Path(max_length=128, description="Names the call here and its session afterwards.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=MAX_KEY_CHARACTERS,
        pattern=r"^[\x21-\x7e]*$",
        description="Of your making: the same request again with this key, within 24 hours, gets the same answer and "
        "places no second call.",
    ),
]


_TEXT = {"schema": {"type": "string"}}
_PLACED: dict[str, Any] = {
    "description": "Created",
    "headers": {
        "Location": {"description": "Where the call is.", "required": True, **_TEXT},
        "Idempotency-Replayed": {"description": "`true`: this is the answer of the first such request.", **_TEXT},
    },
}


class CallList(BaseModel):
    """The calls that are not over, oldest first."""

    calls: list[CallInfo]
    unreachable: list[str] = []
    """Nodes of the cluster that did not say in time which calls they have."""


def calls_router(calls: CallControl, requests: IdempotentRequests) -> APIRouter:
    """The routes over this hub."""
    router = APIRouter(prefix="/calls", tags=["calls"], responses=problem_responses(401, 413, 422))
    of_one_call = problem_responses(404, 409)
    of_its_media = problem_responses(404, 409, 502)

    @router.post("", status_code=201, responses={**problem_responses(502, 503), 201: _PLACED})
    async def place_call(
        order: PlaceCall, request: Request, response: Response, idempotency_key: IdempotencyKey = None
    ) -> CallInfo:
        """Dial; answers while it rings. Follow it with GET. With `stream` or `flow` the key needs the scope `streams`,
        too."""
        if (order.stream or order.flow) and not allows(request.state.scopes, "streams"):
            raise ScopeMissing("streams")
        order = _within(reach_of(request), order)
        if idempotency_key is None:
            call = await calls.place(order)
        else:
            call, is_repeated = await requests.once(
                f"{request.state.key_id} {idempotency_key}", order, lambda: calls.place(order)
            )
            if is_repeated:
                response.headers["Idempotency-Replayed"] = "true"
        response.headers["Location"] = f"/api/v1/calls/{call.call_id}"
        return call

    @router.get("", responses=problem_responses(404))
    async def list_calls(
        request: Request,
        node: Annotated[str | None, Query(max_length=64, description="Of this node of the cluster only.")] = None,
    ) -> CallList:
        """The calls that are not over; in a cluster, those of all its nodes."""
        if node is not None and node != calls.node:
            raise NoSuchNode(f"there is no node {node!r}")
        reach = reach_of(request)
        return CallList(calls=[one for one in await calls.list() if reach.covers(owner_of_call(one))])

    @router.get("/{call_id}", responses=problem_responses(404))
    async def get_call(call_id: CallId) -> CallInfo:
        """A call; once it is over, see its session instead."""
        return await calls.get(call_id)

    @router.post("/{call_id}/answer", responses=of_one_call)
    async def answer(call_id: CallId) -> CallInfo:
        """Answer an inbound call that rings: on a route with `answer = "manual"`. `active` follows with its ACK."""
        return await calls.answer(call_id)

    @router.post("/{call_id}/hangup", status_code=204, responses=of_one_call)
    async def hang_up(call_id: CallId, order: HangUpOrder | None = None) -> None:
        """End the call, or refuse it with a code while it rings here."""
        await calls.hangup(call_id, order)

    @router.post("/{call_id}/hold", responses=of_one_call)
    async def hold(call_id: CallId) -> CallInfo:
        """Put the far end on hold."""
        return await calls.hold(call_id)

    @router.post("/{call_id}/resume", responses=of_one_call)
    async def resume(call_id: CallId) -> CallInfo:
        """Take it back from hold."""
        return await calls.resume(call_id)

    @router.post("/{call_id}/mute", responses=of_one_call)
    async def mute(call_id: CallId, order: MuteOrder | None = None) -> CallInfo:
        """Send silence instead of what we say; or let nobody hear the far end."""
        return await calls.mute(call_id, (order or MuteOrder()).side, muted=True)

    @router.post("/{call_id}/unmute", responses=of_one_call)
    async def unmute(call_id: CallId, order: MuteOrder | None = None) -> CallInfo:
        """End that."""
        return await calls.mute(call_id, (order or MuteOrder()).side, muted=False)

    @router.post("/{call_id}/record", responses=of_one_call)
    async def record(call_id: CallId, order: RecordOrder) -> CallInfo:
        """Start, pause, resume or stop recording. A pause is in force when this answers."""
        return await calls.record(call_id, order.state)

    @router.post("/{call_id}/dtmf", status_code=204, responses=of_its_media)
    async def dtmf(call_id: CallId, order: DtmfOrder) -> None:
        """Send DTMF digits: queued when this answers; by INFO, answered by the far end."""
        method = None if order.method == "auto" else KeyMethod(order.method)
        await calls.dtmf(call_id, order.digits, method=method, duration_ms=order.duration_ms, secret=order.secret)

    @router.post("/{call_id}/keys", responses=problem_responses(404))
    async def keys(call_id: CallId, order: KeysOrder) -> CallInfo:
        """Declare that what the far end presses from now on is secret, or is not any more."""
        return await calls.keep_keys_secret(call_id, secret=order.secret)

    @router.post("/{call_id}/agent", responses=of_one_call)
    async def agent(call_id: CallId, request: Request, order: AgentOrder | None = None) -> CallInfo:
        """Hand the call to an agent: from a stream, an echo, a recording or another agent, which it ends."""
        return await calls.hand_to_agent(call_id, reach_of(request).agent_for((order or AgentOrder()).agent))

    @router.post("/{call_id}/transfer", status_code=202, responses=of_one_call)
    async def transfer(call_id: CallId, order: TransferOrder, request: Request) -> CallInfo:
        """Ask the far end to talk to somebody else (REFER). The call's `transfer` and the event `call.transfer` say how
        it goes: when it is completed, the call is over; when it failed, the call goes on."""
        await check_within(reach_of(request), calls, order.call_id)
        return await calls.transfer(call_id, order)

    @router.post("/{call_id}/play", status_code=202, responses=of_its_media)
    async def play(call_id: CallId, order: PlayOrder) -> Playback:
        """Play a recording to the far end, after the announcements before it. What the call is for waits meanwhile.
        The event `playback.finished` tells its end."""
        return await calls.play(call_id, order)

    @router.post("/{call_id}/say", status_code=202, responses=problem_responses(404, 409, 503))
    async def say(call_id: CallId, order: SayOrder) -> Playback:
        """The same with words."""
        return await calls.say(call_id, order)

    @router.post("/{call_id}/stop", responses=of_one_call)
    async def stop(call_id: CallId, order: StopOrder | None = None) -> Stopped:
        """End one announcement, or all; what the call is for goes on."""
        return await calls.stop(call_id, (order or StopOrder()).playback_id)

    return router


def owner_of_call(call: CallInfo) -> Owner:
    """Whose it is."""
    return Owner(call.agent, call.trunk, call.metadata)


async def check_within(reach: Reach, calls: CallControl, *call_ids: str | None) -> None:
    """What a body names must be within as well. Raises `NoSuchCall`."""
    for call_id in call_ids:
        if call_id is not None and reach.is_limited and not reach.covers(owner_of_call(await calls.get(call_id))):
            raise NoSuchCall(call_id)


def _within(reach: Reach, order: PlaceCall) -> PlaceCall:
    """The order, so that whoever gave it reaches the call."""
    if not reach.is_limited:
        return order
    if reach.agents is not None and order.agent is None and (order.stream or order.flow or order.play):
        raise OutOfReach("this key is limited to some agents: name one")
    return order.model_copy(
        update={
            "agent": reach.agent_for(order.agent),
            "profile": reach.trunk_for(order.profile),
            "metadata": reach.metadata_for(order.metadata),
        }
    )
