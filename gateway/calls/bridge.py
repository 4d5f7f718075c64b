# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that hear each other: two that are bridged, and those who supervise a call.

What the two of a bridge were for steps aside (`Bridged` is their activity); each far end hears the other, natively,
on lines between the legs (`media.ports.CallAudio.mix_from`). Either may be recorded, announced to, muted or held as
any call. A leg that we hold neither hears the other nor is heard. Keys that one presses as events (RFC 4733, INFO) are
pressed to the other; tones pass as the sound they are.

    begun --both attend it--> JOINED --unbridged, one is over or handed over--> PARTED
      +------------------- one is over, or was never answered ------------------->+

With an interpreter between them (`Interpreted`, gateway/calls/interpreting.py) they hear each other quietly, and over
it, in their own language, what the other said.

When they part, a call that goes on gets back what it was for (its agent begins anew), or is hung up when there is
nothing: it was dialled for the bridge, or its route says so.

A supervisor's call hears a call's far end, what we say to it, and the one it is bridged with. Whispering, it is heard
by one side only: by the far end of a bridged call, else by our agent or stream. Barging in, by everybody.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

import structlog

from gateway.api.bridging import SuperviseMode
from gateway.api.control import ActivityKind
from gateway.calls.activity import DeafActivity
from gateway.calls.attendance import StartActivity
from gateway.calls.call import Call
from gateway.calls.interpreting import ORIGINAL_GAIN, Direction, Interpreting, run_until
from gateway.calls.state import CallState
from gateway.calls.uplink import LineReport
from gateway.errors import CallError, CallRejected, WrongCallState
from media.errors import MediaMisuse
from media.frames import PcmFrame
from media.playout import PlayoutEvent
from media.ports import CallAudio, LineEnd, LineTrack

log = structlog.get_logger(__name__)

Line = tuple[CallAudio, CallAudio, LineTrack, LineEnd]
"""Where to, where from, which of its tracks, into what."""

_MOST_SUPERVISORS = 4
"""Of one call: with those of the one it is bridged with, their lines stay below the 16 that a leg takes."""
_UNAVAILABLE = 480
_PASSED_ON = frozenset({*range(400, 700)} - {401, 407, 408, 481, 487, 491})
"""Final responses of the other side that mean the same to a caller; 401 and 407 were between us and a trunk."""


class Wiring:
    """Lines between calls, brought from what they are to what they shall be."""

    def __init__(self) -> None:
        self._lines: frozenset[Line] = frozenset()

    def set(self, lines: Iterable[Line], gain: float = 1.0) -> None:
        wanted = frozenset(lines)
        for sink, source, track, end in self._lines - wanted:
            sink.unmix(source, track, end)
        for sink, source, track, end in wanted - self._lines:
            try:
                sink.mix_from(source, track, end, gain)
            except MediaMisuse as fault:  # one voice less must not end the calls of the others
                log.warning("line_refused", cause=str(fault))
        self._lines = wanted


class LinkedActivity(DeafActivity):
    """What a call is for while native lines carry its audio."""

    kind: ActivityKind = "bridge"


class Bridged(LinkedActivity):
    """One call's part in a bridge."""

    def __init__(self, bridge: "Bridge", call: Call, then: StartActivity | None) -> None:
        self._bridge = bridge
        self._call = call
        self.then = then
        """What the call gets back when the two part; None: it is hung up."""

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        other = self._bridge.other(self._call)
        if other is not None and not other.keypad.pass_on(other.leg, digit, secret=secret):
            log.warning("key_not_passed_on", call_id=self._call.call_id, cause="too many are waiting")

    async def run(self) -> str:
        try:
            self._bridge.join(self._call)
            await self._stay()
        finally:
            self._bridge.part("hung_up" if self._call.state is CallState.ENDED else "handed_over")
        if self.then is not None:
            self._call.attendance.follow_with(self.then)
        return "bridge_ended"

    async def _stay(self) -> None:
        self._call.audience.listen(False)
        try:
            await self._bridge.parted.wait()
        finally:
            self._call.audience.listen(True)


class Interpreted(Bridged):
    """One call's part in a bridge with an interpreter: what its far end says is heard, and said to the other."""

    @property
    def line(self) -> LineReport | None:
        mine = self._bridge.directions.get(self._call)
        return None if mine is None else mine.line

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        if mine := self._bridge.directions.get(self._call):
            mine.receive_frames(frames)

    def receive_playout(self, event: PlayoutEvent) -> None:
        """What this call is sent was said by its other."""
        for call, direction in self._bridge.directions.items():
            if call is not self._call:
                direction.receive_playout(event)

    def audio_changed(self) -> None:
        if mine := self._bridge.directions.get(self._call):
            mine.receive_rate()

    async def _stay(self) -> None:
        await self._bridge.joined.wait()
        if mine := self._bridge.directions.get(self._call):
            await run_until(self._bridge.parted, mine)


class Bridge:
    """Two calls. Each is told to `expect`, and joins when its activity begins."""

    def __init__(self, changed: Callable[[], None], interpreting: Interpreting | None = None) -> None:
        self.parted = asyncio.Event()
        self.joined = asyncio.Event()
        """Both hear each other, or they have parted before."""
        self.attended = asyncio.Event()
        """At least one is there, or they have parted before."""
        self.calls: tuple[Call, ...] = ()
        self.cause = ""
        self.directions: dict[Call, Direction] = {}
        """What interprets each of two who have an interpreter, by whom it hears; from when they have joined."""
        self._interpreting = interpreting
        self._present: tuple[Call, ...] = ()
        self._early: tuple[Call, Call] | None = None
        """The caller who hears already what the other sends before it answers."""
        self._wiring = Wiring()
        self._changed = changed

    def expect(self, call: Call) -> None:
        """One of the two: with its end the bridge ends."""
        if self.parted.is_set():  # the other one was faster
            _give_up(call)
            return
        self.calls += (call,)
        call.follow(self._look)
        self._look()

    def other(self, call: Call) -> Call | None:
        """The one that `call` talks to; None while it does not."""
        return next((one for one in self._present if one is not call), None) if self.is_joined else None

    @property
    def is_joined(self) -> bool:
        return self.joined.is_set() and not self.parted.is_set()

    def activity(self, then: StartActivity | None) -> StartActivity:
        """For `Call.hand_over`, or a new call."""
        return lambda call: self.part_of(call, then)

    def part_of(self, call: Call, then: StartActivity | None) -> Bridged:
        """One call's activity in it."""
        return (Bridged if self._interpreting is None else Interpreted)(self, call, then)

    def join(self, call: Call) -> None:
        """The call attends to nothing else now."""
        if self.parted.is_set():
            return
        self._present += (call,)
        self.attended.set()
        if len(self._present) == 2:
            if self._interpreting is not None:
                first, second = self.calls
                self.directions = {
                    first: self._interpreting.direction(first, second, is_first=True),
                    second: self._interpreting.direction(second, first, is_first=False),
                }
            self.joined.set()
            for one in self._present:
                other = self.other(one)
                assert other is not None
                one.publish("call.bridged", other_call_id=other.call_id)
            log.info("bridged", calls=[one.call_id for one in self._present])
        self._look()

    def let_hear_early(self, caller: Call, other: Call) -> None:
        """The caller hears the other's early media from when both have audio until they have joined."""
        self._early = caller, other
        self._look()

    def part(self, cause: str) -> None:
        """End it; once more is no fault."""
        if self.parted.is_set():
            return
        was_joined, self.cause = self.joined.is_set(), cause
        self.parted.set()
        self.attended.set()
        self.joined.set()
        self._wiring.set(())
        for call in self.calls:
            call.unfollow(self._look)
            _give_up(call)
            if was_joined:
                others = [one.call_id for one in self.calls if one is not call]
                call.publish("call.unbridged", other_call_id=others[0], cause=cause)
        if was_joined:
            log.info("unbridged", calls=[one.call_id for one in self.calls], cause=cause)
        self._changed()

    def _look(self) -> None:
        """Something happened to one of the two."""
        if any(call.state is CallState.ENDED for call in self.calls):
            self.part("hung_up")
            return
        lines: list[Line] = []
        if self.is_joined and not any(call.is_held_by_us for call in self._present):
            one, other = (call.leg for call in self._present)
            lines = [(one, other, LineTrack.HEARD, LineEnd.SENT), (other, one, LineTrack.HEARD, LineEnd.SENT)]
        elif self._early is not None and not self.joined.is_set():
            caller, callee = (call.audio for call in self._early)
            if caller is not None and callee is not None:
                lines = [(caller, callee, LineTrack.HEARD, LineEnd.SENT)]
        self._wiring.set(lines, 1.0 if self._interpreting is None else ORIGINAL_GAIN)
        self._changed()


def _give_up(call: Call) -> None:
    """Let nobody's telephone ring for a bridge that will not be."""
    if call.state is CallState.DIALING:
        call.drop("bridge_ended")


class Supervision(LinkedActivity):
    """The activity of a supervisor's call: listens to a call, whispers to its one side, or barges in."""

    kind: ActivityKind = "supervise"

    def __init__(self, target: Call, mode: SuperviseMode, bridges: "Bridges") -> None:
        self.target = target
        self.mode: SuperviseMode = mode
        self.supervisor: Call | None = None
        self.then: StartActivity | None = None
        self._over = asyncio.Event()
        self._wiring = Wiring()
        self._bridges = bridges

    def end(self) -> None:
        self._over.set()

    def wire(self) -> None:
        """Lay the lines that fit the mode, and the bridge that the call is in or not."""
        if self.target.state is CallState.ENDED:
            self.end()
        ours = None if self.supervisor is None or self._over.is_set() else self.supervisor.audio
        self._wiring.set(() if ours is None else self._lines(ours))

    def _lines(self, ours: CallAudio) -> Iterable[Line]:
        bridge = self._bridges.of(self.target)
        other = None if bridge is None else bridge.other(self.target)
        for call in (self.target, other):
            if call is None:
                continue
            for track in LineTrack:
                yield ours, call.leg, track, LineEnd.SENT
            if self.mode == "barge" or (self.mode == "whisper" and call is self.target and other is not None):
                yield call.leg, ours, LineTrack.HEARD, LineEnd.SENT
        if other is None and self.mode in ("whisper", "barge"):
            yield self.target.leg, ours, LineTrack.HEARD, LineEnd.EAR

    async def run(self) -> str:
        assert self.supervisor is not None
        self.supervisor.audience.listen(False)
        self.target.follow(self.wire)
        try:
            self._bridges.supervisions.append(self)
            self.wire()
            await self._over.wait()
        finally:
            self._over.set()
            self._bridges.supervisions.remove(self)
            self._wiring.set(())
            self.target.unfollow(self.wire)
            self.supervisor.audience.listen(True)
        if self.then is not None:
            self.supervisor.attendance.follow_with(self.then)
        return "supervision_ended"


class Bridges:
    """All of one gateway."""

    def __init__(self) -> None:
        self._by_call: dict[str, Bridge] = {}
        self.supervisions: list[Supervision] = []

    def of(self, call: Call) -> Bridge | None:
        """The bridge that the call is in, or that waits for it."""
        return self._by_call.get(call.call_id)

    async def join(self, call: Call, other: Call, *, give_back: bool, interpreting: Interpreting | None = None) -> None:
        """Let two calls talk to each other; returns when they do. `give_back`: when they part, each gets back what it
        is for now. Raises `WrongCallState`."""
        if call is other:
            raise WrongCallState("a call cannot be bridged with itself")
        for one in (call, other):
            if not one.attendance.is_attended:  # before either is taken from what it is for
                raise WrongCallState(f"call {one.call_id} is not being attended")
        bridge = self._new(interpreting)
        back = [self._purpose(one) if give_back else None for one in (call, other)]
        for one in (call, other):
            self._leave(one)
        try:
            for one, then in zip((call, other), back, strict=True):
                self.expect(bridge, one)
                one.attendance.hand_over(bridge.activity(then))
        except CallError:
            bridge.part("failed")
            raise
        await bridge.joined.wait()
        if bridge.parted.is_set():
            raise WrongCallState("one of the calls has ended")

    async def dial(
        self,
        call: Call,
        dial: Callable[[StartActivity], Awaitable[Call]],
        *,
        give_back: bool,
        interpreting: Interpreting | None = None,
    ) -> Call:
        """Call somebody, and bridge when they answer; until then the call goes on as it is. Returns while it rings."""
        bridge = self._new(interpreting)

        def answered(other: Call) -> Bridged:
            then = self._purpose(call) if give_back else None
            self._leave(call)
            self.expect(bridge, call)
            try:
                call.attendance.hand_over(bridge.activity(then))
            except CallError:
                bridge.part("failed")
            return bridge.part_of(other, None)

        def gone() -> None:
            if call.state is CallState.ENDED:
                bridge.part("hung_up")
            if bridge.parted.is_set():
                call.unfollow(gone)

        call.follow(gone)
        try:
            other = await dial(answered)
            self.expect(bridge, other)
        except BaseException:
            bridge.part("failed")
            raise
        finally:
            if bridge.parted.is_set():
                call.unfollow(gone)
        return other

    def of_route(self, dial: Callable[[Call, StartActivity], Awaitable[Call]]) -> "RouteBridge":
        """For one inbound call whose route leads to somebody else."""
        return RouteBridge(self, self._new(), dial)

    def unbridge(self, call: Call) -> None:
        """Raises `WrongCallState`."""
        bridge = self.of(call)
        if bridge is None or not bridge.is_joined:
            raise WrongCallState("the call is not bridged")
        bridge.part("api")

    def supervise(self, call: Call, supervisor: Call, mode: SuperviseMode) -> None:
        """Begin, change or (`off`) end it. Raises `WrongCallState`."""
        if call is supervisor:
            raise WrongCallState("a call cannot supervise itself")
        standing = next((one for one in self.supervisions if one.supervisor is supervisor), None)
        if standing is not None and standing.target is call:
            if mode == "off":
                standing.end()
            standing.mode = mode
            standing.wire()
        elif mode == "off":
            raise WrongCallState("that call is not supervising this one")
        elif sum(one.target is call for one in self.supervisions) >= _MOST_SUPERVISORS:
            raise WrongCallState(f"{_MOST_SUPERVISORS} calls supervise this one already")
        else:
            supervision = Supervision(call, mode, self)
            supervision.supervisor, supervision.then = supervisor, self._purpose(supervisor)
            supervisor.attendance.hand_over(lambda _: supervision)

    def _new(self, interpreting: Interpreting | None = None) -> Bridge:
        bridge = Bridge(lambda: self._changed(bridge), interpreting)
        return bridge

    def expect(self, bridge: Bridge, call: Call) -> None:
        """Make it the call's bridge."""
        self._by_call[call.call_id] = bridge
        bridge.expect(call)

    def _leave(self, call: Call) -> None:
        """Of two bridges the later one counts."""
        bridge = self.of(call)
        if bridge is not None:
            bridge.part("handed_over")

    def _changed(self, bridge: Bridge) -> None:
        if bridge.parted.is_set():
            for call in bridge.calls:
                if self._by_call.get(call.call_id) is bridge:
                    del self._by_call[call.call_id]
        for supervision in self.supervisions:
            supervision.wire()

    def _purpose(self, call: Call) -> StartActivity | None:
        """What the call is to get back after a bridge or a supervision: no other one of these."""
        return call.activity.then if isinstance(call.activity, Bridged | Supervision) else call.attendance.attending


class RouteBridge:
    """Route action `bridge`: the caller hears ringing until the other side has answered, and its refusal if it does."""

    def __init__(
        self, bridges: Bridges, bridge: Bridge, dial: Callable[[Call, StartActivity], Awaitable[Call]]
    ) -> None:
        self._bridges = bridges
        self._bridge = bridge
        self._dial = dial
        self.activity = bridge.activity(None)

    async def before_answer(self, caller: Call) -> None:
        """Returns when the other side has answered. Raises `CallRejected`."""
        self._bridges.expect(self._bridge, caller)
        try:
            other = await self._dial(caller, self.activity)
        except BaseException as fault:
            self._bridge.part("failed")  # whoever has answered meanwhile waits in vain
            if not isinstance(fault, CallError):
                raise
            log.warning("bridge_not_dialled", cause=str(fault))
            raise CallRejected(_UNAVAILABLE) from fault
        self._bridges.expect(self._bridge, other)
        early = asyncio.create_task(self._pass_early_media_on(caller, other), name=f"{caller.call_id}:early-media")
        try:
            await self._bridge.attended.wait()
        finally:
            early.cancel()
            await asyncio.gather(early, return_exceptions=True)
        if self._bridge.parted.is_set():
            raise CallRejected(other.final_code if other.final_code in _PASSED_ON else _UNAVAILABLE)

    async def _pass_early_media_on(self, caller: Call, other: Call) -> None:
        """Their announcements and ringing in place of ours."""
        await other.is_heard_early.wait()
        if caller.takes_early_media:
            with contextlib.suppress(CallError):  # the caller is gone, or the other has answered meanwhile
                await caller.answer_early()
                self._bridge.let_hear_early(caller, other)
