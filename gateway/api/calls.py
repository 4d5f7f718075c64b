# SPDX-License-Identifier: GPL-3.0-or-later
"""`/calls`: place calls, see them, and act on them while they run."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.control import CallControl, CallInfo, RecordingOrder
from gateway.api.problems import problem_responses
from media.keys import KEY_MS, MAX_KEY_MS, MIN_KEY_MS, KeyMethod

CallId = Annotated[str, Path(max_length=128, description="Names the call here and its session afterwards.")]
_MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
_MetadataValue = Annotated[str, Field(max_length=1024)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PlaceCall(_Body):
    """A call to place."""

    to: Annotated[str, Field(min_length=1, max_length=512)]
    """SIP URI, or a number for the trunk."""
    from_: Annotated[str | None, Field(validation_alias="from", max_length=512)] = None
    """Our address as the far end sees it."""
    profile: Annotated[str | None, Field(max_length=64)] = None
    """Name of the trunk to go through; by default the first that takes outgoing calls, for a number."""
    agent: Annotated[str | None, Field(max_length=64)] = None
    """Who talks when it is answered; may be left out when there is only one agent."""
    metadata: Annotated[dict[_MetadataKey, _MetadataValue], Field(max_length=50)] = {}
    """Yours; comes back in the call and its session."""
    timeout_s: Annotated[float, Field(ge=1, le=600)] = 60.0
    """How long it may ring."""


class Dtmf(_Body):
    """Digits to send."""

    digits: Annotated[str, Field(pattern=r"^[0-9A-D*#,w]{1,64}$")]
    """0-9 * # A-D; a comma waits 2 s, a w half a second."""
    method: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    """auto: RFC 4733 events if the far end takes them, tones in the audio if not."""
    duration_ms: Annotated[int, Field(ge=MIN_KEY_MS, le=MAX_KEY_MS)] = KEY_MS
    """How long each key is pressed."""
    secret: bool = False
    """Tones of them are left out of the recording. Digits that we send are kept nowhere else."""


class Keys(_Body):
    """What happens to keys that the far end presses."""

    secret: bool
    """They are shown as `*`, to the language model and in the record."""


class Record(_Body):
    """What to do with the recording of a call."""

    state: RecordingOrder
    """start: also when `media.record` is off. pause: silence is recorded from now on, for card numbers. resume: sound
    again. stop: for good, a call has one recording."""


class CallList(BaseModel):
    """The calls that are not over, oldest first."""

    calls: list[CallInfo]


def calls_router(calls: CallControl) -> APIRouter:
    """The routes over this hub."""
    router = APIRouter(prefix="/calls", tags=["calls"], responses=problem_responses(401, 422))
    of_one_call = problem_responses(404, 409)

    @router.post("", status_code=201, responses=problem_responses(413, 503))
    async def place_call(order: PlaceCall, response: Response) -> CallInfo:
        """Dial; answers while it rings. Follow it with GET."""
        call = await calls.place(
            order.to,
            from_=order.from_,
            profile=order.profile,
            agent=order.agent,
            metadata=order.metadata,
            timeout_s=order.timeout_s,
        )
        response.headers["Location"] = f"/api/v1/calls/{call.call_id}"
        return call

    @router.get("")
    async def list_calls() -> CallList:
        """The calls that are not over."""
        return CallList(calls=list(await calls.list()))

    @router.get("/{call_id}", responses=problem_responses(404))
    async def get_call(call_id: CallId) -> CallInfo:
        """A call; once it is over, see its session instead."""
        return await calls.get(call_id)

    @router.post("/{call_id}/hangup", status_code=204, responses=problem_responses(404))
    async def hang_up(call_id: CallId) -> None:
        """End the call."""
        await calls.hangup(call_id)

    @router.post("/{call_id}/hold", responses=of_one_call)
    async def hold(call_id: CallId) -> CallInfo:
        """Put the far end on hold."""
        return await calls.hold(call_id)

    @router.post("/{call_id}/resume", responses=of_one_call)
    async def resume(call_id: CallId) -> CallInfo:
        """Take it back from hold."""
        return await calls.resume(call_id)

    @router.post("/{call_id}/mute", responses=of_one_call)
    async def mute(call_id: CallId) -> CallInfo:
        """Send silence instead of what we say."""
        return await calls.mute(call_id)

    @router.post("/{call_id}/unmute", responses=of_one_call)
    async def unmute(call_id: CallId) -> CallInfo:
        """Be heard again."""
        return await calls.unmute(call_id)

    @router.post("/{call_id}/record", responses=problem_responses(404, 409, 413))
    async def record(call_id: CallId, order: Record) -> CallInfo:
        """Start, pause, resume or stop recording. A pause is in force when this answers."""
        return await calls.record(call_id, order.state)

    @router.post("/{call_id}/dtmf", status_code=204, responses=problem_responses(404, 409, 413))
    async def dtmf(call_id: CallId, order: Dtmf) -> None:
        """Send DTMF digits: queued when this answers; by INFO, answered by the far end."""
        method = None if order.method == "auto" else KeyMethod(order.method)
        await calls.dtmf(call_id, order.digits, method=method, duration_ms=order.duration_ms, secret=order.secret)

    @router.post("/{call_id}/keys", responses=problem_responses(404))
    async def keys(call_id: CallId, order: Keys) -> CallInfo:
        """Declare that what the far end presses from now on is secret, or is not any more."""
        return await calls.keep_keys_secret(call_id, secret=order.secret)

    return router
