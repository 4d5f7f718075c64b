# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API may do with calls: `gateway.api.control.CallControl` over the switchboard."""

from collections.abc import Mapping, Sequence

from gateway.api.control import CallInfo, RecordingOrder
from gateway.calls.call import Call
from gateway.calls.facts import utc
from gateway.calls.state import CallState
from gateway.calls.switchboard import Switchboard
from gateway.errors import WrongCallState
from media.keys import KeyMethod


class SwitchboardControl:
    """One for the process."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    async def place(
        self,
        to: str,
        *,
        from_: str | None,
        profile: str | None,
        agent: str | None,
        metadata: Mapping[str, str],
        timeout_s: float,
    ) -> CallInfo:
        call = await self._switchboard.place(
            to, from_=from_, trunk=profile, agent=agent, metadata=metadata, timeout_s=timeout_s
        )
        return _info(call)

    async def list(self) -> Sequence[CallInfo]:
        return [_info(call) for call in self._switchboard.calls]

    async def get(self, call_id: str) -> CallInfo:
        call = self._switchboard.call(call_id)
        return _info(call).model_copy(update={"quality": await call.quality()})

    async def hangup(self, call_id: str) -> None:
        await self._switchboard.call(call_id).hang_up("api")

    async def hold(self, call_id: str) -> CallInfo:
        call = self._standing(call_id)
        await self._switchboard.endpoint.hold(call_id)
        return _info(call)

    async def resume(self, call_id: str) -> CallInfo:
        call = self._standing(call_id)
        await self._switchboard.endpoint.resume(call_id)
        return _info(call)

    async def mute(self, call_id: str) -> CallInfo:
        return self._mute(call_id, muted=True)

    async def unmute(self, call_id: str) -> CallInfo:
        return self._mute(call_id, muted=False)

    async def record(self, call_id: str, order: RecordingOrder) -> CallInfo:
        call = self._standing(call_id)
        await call.record(order)
        return _info(call)

    async def dtmf(
        self, call_id: str, digits: str, *, method: KeyMethod | None, duration_ms: int, secret: bool
    ) -> None:
        call = self._standing(call_id)
        await call.keypad.dial(call.leg, digits, method, duration_ms=duration_ms, secret=secret)

    async def keep_keys_secret(self, call_id: str, *, secret: bool) -> CallInfo:
        call = self._switchboard.call(call_id)
        call.keys_secret = secret
        return _info(call)

    def _mute(self, call_id: str, *, muted: bool) -> CallInfo:
        call = self._standing(call_id)
        call.mute(muted)
        return _info(call)

    def _standing(self, call_id: str) -> Call:
        call = self._switchboard.call(call_id)
        if call.state not in (CallState.ACTIVE, CallState.HELD):
            raise WrongCallState(f"the call is {call.state.value}, not active")
        return call


def _info(call: Call) -> CallInfo:
    facts = call.facts
    return CallInfo(
        call_id=facts.call_id,
        direction=facts.direction,
        from_=facts.from_,
        to=facts.to,
        state=call.state.value,
        started_at=utc(facts.started_at),
        answered_at=None if facts.answered_at is None else utc(facts.answered_at),
        codec=facts.codec,
        agent=facts.agent,
        muted=call.muted,
        recording=call.recording.value,
        keys_secret=call.keys_secret,
        metadata=dict(facts.metadata),
    )
