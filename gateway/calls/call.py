# SPDX-License-Identifier: GPL-3.0-or-later
"""One call, from its INVITE to its record in the store."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

import structlog

from gateway.api.control import RecordingOrder
from gateway.calls.activity import Activity
from gateway.calls.announcements import Announcements
from gateway.calls.attendance import Attendance, StartActivity
from gateway.calls.audience import Audience
from gateway.calls.campaign_order import CampaignOrder
from gateway.calls.ending import reason_of_end
from gateway.calls.facts import CallFacts
from gateway.calls.journal import Journal
from gateway.calls.keypad import Keypad
from gateway.calls.leg_control import LegControl
from gateway.calls.quality import quality_record
from gateway.calls.recording import CallRecording, RecordingState
from gateway.calls.state import CallEvent, CallState, next_state
from gateway.calls.story import Story
from gateway.calls.transfer import Transfer
from gateway.calls.verdict import BeforeAnswer, Verdict
from gateway.errors import CallError, CallRejected, WrongCallState
from gateway.events import EventBus, EventKind
from gateway.sip.events import (
    CallConfirmed,
    CallDialled,
    CallEnded,
    CallProgress,
    DigitReceived,
    HoldChanged,
    IncomingCall,
    LegQuality,
    LegSucceeded,
    MediaActive,
    ReferReceived,
    RegistrationChanged,
    SignallingSeen,
    SipEvent,
    TransferReported,
)
from gateway.sip.reason import reason_of
from gateway.store.records import Quality
from gateway.telemetry import Metrics
from media.keys import ToneDetection
from media.playout import PlayoutEvent
from media.ports import CallAudio, PcmHub

log = structlog.get_logger(__name__)

_ANSWER_WAIT_S = 40.0
"""Longest time from our answer to ACK and audio: PJSIP itself gives up on the ACK after 32 s (RFC 3261, timer H)."""
_RINGING = 180
_SESSION_PROGRESS = 183


@dataclass(frozen=True, slots=True)
class Adoption:
    """Where a call comes from that another gateway had."""

    from_node: str
    cause: Literal["death", "drain"]
    last_seen_at: float
    """When that gateway last told of itself: seconds since the epoch."""


class Heir(Protocol):
    """A leg that is to have the call when it is answered."""

    def give_up(self) -> None: ...


class Call:
    """A leg, its audio and its activity. `receive` takes the leg's events, `run` is its life."""

    def __init__(
        self,
        facts: CallFacts,
        legs: LegControl,
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
        campaign: CampaignOrder | None = None,
        adoption: Adoption | None = None,
    ) -> None:
        """`adoption`: another gateway had the call, and its far end is being told where it is now."""
        self.facts = facts
        self.campaign = campaign
        """What a campaign wants of it; None: it is of no campaign."""
        self._adoption = adoption
        is_offered = facts.direction == "inbound" and adoption is None
        self.state = CallState.OFFERED if is_offered else CallState.DIALING
        self.audio: CallAudio | None = None
        self._over = asyncio.Event()
        self._done = asyncio.Event()
        self.attendance = Attendance(self, start_activity, inband_keys, self._over)
        self.audience = Audience(facts.call_id, recording, self.attendance, journal)
        self.muted = False
        """We send silence."""
        self.keys_secret = False
        """What the far end presses from here on is shown to nobody."""
        self.awaits_secret_keys: Callable[[], bool] = lambda: False
        """Whether the activity has asked for keys that nobody else is to see."""
        self.turn_count = 0
        """Turns of the caller that agents have answered: the next one's index."""
        self.keypad = Keypad(facts.call_id, legs, self._receive_press)
        self._log = log.bind(call_id=facts.call_id)  # events come from outside the call's own context
        self.legs = legs
        """What carries it."""
        self._hub = hub
        self.journal = journal
        self.metrics = metrics
        self._verdict = None if before_answer is None else Verdict(before_answer)
        self._rings_there = False
        self._answered_early = False
        """They have sent a session description before they answered."""
        self.takes_early_media = True
        """183 with a session description is sent to, or believed from, whoever carries it."""
        self.has_audio = asyncio.Event()
        self.is_heard_early = asyncio.Event()
        """What they send is to be heard, though they have not answered."""
        self._followers: tuple[Callable[[], None], ...] = ()
        self.story = Story(facts, events)
        self._record_from_the_start = record
        self._packets_received = 0
        self._packet_seen_at = time.monotonic()
        self._held_by = ""
        """`us`, `peer` or nobody."""
        self._answered_at = time.monotonic()
        self._answer_timeout_s = _ANSWER_WAIT_S
        self._ready_or_over = asyncio.Event()
        self._ended: CallEnded | None = None
        self._our_reason: str | None = None
        self.has_moved = False
        """Another gateway has the call."""
        self._expected_reason: str | None = None
        self._is_silent = adoption is not None
        """The far end does not know yet that we have the call."""
        self.succession: Heir | None = None
        """Another leg that may be about to take this one's place."""
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
    def activity(self) -> Activity | None:
        """What the call is for now, or was last; None before it is attended."""
        return self.attendance.activity

    @property
    def announcements(self) -> Announcements:
        """What is said over what the call is for. Raises `WrongCallState` while nobody attends the call."""
        return self.attendance.announcements

    @property
    def recording(self) -> RecordingState:
        """Whether the call is being recorded."""
        return self.audience.recording

    async def record(self, order: RecordingOrder) -> None:
        """Start, pause, resume or stop the recording, for the API or the agent.

        Pausing takes effect before this returns. Raises `WrongCallState` when it does not fit.
        """
        await self.audience.record(order, self.elapsed_ms(time.monotonic()))
        self.publish("recording.changed", state=self.recording.value)

    def elapsed_ms(self, now: float) -> int:
        """Monotonic time `now` as milliseconds since the call was answered."""
        return max(0, round((now - self._answered_at) * 1000))

    def begin(self) -> None:
        """The call exists: its record begins, and its story."""
        if self._adoption is not None:
            self.journal.adopted(self.call_id)
            self.story.go_on()
            return
        self.journal.began(self.facts)
        self.story.begin()

    def publish(self, kind: EventKind, **data: object) -> None:
        """Tell whoever follows this call's events. `data` is JSON; it may hold speech and numbers, logs may not.

        Its fields are those that `gateway.events.catalogue` names for this kind.
        """
        self.story.publish(kind, data)

    def assign(self, agent: str) -> None:
        """This agent has the call now."""
        if agent != self.facts.agent:
            self.facts.agent = agent
            self.journal.assigned(self.call_id, agent)

    def know_far_end(self, kind: str, cause: str, confidence: float | None) -> None:
        """Who or what took the call that we placed, or is heard before it is taken: see `agent.far_end`."""
        self.facts.far_end, self.facts.far_end_confidence = kind, confidence
        self.publish("far_end.recognized", far_end=kind, cause=cause, confidence=confidence)

    async def until_over(self) -> None:
        """Until the leg is over."""
        await self._over.wait()

    async def until_done(self) -> CallFacts:
        """Until it is over and everything of it has been told and written; its facts and `final_code` are final."""
        await self._done.wait()
        return self.facts

    def follow(self, follower: Callable[[], None]) -> None:
        """From now on tell `follower` when the call gets audio, is held, resumed or over; it must not block."""
        self._followers += (follower,)

    def unfollow(self, follower: Callable[[], None]) -> None:
        """End that; one that is not there is no fault."""
        self._followers = tuple(one for one in self._followers if one != follower)

    @property
    def rings(self) -> bool:
        """The far end's telephone rings, or ours does until somebody decides."""
        if self.facts.direction == "outbound":
            return self._rings_there and self.state is CallState.DIALING
        return self.state is CallState.OFFERED and self._verdict is not None and self._verdict.is_awaited

    def accept(self) -> None:
        """Answer the inbound call that rings. Raises `WrongCallState` when it does not wait for that."""
        self._awaited_verdict.accept()

    async def answer_early(self) -> None:
        """Let the caller hear us before we answer: 183 with our session description. Raises `NoSuchCall`,
        `WrongCallState`."""
        await self.legs.answer(self.call_id, _SESSION_PROGRESS)

    def reject(self, code: int, reason: str = "") -> None:
        """Refuse it, with this SIP status and reason phrase (empty: the usual one). Raises the same."""
        self._awaited_verdict.reject(code, reason)

    @property
    def _awaited_verdict(self) -> Verdict:
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
                self._answered_early = self._answered_early or (event.early_media and self.takes_early_media)
                self.publish("call.progress", sip_code=event.code, early_media=event.early_media)
                self._maybe_heard_early()
            case CallConfirmed():
                self._move(CallEvent.CONFIRMED, "answered")
                if self._adoption is None:
                    self.facts.answered_at, self._answered_at = time.time(), time.monotonic()
                    self.journal.answered(self.facts)
                    self.publish("call.answered", codec=self.facts.codec, srtp=self.facts.srtp)
                else:
                    self._taken_over(self._adoption)
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
                self.attendance.receive_end()
            case (
                IncomingCall()
                | CallDialled()
                | RegistrationChanged()
                | SignallingSeen()
                | ReferReceived()
                | LegSucceeded()
            ):
                raise AssertionError(f"{event!r} belongs to the switchboard")
            case _:
                assert_never(event)
        if isinstance(event, HoldChanged | CallEnded | MediaActive):
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
            try:
                await self._finish()
            finally:
                self._done.set()

    def _taken_over(self, adoption: Adoption) -> None:
        """The far end talks to us now."""
        self._is_silent = False
        now = time.time()
        self._answered_at = time.monotonic() - (now - (self.facts.answered_at or now))
        silent_ms = max(0, round((now - adoption.last_seen_at) * 1000))
        self.publish("call.adopted", from_node=adoption.from_node, cause=adoption.cause, silent_ms=silent_ms)

    @property
    def is_between_turns(self) -> bool:
        """Nobody is being cut off if the call moves to another gateway now."""
        if self.audio is None or self.state is not CallState.ACTIVE:
            return self.state is CallState.HELD
        return self.activity is None or self.activity.kind != "agent" or self.audio.queued_ms == 0

    async def let_go(self) -> None:
        """Another gateway has the call: leave the leg without a word to the far end, and without an end in the
        record."""
        self.has_moved = True
        self._our_reason = self._our_reason or "moved"
        await self.legs.let_go(self.call_id)

    def is_engaged(self) -> bool:
        """Whether the far end cannot hear, or be heard by, what the call is for: its silence means nothing then."""
        return (
            self.state is CallState.HELD
            or self.muted
            or self.audience.is_muted
            or (self.transfer is not None and self.transfer.is_under_way)
            or self.attendance.is_announcing
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
        self._disinherit()
        self.legs.refuse(self.call_id, 0, reason_of(reason))

    def expect_end(self, reason: str | None) -> None:
        """Call it this when the far end hangs up, from now on; None: what it is called by itself."""
        self._expected_reason = reason

    def silent_for(self, now: float) -> float:
        """Seconds since the last RTP packet of the peer; 0 while there is none to expect."""
        if self.audio is None or self.state is not CallState.ACTIVE or self.succession is not None:
            self._packet_seen_at = now
            return 0.0
        received = self.audio.counters().packets_in
        if received != self._packets_received:
            self._packets_received, self._packet_seen_at = received, now
        return now - self._packet_seen_at

    async def quality(self) -> Quality | None:
        """How the call sounds so far; None before it has audio. Raises `NoSuchCall` when it has just ended."""
        return None if self.audio is None else self._rate(self.audio, await self.legs.quality(self.call_id))

    async def tell_quality(self) -> None:
        """Publish it, when the call stands. Raises `NoSuchCall` when it has just ended."""
        if self.state in (CallState.ACTIVE, CallState.HELD):
            quality = await self.quality()
            self.publish("call.quality", quality=None if quality is None else quality.model_dump())

    def mute(self, muted: bool) -> None:
        """Send silence instead of what we say, or end that."""
        self.leg.mute(muted)
        self.muted = muted

    async def hang_up(self, reason: str, code: int = 0, phrase: str = "") -> None:
        """End the call; `run` returns when it is over. `code` is the final response of a call not answered yet."""
        self._our_reason = self._our_reason or reason
        self._disinherit()
        await self.legs.hang_up(self.call_id, code, phrase, reason_of(reason))

    def _disinherit(self) -> None:
        if self.succession is not None:
            self.succession.give_up()

    async def _live(self) -> None:
        if self.state is CallState.OFFERED and not await self._answer():
            return
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self._ready_or_over.wait()
        except TimeoutError:
            await self.hang_up("timeout" if self.state is CallState.DIALING else "no_audio")
            return
        if not self._over.is_set() and self.audio is not None:
            if self._record_from_the_start and self.recording is RecordingState.OFF:
                await self.record("start")
            reason = await self._work()
            if reason is not None:
                await self.hang_up(reason)

    async def _work(self) -> str | None:
        """Let the call be what it is for, as long as it may last: the end reason; None when the leg is over first."""
        longest_s = None if self.campaign is None else self.campaign.max_duration_s
        since_answer_s = time.monotonic() - self._answered_at
        try:
            async with asyncio.timeout(None if longest_s is None else longest_s - since_answer_s) as limit:
                return await self.attendance.work()
        except TimeoutError:
            if not limit.expired():
                raise
            return "max_call"

    async def _answer(self) -> bool:
        """Answer, once whoever decides has said so; False: it is refused, or over already."""
        if self._verdict is not None:
            await self.legs.answer(self.call_id, _RINGING)
            try:
                if not await self._verdict.wait(self, self._over):
                    return False
            except CallRejected as rejection:
                await self.hang_up("rejected", rejection.code, rejection.reason)
                await self._over.wait()
                return False
        await self.legs.answer(self.call_id)
        return True

    async def _finish(self) -> None:
        """Leave nothing behind: no leg, no port, no open recording, no session without an end."""
        try:
            if not self._over.is_set():
                with contextlib.suppress(TimeoutError, CallError):
                    self._disinherit()
                    await self.legs.hang_up(self.call_id, reason=reason_of(self._our_reason or "failed"))
                    await asyncio.wait_for(self._over.wait(), 5)
        finally:
            await self._record_end()

    async def _record_end(self) -> None:
        """Whatever fails of it, the rest is done: a session without an end would stand for ever."""
        facts, event = self.facts, self._ended
        facts.ended_at = time.time()
        is_lost = self._adoption is not None and self._is_silent
        own_reason = self._our_reason or ("lost" if is_lost else None)
        facts.end_reason = own_reason or reason_of_end(facts, event, self._expected_reason)
        quality: Quality | None = None
        async with contextlib.AsyncExitStack() as ends:  # the last one first
            ends.callback(lambda: self._tell_end(quality))
            ends.push_async_callback(self._close_recording)
            if self.audio is None:
                return
            ends.callback(self.audio.close)
            self.metrics.leg_counted(self.audio.counters())
            if event is not None:
                quality = self._rate(self.audio, event.quality)
                self.metrics.redundant_packets.inc(event.quality.tx_redundant)
                self.metrics.rtp_strangers.inc(event.quality.rx_strangers)
                self.metrics.call_rated(quality)
                self._log.info("call_quality", **quality.model_dump(exclude={"levels"}, exclude_none=True))

    async def _close_recording(self) -> None:
        if await self.audience.close():
            self.publish("recording.changed", state=self.recording.value)

    def _tell_end(self, quality: Quality | None) -> None:
        was_only_tried = self._adoption is not None and self._is_silent and self._adoption.cause == "drain"
        if self.has_moved or was_only_tried:  # another gateway has the call
            return
        self.journal.ended(self.facts, quality)
        self.before_last_event(self.facts, quality)
        self.story.end(quality)

    def _rate(self, audio: CallAudio, leg: LegQuality) -> Quality:
        line = None if self.activity is None else self.activity.line
        frame_ms = audio.frame_samples * 1000 / audio.sample_rate_hz
        return quality_record(
            self.facts.codec or "", audio.sample_rate_hz, leg, audio.counters(), line, frame_ms=frame_ms
        )

    def _take_media(self, event: MediaActive) -> None:
        self.facts.codec, self.facts.srtp = event.codec, event.srtp
        if self.audio is None:
            self.audio = CallAudio(self._hub, event.port)
            self.audience.attach(self.audio)
            self.audio.on_playout = self._receive_playout
            self.audio.on_key = self.keypad.receive_key
            self.audio.on_rate = self._receive_rate
            self.audio.on_fault = self._receive_fault
            self.has_audio.set()
        self._maybe_heard_early()
        self._maybe_ready()

    def _maybe_heard_early(self) -> None:
        if self._answered_early and self.audio is not None and self.state is CallState.DIALING:
            self.is_heard_early.set()

    def _maybe_ready(self) -> None:
        """With both the audio and the ACK there, the activity may begin."""
        if self.audio is not None and self.state in (CallState.ACTIVE, CallState.HELD):
            self._ready_or_over.set()

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
        self.attendance.cancel()

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
