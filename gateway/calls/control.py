# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API may do with calls: `gateway.api.control.CallControl` over the switchboard."""

from collections.abc import Sequence

from gateway.api.bridging import BridgeInfo, BridgeOrder, SuperviseOrder
from gateway.api.control import CallInfo, MuteSide, Playback, RecordingOrder, Stopped
from gateway.api.orders import HangUpOrder, PlaceCall, PlayOrder, SayOrder, StartStream, TransferOrder
from gateway.calls.call import Call
from gateway.calls.facts import utc
from gateway.calls.prompts import Prompt, Prompts
from gateway.calls.state import CallState
from gateway.calls.switchboard import Switchboard
from gateway.calls.voices import Voices
from gateway.errors import NoSuchCall, WrongCallState
from gateway.streams.control import StreamInfo
from gateway.streams.request import order_of_request
from media.keys import KeyMethod


class SwitchboardControl:
    """One for the process."""

    def __init__(self, switchboard: Switchboard, prompts: Prompts, voices: Voices, node: str | None = None) -> None:
        """`node`: our name in the cluster."""
        self.node = node
        self._switchboard = switchboard
        self._prompts = prompts
        self._voices = voices

    async def place(self, order: PlaceCall) -> CallInfo:
        prompt = None if order.play is None else await self._prompt(order.play)
        return self._info(await self._switchboard.place(order, prompt))

    async def list(self) -> Sequence[CallInfo]:
        return [self._info(call) for call in self._switchboard.calls]

    async def get(self, call_id: str) -> CallInfo:
        call = self._switchboard.call(call_id)
        return self._info(call).model_copy(update={"quality": await call.quality()})

    async def answer(self, call_id: str) -> CallInfo:
        call = self._switchboard.call(call_id)
        call.accept()
        return self._info(call)

    async def hangup(self, call_id: str, order: HangUpOrder | None = None) -> None:
        call = self._switchboard.call(call_id)
        if order is None or order.code is None:
            await call.hang_up("api")
        else:
            call.reject(order.code, order.reason)

    async def hold(self, call_id: str) -> CallInfo:
        call = self._standing(call_id)
        await call.legs.hold(call_id)
        return self._info(call)

    async def resume(self, call_id: str) -> CallInfo:
        call = self._standing(call_id)
        await call.legs.resume(call_id)
        return self._info(call)

    async def mute(self, call_id: str, side: MuteSide, *, muted: bool) -> CallInfo:
        call = self._standing(call_id)
        if side == "ours":
            call.mute(muted)
        else:
            call.audience.mute(muted)
        return self._info(call)

    async def record(self, call_id: str, order: RecordingOrder) -> CallInfo:
        call = self._standing(call_id)
        await call.record(order)
        return self._info(call)

    async def dtmf(
        self, call_id: str, digits: str, *, method: KeyMethod | None, duration_ms: int, secret: bool
    ) -> None:
        call = self._standing(call_id)
        await call.keypad.dial(call.leg, digits, method, duration_ms=duration_ms, secret=secret)

    async def keep_keys_secret(self, call_id: str, *, secret: bool) -> CallInfo:
        call = self._switchboard.call(call_id)
        call.keys_secret = secret
        return self._info(call)

    async def hand_to_agent(self, call_id: str, agent: str | None) -> CallInfo:
        call = await self._attended(call_id)
        self._switchboard.hand_to_agent(call, agent)
        return self._info(call)

    async def transfer(self, call_id: str, order: TransferOrder) -> CallInfo:
        call = self._standing(call_id)
        other = None if order.call_id is None else self._standing(order.call_id)
        await self._switchboard.transfer(
            call, order.to or "", other, headers=tuple(order.headers.items()), timeout_s=order.timeout_s
        )
        return self._info(call)

    async def play(self, call_id: str, order: PlayOrder) -> Playback:
        call = await self._attended(call_id)
        prompt = await self._prompt(order)
        if call.state is CallState.ENDED:  # while it was fetched
            raise NoSuchCall(call_id)
        return call.announcements.play(prompt, loop=order.loop, gain=order.gain)

    async def say(self, call_id: str, order: SayOrder) -> Playback:
        call = await self._attended(call_id)
        return call.announcements.say(self._voices.speech(order.text, order.voice, order.language))

    async def stop(self, call_id: str, playback_id: str | None) -> Stopped:
        return self._standing(call_id).announcements.stop(playback_id)

    async def bridge(self, call_id: str, order: BridgeOrder) -> BridgeInfo:
        call = await self._attended(call_id)
        if order.call_id is None:
            other = await self._switchboard.bridge_by_dialling(call, order)
        else:
            other = await self._attended(order.call_id)
            await self._switchboard.bridge(call, other, order)
        return BridgeInfo(call_id=call_id, other_call_id=other.call_id, bridged=order.call_id is not None)

    async def unbridge(self, call_id: str) -> None:
        self._switchboard.bridges.unbridge(self._standing(call_id))

    async def supervise(self, call_id: str, order: SuperviseOrder) -> None:
        call = await self._attended(call_id)
        self._switchboard.bridges.supervise(call, await self._attended(order.supervisor), order.mode)

    async def start_stream(self, order: StartStream) -> StreamInfo:
        call = await self._attended(order.call_id)
        gives_back = call.activity is not None and call.activity.kind == "agent"
        return await self._switchboard.streams.start(call, order_of_request(order, gives_back=gives_back))

    async def stop_stream(self, stream_id: str) -> StreamInfo:
        return await self._switchboard.streams.stop(stream_id)

    async def list_streams(self, call_id: str) -> Sequence[StreamInfo]:
        return self._switchboard.streams.of_call(self._switchboard.call(call_id).call_id)

    async def _prompt(self, order: PlayOrder) -> Prompt:
        if order.url is not None:
            return await self._prompts.from_url(order.url)
        return await self._prompts.from_file(order.file or "")

    async def _attended(self, call_id: str) -> Call:
        """A call that stands and has an activity: one that has just been answered has it in a moment."""
        call = self._switchboard.call(call_id)
        if call.state is not CallState.DIALING and not call.rings:
            await call.attendance.until_attended()
        return self._standing(call_id)

    def _standing(self, call_id: str) -> Call:
        call = self._switchboard.call(call_id)
        if call.state not in (CallState.ACTIVE, CallState.HELD):
            raise WrongCallState(f"the call is {call.state.value}, not active")
        return call

    def _info(self, call: Call) -> CallInfo:
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
            trunk=facts.trunk or None,
            ringing=call.rings,
            activity="none" if call.activity is None else call.activity.kind,
            muted=call.muted,
            muted_theirs=call.audience.is_muted,
            transfer=None if call.transfer is None else call.transfer.info,
            recording=call.recording.value,
            keys_secret=call.keys_secret,
            metadata=dict(facts.metadata),
            node=self.node,
        )
