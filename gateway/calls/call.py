# SPDX-License-Identifier: GPL-3.0-or-later
"""One call, from its INVITE to its record in the store."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import assert_never

import structlog

from gateway.api.control import RecordingOrder
from gateway.calls.activity import Activity
from gateway.calls.announcements import Announcements, PlaybackEnd
from gateway.calls.facts import CallFacts, ended, parties
from gateway.calls.journal import Journal
from gateway.calls.keypad import Keypad
from gateway.calls.quality import quality_record
from gateway.calls.recording import CallRecording, RecordingState
from gateway.calls.state import CallEvent, CallState, next_state
from gateway.calls.transfer import Transfer
from gateway.errors import CallError, CallRejected, WrongCallState
from gateway.events import EventBus, EventKind
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import (
    CallConfirmed,
    CallDialled,
    CallEnded,
    CallProgress,
    DigitReceived,
    HoldChanged,
    IncomingCall,
    LegQuality,
    MediaActive,
    RegistrationChanged,
    SignallingSeen,
    SipEvent,
    TransferReported,
)
from gateway.store.records import Quality
from gateway.telemetry import Metrics
from media.frames import PcmFrame
from media.keys import ToneDetection
from media.playout import PlayoutEvent
from media.ports import CallAudio, PcmHub

log = structlog.get_logger(__name__)

_ANSWER_WAIT_S = 40.0
"""Longest time from our answer to ACK and audio: PJSIP itself gives up on the ACK after 32 s (RFC 3261, timer H)."""
_ATTEND_WAIT_S = 2.0
_RINGING = 180
_DISK_WAIT_S = 10.0
"""How long the end of a call waits for its recording to be on the disk."""
StartActivity = Callable[["Call"], Activity]
BeforeAnswer = Callable[["Call"], Awaitable[None]]
"""Decides over an inbound call while it rings. Raises `CallRejected` to refuse it."""
Ear = Callable[[list[PcmFrame]], None]


class Call:
    """A leg, its audio and its activity. `receive` takes the leg's events, `run` is its life."""

    def __init__(
        self,
        facts: CallFacts,
        endpoint: SipEndpoint,
        hub: PcmHub,
        journal: Journal,
        metrics: Metrics,
        start_activity: StartActivity,
        recording: CallRecording,
        events: EventBus,
        inband_keys: ToneDetection = ToneDetection.AUTO,
        *,
        record: bool = False,
        before_answer: BeforeAnswer | None = None,
    ) -> None:
        self.facts = facts
        self.state = CallState.OFFERED if facts.direction == "inbound" else CallState.DIALING
        self.audio: CallAudio | None = None
        self.activity: Activity | None = None
        self.attending: StartActivity = start_activity
        """What began the activity of now, and could begin it again."""
        self._activity_task: asyncio.Task[str] | None = None
        self._attended_or_over = asyncio.Event()
        self.muted = False
        """We send silence."""
        self.muted_theirs = False
        """Nobody is given what the far end says."""
        self.keys_secret = False
        """What the far end presses from here on is shown to nobody."""
        self.awaits_secret_keys: Callable[[], bool] = lambda: False
        """Whether the activity has asked for keys that nobody else is to see."""
        self.turn_count = 0
        """Turns of the caller that agents have answered: the next one's index."""
        self.keypad = Keypad(facts.call_id, endpoint, self._receive_press)
        self._inband_keys = inband_keys
        self._log = log.bind(call_id=facts.call_id)  # events come from outside the call's own context
        self._endpoint = endpoint
        self._hub = hub
        self._journal = journal
        self._metrics = metrics
        self._start_activity = start_activity
        self._successor: StartActivity | None = None
        """What the call is for next, once the activity that is being ended has ended."""
        self._before_answer = before_answer
        self._verdict: asyncio.Future[None] | None = None
        """Waits, while an inbound call rings, for `accept` or `reject`."""
        if before_answer is not None:
            self._verdict = asyncio.get_running_loop().create_future()
        self._rings_there = False
        self._ears: tuple[Ear, ...] = ()
        self._activity_listens = True
        self._followers: tuple[Callable[[], None], ...] = ()
        self._events = events
        self._untold: list[tuple[EventKind, dict[str, object]]] | None = []
        """Events from before the call has a session; None: it has one."""
        self._recording = recording
        self._record_from_the_start = record
        self._is_recorded = False
        self._packets_received = 0
        self._packet_seen_at = time.monotonic()
        self._held_by = ""
        """`us`, `peer` or nobody."""
        self._answered_at = time.monotonic()
        self._answer_timeout_s = _ANSWER_WAIT_S
        self._ready_or_over = asyncio.Event()
        self._over = asyncio.Event()
        self._ended: CallEnded | None = None
        self._our_reason: str | None = None
        self._expected_reason: str | None = None
        self._announcements: Announcements | None = None
        self.transfer: Transfer | None = None
        """The last one that was asked for."""
        self.before_last_event: Callable[[CallFacts, Quality | None], None] = lambda facts, quality: None
        """Told how the call went."""

    @property
    def call_id(self) -> str:
        return self.facts.call_id

    @property
    def leg(self) -> CallAudio:
        """The call's audio. Raises `WrongCallState` before it is negotiated."""
        if self.audio is None:
            raise WrongCallState("the call has no audio yet")
        return self.audio

    @property
    def announcements(self) -> Announcements:
        """What is said over what the call is for. Raises `WrongCallState` while nobody attends the call."""
        if self._announcements is None:
            raise WrongCallState("the call is not being attended")
        return self._announcements

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def metrics(self) -> Metrics:
        return self._metrics

    @property
    def recording(self) -> RecordingState:
        """Whether the call is being recorded."""
        return self._recording.state

    async def record(self, order: RecordingOrder) -> None:
        """Start, pause, resume or stop the recording, for the API or the agent.

        Pausing takes effect before this returns. Raises `WrongCallState` when it does not fit.
        """
        match order:
            case "start":
                self._recording.start(self.leg, self.elapsed_ms(time.monotonic()))
                self._is_recorded = True
                self._listen()
                self._journal.recording_began(self.call_id, self._recording.path)
            case "pause":
                self._recording.pause()
            case "resume":
                self._recording.resume()
            case "stop":
                self._is_recorded = False
                self._listen()
                self._journal.recording_ended(self.call_id, await self._recording.stop())
            case _:
                assert_never(order)
        self.publish("recording.changed", state=self.recording.value)

    def elapsed_ms(self, now: float) -> int:
        """Monotonic time `now` as milliseconds since the call was answered."""
        return max(0, round((now - self._answered_at) * 1000))

    def begin(self) -> None:
        """The call exists: its record begins, and its story."""
        self._journal.began(self.facts)
        untold, self._untold = self._untold or (), None
        # The fields of a kind are in gateway.events.catalogue, for this one those of `parties`.
        self._events.publish(
            "call.offered" if self.facts.direction == "inbound" else "call.dialing", self.call_id, parties(self.facts)
        )
        for kind, data in untold:
            self._events.publish(kind, self.call_id, data)

    def publish(self, kind: EventKind, **data: object) -> None:
        """Tell whoever follows this call's events. `data` is JSON; it may hold speech and numbers, logs may not.

        Its fields are those that `gateway.events.catalogue` names for this kind.
        """
        if self._untold is not None:
            self._untold.append((kind, data))
        else:
            self._events.publish(kind, self.call_id, data)

    @property
    def is_watched(self) -> bool:
        """Whether events that are not kept are worth publishing."""
        return self._events.is_watched

    def assign(self, agent: str) -> None:
        """This agent has the call now."""
        if agent != self.facts.agent:
            self.facts.agent = agent
            self._journal.assigned(self.call_id, agent)

    @property
    def is_attended(self) -> bool:
        """There is an activity, which can be handed over from: nobody else has been promised the call."""
        task = self._activity_task
        return task is not None and not task.done() and not task.cancelling() and not self._over.is_set()

    def hand_over(self, start: StartActivity) -> None:
        """Let another activity take the call; what was queued to be said is dropped.

        Raises `WrongCallState` when there is no activity yet, another one is to have the call already, or it is ending.
        """
        if self._activity_task is None or not self.is_attended:
            # If it is being handed over: whoever was promised the call would never begin, nor be told.
            raise WrongCallState("the call is not being attended, or is just being handed over")
        self._successor = start
        self._activity_task.cancel()
        self._unattended()  # until the successor has begun

    async def until_attended(self) -> None:
        """Until an activity has begun, which what is answered waits for a moment; at most 2 s, or until it is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._attended_or_over.wait(), _ATTEND_WAIT_S)

    async def until_over(self) -> None:
        """Until the leg is over."""
        await self._over.wait()

    def add_ear(self, ear: Ear) -> None:
        """From now on also give `ear` the caller's frames, as they come; it must not block."""
        self._ears += (ear,)
        self._listen()

    def remove_ear(self, ear: Ear) -> None:
        """End that; one that is not there is no fault."""
        self._ears = tuple(one for one in self._ears if one != ear)
        self._listen()

    def listen(self, on: bool) -> None:
        """Whether the activity wants the caller's frames, which it does by itself. A recording and ears get theirs."""
        self._activity_listens = on
        self._listen()

    def follow(self, follower: Callable[[], None]) -> None:
        """From now on tell `follower` when the call has been held, resumed or is over; it must not block."""
        self._followers += (follower,)

    def unfollow(self, follower: Callable[[], None]) -> None:
        """End that; one that is not there is no fault."""
        self._followers = tuple(one for one in self._followers if one != follower)

    def follow_with(self, start: StartActivity) -> None:
        """What the call is for once the activity of now has ended of itself, in place of being hung up."""
        self._successor = start

    @property
    def rings(self) -> bool:
        """The far end's telephone rings, or ours does until somebody decides."""
        if self.facts.direction == "outbound":
            return self._rings_there and self.state is CallState.DIALING
        return self.state is CallState.OFFERED and self._verdict is not None and not self._verdict.done()

    def accept(self) -> None:
        """Answer the inbound call that rings. Raises `WrongCallState` when it does not wait for that."""
        self._waiting_for_verdict().set_result(None)

    def reject(self, code: int, reason: str = "") -> None:
        """Refuse it, with this SIP status and reason phrase (empty: the usual one). Raises the same."""
        self._waiting_for_verdict().set_exception(CallRejected(code, reason))

    def _waiting_for_verdict(self) -> "asyncio.Future[None]":
        if self.facts.direction == "outbound" or self._verdict is None or not self.rings:
            raise WrongCallState("the call is not ringing here, waiting for a decision")
        return self._verdict

    def answer_within(self, timeout_s: float) -> None:
        """Give up an outbound call that is not answered in time; to be said before `run` begins to wait."""
        self._answer_timeout_s = timeout_s

    def receive(self, event: SipEvent) -> None:
        """Take an event of this leg."""
        match event:
            case MediaActive():
                self._take_media(event)
            case CallProgress():
                self._rings_there = self._rings_there or event.code == _RINGING
                self._move(CallEvent.PROGRESS, f"response {event.code}")
                self.publish("call.progress", sip_code=event.code)
            case CallConfirmed():
                self._move(CallEvent.CONFIRMED, "answered")
                self.facts.answered_at, self._answered_at = time.time(), time.monotonic()
                self._journal.answered(self.facts)
                self.publish("call.answered", codec=self.facts.codec, srtp=self.facts.srtp)
                if self._held_by:  # offered so from the start
                    self._move_hold()
                self._maybe_ready()
            case HoldChanged():
                held_before = self._held_by
                self._held_by = "us" if event.held_by_us else "peer" if event.held_by_peer else ""
                if self.state in (CallState.ACTIVE, CallState.HELD) and self._held_by != held_before:
                    self._move_hold()
            case DigitReceived():
                self.keypad.receive_info(event)
            case TransferReported():
                if self.transfer is not None:
                    self.transfer.receive(event)
            case CallEnded():
                self._move(CallEvent.ENDED, f"{event.code} {event.reason}")
                if self.transfer is not None:
                    self.transfer.fail()  # unless it is decided
                self._ended = event
                self._over.set()
                self._ready_or_over.set()
                self._attended_or_over.set()
            case IncomingCall() | CallDialled() | RegistrationChanged() | SignallingSeen():
                raise AssertionError(f"{event!r} belongs to the switchboard")
            case _:
                assert_never(event)
        if isinstance(event, HoldChanged | CallEnded):
            for follower in self._followers:
                follower()

    async def run(self) -> None:
        """The whole life of the leg. Ends when PJSIP has let go of it; on cancellation hangs up first."""
        structlog.contextvars.bind_contextvars(call_id=self.call_id)
        try:
            await self._live()
        except CallError as fault:
            # The far end was faster: it cancelled, or hung up, while we answered.
            self._log.info("call_lost", cause=str(fault))
        except asyncio.CancelledError:
            self._our_reason = self._our_reason or "shutdown"
            raise
        except BaseException:
            self._our_reason = self._our_reason or "failed"
            raise
        finally:
            await self._finish()

    def is_engaged(self) -> bool:
        """Whether the far end cannot hear, or be heard by, what the call is for: its silence means nothing then."""
        return (
            self.state is CallState.HELD
            or self.muted
            or self.muted_theirs
            or (self.transfer is not None and self.transfer.is_under_way)
            or (self._announcements is not None and self._announcements.is_playing)
        )

    @property
    def is_held_by_us(self) -> bool:
        return self._held_by == "us"

    @property
    def is_ending(self) -> bool:
        """We have begun to hang it up, or it is over."""
        return self._our_reason is not None or self._over.is_set()

    @property
    def final_code(self) -> int:
        """SIP status that the call ended with; 0 while it has not."""
        return 0 if self._ended is None else self._ended.code

    def drop(self, reason: str) -> None:
        """`hang_up` for those who cannot wait."""
        self._our_reason = self._our_reason or reason
        self._endpoint.refuse(self.call_id, 0)

    def expect_end(self, reason: str | None) -> None:
        """Call it this when the far end hangs up, from now on; None: what it is called by itself."""
        self._expected_reason = reason

    def silent_for(self, now: float) -> float:
        """Seconds since the last RTP packet of the peer; 0 while there is none to expect."""
        if self.audio is None or self.state is not CallState.ACTIVE:
            self._packet_seen_at = now
            return 0.0
        received = self.audio.counters().packets_in
        if received != self._packets_received:
            self._packets_received, self._packet_seen_at = received, now
        return now - self._packet_seen_at

    async def quality(self) -> Quality | None:
        """How the call sounds so far; None before it has audio. Raises `NoSuchCall` when it has just ended."""
        return None if self.audio is None else self._rate(self.audio, await self._endpoint.quality(self.call_id))

    async def tell_quality(self) -> None:
        """Publish it, when the call stands. Raises `NoSuchCall` when it has just ended."""
        if self.state in (CallState.ACTIVE, CallState.HELD):
            quality = await self.quality()
            self.publish("call.quality", quality=None if quality is None else quality.model_dump())

    def mute(self, muted: bool) -> None:
        """Send silence instead of what we say, or end that."""
        self.leg.mute(muted)
        self.muted = muted

    def mute_theirs(self, muted: bool) -> None:
        """Give the activity, the streams and the recording silence in place of what the far end says, or end that.

        Keys are heard all the same.
        """
        self.leg.mute_heard(muted)
        self.muted_theirs = muted

    async def hang_up(self, reason: str, code: int = 0, phrase: str = "") -> None:
        """End the call; `run` returns when it is over. `code` is the final response of a call not answered yet."""
        self._our_reason = self._our_reason or reason
        await self._endpoint.hang_up(self.call_id, code, phrase)

    async def _live(self) -> None:
        if self.facts.direction == "inbound" and not await self._answer():
            return
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self._ready_or_over.wait()
        except TimeoutError:
            await self.hang_up("timeout" if self.state is CallState.DIALING else "no_audio")
            return
        if not self._over.is_set() and self.audio is not None:
            reason = await self._work()
            if reason is not None:
                await self.hang_up(reason)

    async def _answer(self) -> bool:
        """Answer, once whoever decides has said so; False: it is refused, or over already."""
        if self._before_answer is not None and self._verdict is not None:
            await self._endpoint.answer(self.call_id, _RINGING)
            deciding = asyncio.ensure_future(self._before_answer(self))
            over = asyncio.ensure_future(self._over.wait())
            try:
                await asyncio.wait((deciding, self._verdict, over), return_when=asyncio.FIRST_COMPLETED)
                if self._over.is_set():
                    return False
                (self._verdict if self._verdict.done() else deciding).result()
            except CallRejected as rejection:
                await self.hang_up("rejected", rejection.code, rejection.reason)
                await self._over.wait()
                return False
            finally:
                self._verdict.cancel()
                deciding.cancel()
                over.cancel()
                await asyncio.gather(deciding, over, self._verdict, return_exceptions=True)
        await self._endpoint.answer(self.call_id)
        return True

    async def _work(self) -> str | None:
        """Run one activity after the other until the last is done: the end reason; None when the leg is over first."""
        if self._record_from_the_start and self.recording is RecordingState.OFF:
            await self.record("start")
        start: StartActivity | None = self._start_activity
        reason = None
        async with asyncio.TaskGroup() as tasks:
            self._announcements = announcements = Announcements(self.leg, self._announced, tasks.create_task)
            self.keypad.spawn = tasks.create_task
            try:
                while start is not None and not self._over.is_set():
                    reason = await self._attend(start)
                    start, self._successor = self._successor, None
                    if start is not None:  # who comes finds the leg as if it were new
                        self.leg.clear()
                        self.leg.resume()
                        self.leg.duck(1.0)
            finally:
                self._announcements = None
                self.keypad.spawn = None
                announcements.close()
        return reason

    def _announced(self, playback_id: str, end: PlaybackEnd, played_ms: int) -> None:
        self.publish("playback.finished", playback_id=playback_id, end=end, played_ms=played_ms)

    async def _attend(self, start: StartActivity) -> str | None:
        self.attending, self.activity = start, start(self)
        self.publish("call.activity", activity=self.activity.kind, agent=self.facts.agent)
        self.leg.detect_tones(self._inband_keys if self.activity.hears_keys else ToneDetection.OFF)
        async with asyncio.TaskGroup() as tasks:
            activity = tasks.create_task(self._run_activity(self.activity), name=f"{self.call_id}:activity")
            watch = tasks.create_task(self._cancel_when_over(activity), name=f"{self.call_id}:over")
            activity.add_done_callback(lambda _: watch.cancel())
            activity.add_done_callback(lambda _: self._unattended())
            self._attended_or_over.set()  # who waits for it runs after the activity's first step
        return None if activity.cancelled() else activity.result()

    async def _run_activity(self, activity: Activity) -> str:
        # Not before its first step: what is cancelled earlier never begins, and leaves behind what it was to end.
        self._activity_task = asyncio.current_task()
        return await activity.run()

    def _unattended(self) -> None:
        if not self._over.is_set():
            self._attended_or_over.clear()

    async def _cancel_when_over(self, activity: "asyncio.Task[str]") -> None:
        await self._over.wait()
        activity.cancel()

    async def _finish(self) -> None:
        """Leave nothing behind: no leg, no port, no open recording, no session without an end."""
        try:
            if not self._over.is_set():
                with contextlib.suppress(TimeoutError, CallError):
                    await self._endpoint.hang_up(self.call_id)
                    await asyncio.wait_for(self._over.wait(), 5)
        finally:
            await self._record_end()

    async def _record_end(self) -> None:
        """Whatever fails of it, the rest is done: a session without an end would stand for ever."""
        facts, event = self.facts, self._ended
        facts.ended_at = time.time()
        facts.end_reason = self._end_reason(event)
        quality: Quality | None = None
        async with contextlib.AsyncExitStack() as ends:  # the last one first
            ends.callback(lambda: self._tell_end(quality))
            ends.push_async_callback(self._close_recording)
            if self.audio is None:
                return
            ends.callback(self.audio.close)
            counters = self.audio.counters()
            self._metrics.uplink_dropped_frames.inc(counters.frames_dropped)
            self._metrics.clock_skipped_frames.inc(counters.frames_skipped)
            self._metrics.playout_underruns.inc(counters.underruns)
            self._metrics.playout_refused_samples.inc(counters.samples_refused)
            if event is not None:
                quality = self._rate(self.audio, event.quality)
                self._metrics.redundant_packets.inc(event.quality.tx_redundant)
                self._metrics.call_rated(quality)
                self._log.info("call_quality", **quality.model_dump(exclude={"levels"}, exclude_none=True))

    async def _close_recording(self) -> None:
        try:
            async with asyncio.timeout(_DISK_WAIT_S):
                recording = await self._recording.close()
        except TimeoutError:
            self._log.warning("recording_not_closed", cause="the disk does not answer")
            return
        if recording is not None:
            self._journal.recording_ended(self.call_id, recording)
            if self._is_recorded:
                self.publish("recording.changed", state=self.recording.value)

    def _tell_end(self, quality: Quality | None) -> None:
        self._journal.ended(self.facts, quality)
        self.before_last_event(self.facts, quality)
        self._events.publish("call.ended", self.call_id, ended(self.facts, quality))

    def _rate(self, audio: CallAudio, leg: LegQuality) -> Quality:
        line = None if self.activity is None else self.activity.line
        frame_ms = audio.frame_samples * 1000 / audio.sample_rate_hz
        return quality_record(
            self.facts.codec or "", audio.sample_rate_hz, leg, audio.counters(), line, frame_ms=frame_ms
        )

    def _end_reason(self, event: CallEnded | None) -> str:
        if self._our_reason is not None:
            return self._our_reason
        if event is None:
            return "lost"
        if event.code >= 300:
            return f"sip_{event.code}"
        if self._expected_reason is not None:
            return self._expected_reason
        return "caller_hung_up" if self.facts.direction == "inbound" else "callee_hung_up"

    def _take_media(self, event: MediaActive) -> None:
        self.facts.codec, self.facts.srtp = event.codec, event.srtp
        if self.audio is None:
            self.audio = CallAudio(self._hub, event.port)
            self._listen()
            self.audio.on_playout = self._receive_playout
            self.audio.on_key = self.keypad.receive_key
            self.audio.on_rate = self._receive_rate
            self.audio.on_fault = self._receive_fault
        self._maybe_ready()

    def _maybe_ready(self) -> None:
        """With both the audio and the ACK there, the activity may begin."""
        if self.audio is not None and self.state in (CallState.ACTIVE, CallState.HELD):
            self._ready_or_over.set()

    def _listen(self) -> None:
        """Frames that nobody wants do not come."""
        if self.audio is not None:
            wanted = self._activity_listens or self._is_recorded or bool(self._ears)
            self.audio.on_frames = self._receive_frames if wanted else None

    def _receive_frames(self, frames: list[PcmFrame]) -> None:
        if self._is_recorded:
            self._recording.receive_frames(frames)
        if self.activity is not None:
            self.activity.receive_frames(frames)
        for ear in self._ears:
            ear(frames)

    def _receive_press(self, digit: str) -> None:
        secret = self.keys_secret or self.awaits_secret_keys()
        self.publish("dtmf.received", digit="*" if secret else digit, secret=secret)
        if self.activity is not None:
            self.activity.receive_digit(digit, secret=secret)

    def _receive_rate(self, _: int) -> None:
        if self.activity is not None:
            self.activity.audio_changed()

    def _receive_fault(self) -> None:
        """A fault of ours: the caller must not be left in a call that nobody attends."""
        self._our_reason = "failed"
        if self._activity_task is not None:
            self._activity_task.cancel()

    def _receive_playout(self, event: PlayoutEvent) -> None:
        if self.activity is not None:
            self.activity.receive_playout(event)

    def _move_hold(self) -> None:
        if self._held_by:
            self._move(CallEvent.HELD, self._held_by)
            self.publish("call.held", by=self._held_by)
        else:
            self._move(CallEvent.RESUMED, "all")
            self.publish("call.resumed")

    def _move(self, event: CallEvent, cause: str) -> None:
        old, self.state = self.state, next_state(self.state, event)
        self._log.info("call_state", old=old.value, new=self.state.value, cause=cause)
