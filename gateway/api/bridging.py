# SPDX-License-Identifier: GPL-3.0-or-later
"""`/calls/{id}/bridge`, `unbridge`, `supervise`: calls that hear each other."""

from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field, model_validator

from gateway.api.calls import CallId, check_within
from gateway.api.control import CallControl
from gateway.api.numbers import JSON_NUMBER
from gateway.api.orders import NO_CONTROLS, Address, Body, Metadata
from gateway.api.problems import problem_responses
from gateway.api.reach import reach_of
from gateway.store.records import Record

_OtherId = Annotated[str, Field(min_length=1, max_length=128)]
SuperviseMode = Literal["listen", "whisper", "barge", "off"]
_NOT_NULL: dict[str, Any] = {"not": {"type": "null"}}


Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
"""An ISO 639 code."""


class InterpretOrder(Body):
    """An interpreter between the two."""

    agent: Annotated[str | None, Field(max_length=64)] = None
    """Whose speech recognition, language model and voices it uses; may be left out when there is one agent."""
    language: Language
    """What this call's far end speaks."""
    other_language: Language
    """What the other one speaks."""


class BridgeOrder(Body):
    """Whom to talk to: a call of ours that stands, or somebody to be dialled first."""

    call_id: _OtherId | None = None
    to: Address | None = None
    """SIP URI, or a number for the trunk."""
    from_: Annotated[str | None, Field(validation_alias="from", max_length=512, pattern=NO_CONTROLS)] = None
    """Our address as the one who is dialled sees it, a number, or `anonymous`. None: the trunk's number."""
    profile: Annotated[str | None, Field(max_length=64)] = None
    """Name of the trunk to go through."""
    timeout_s: Annotated[float, Field(ge=1, le=600), JSON_NUMBER] = 60.0
    """How long it may ring."""
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    """Of the call that is placed."""
    on_end: Literal["return", "hangup"] = "return"
    """When the two part (`unbridge`, or one hangs up), a call that stands gets back what it was for, its agent with the
    conversation it had; or is hung up. One that was dialled for the bridge is hung up always."""
    interpret: InterpretOrder | None = None
    """Each hears what the other says in his own language, and the original quietly. None: they hear each other."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["call_id"],
                    "properties": {"call_id": _NOT_NULL, "to": {"type": "null"}},
                },
                {"required": ["to"], "properties": {"to": _NOT_NULL, "call_id": {"type": "null"}}},
            ]
        }
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "BridgeOrder":
        if (self.call_id is None) == (self.to is None):
            raise ValueError("a bridge has either call_id or to")
        return self


class SuperviseOrder(Body):
    """Who supervises the call, and how."""

    supervisor: _OtherId
    """A call of ours that stands: its far end hears this call's far end, what is said to it, and the one it is bridged
    with. When it is over, that call gets back what it was for."""
    mode: SuperviseMode = "listen"
    """whisper: be heard by this call's far end when it is bridged, else by its agent or stream alone. barge: by
    everybody. off: end it."""


class BridgeInfo(Record):
    """Two calls."""

    call_id: str
    other_call_id: str
    bridged: bool
    """They hear each other; if not, the other one is being dialled: `call.bridged` tells, or its `call.ended`."""


class BridgeControl(Protocol):
    """What the API needs of bridges. Who names a call gets `NoSuchCall`, or `WrongCallState` when it does not fit."""

    async def bridge(self, call_id: str, order: BridgeOrder) -> BridgeInfo:
        """Raises `BadAddress`, `NoSuchTrunk`, `TooManyCalls` when somebody is to be dialled."""
        ...

    async def unbridge(self, call_id: str) -> None: ...

    async def supervise(self, call_id: str, order: SuperviseOrder) -> None: ...


class LiveCalls(CallControl, BridgeControl, Protocol):
    """All that the API may do with calls."""


def bridging_router(calls: LiveCalls) -> APIRouter:
    """The routes over this hub."""
    router = APIRouter(prefix="/calls", tags=["calls"], responses=problem_responses(401, 404, 409, 413, 422))

    @router.post("/{call_id}/bridge", responses=problem_responses(503))
    async def bridge(call_id: CallId, order: BridgeOrder, request: Request) -> BridgeInfo:
        """Let the call talk to another one. What either is for steps aside until they part."""
        reach = reach_of(request)
        await check_within(reach, calls, order.call_id)
        if order.interpret is not None:
            interpreter = order.interpret.model_copy(update={"agent": reach.agent_for(order.interpret.agent)})
            order = order.model_copy(update={"interpret": interpreter})
        if order.to is not None:
            more = {"profile": reach.trunk_for(order.profile), "metadata": reach.metadata_for(order.metadata)}
            order = order.model_copy(update=more)
        return await calls.bridge(call_id, order)

    @router.post("/{call_id}/unbridge", status_code=204)
    async def unbridge(call_id: CallId) -> None:
        """Part them: each gets back what it was for before, or is hung up."""
        await calls.unbridge(call_id)

    @router.post("/{call_id}/supervise", status_code=204)
    async def supervise(call_id: CallId, order: SuperviseOrder, request: Request) -> None:
        """Let another call listen to this one, whisper to it, or barge in; again: change that."""
        await check_within(reach_of(request), calls, order.supervisor)
        await calls.supervise(call_id, order)

    return router
