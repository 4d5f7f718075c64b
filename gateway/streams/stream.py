# SPDX-License-Identifier: GPL-3.0-or-later
"""One stream of one call: the shell around `StreamSession`. Keeps a connection to the backend, has the one timer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import structlog

from gateway.calls.call import Call
from gateway.streams.backoff import Backoff
from gateway.streams.comfort import ComfortSound
from gateway.streams.connection import (
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    ConnectFailed,
    Connection,
    Connector,
    Disconnected,
)
from gateway.streams.control import StreamInfo, StreamState
from gateway.streams.messages import Answer, Reject, StreamStarted, StreamStopped, WireMessage, WireProtocol
from gateway.streams.order import StreamOrder
from gateway.streams.session import CallRequest, StreamSession
from media.frames import PcmFrame
from media.playout import PlayoutEvent

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S = 0.02
"""The shortest wait for the last of a backend's audio: on hold what is left of it stays."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How patient streams are; seconds."""

    connect_s: float = 10.0
    """How long the first connection may take, attempts included."""
    reconnect_s: float = 30.0
    """How long a lost backend may stay away."""
    stuck_s: float = 10.0
    """How long a backend may read nothing; then the connection is ended, and made anew."""


class Ending(Enum):
    """Why a stream ended."""

    STOPPED = "stopped"
    """By the API, or because somebody else talks on the call now."""
    BACKEND_CLOSED = "backend_closed"
    """The backend said goodbye."""
    BACKEND_HUNG_UP = "backend_hung_up"
    """The backend ended the call."""
    UNREACHABLE = "backend_unreachable"
    """It stayed away for too long."""
    CALL_ENDED = "call_ended"


class StreamMetrics(Protocol):
    """`gateway.telemetry.Metrics`, as far as a stream counts."""

    def stream_began(self, protocol: str) -> None: ...
    def stream_ended(self, protocol: str, end: str) -> None: ...
    def stream_disconnected(self, protocol: str) -> None: ...
    def stream_counted(self, dropped_messages: int, refused_ms: float, gaps: int, faults: int) -> None: ...


Hands = Callable[["Stream", CallRequest], None]
"""Does with the call what the backend wants."""


class Stream:
    """A `Receiver`. `run` is its life."""

    def __init__(
        self,
        stream_id: str,
        call: Call,
        order: StreamOrder,
        connector: Connector,
        make_protocol: Callable[[], WireProtocol],
        limits: StreamLimits,
        sound: ComfortSound,
        metrics: StreamMetrics,
        hands: Hands,
        *,
        raw_audio: bool,
    ) -> None:
        facts = call.facts
        self.stream_id = stream_id
        self.call = call
        self.order = order
        self.state: StreamState = "connecting"
        self.pending_requests = 0
        self.ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        """Done when the stream is to end, with the reason."""
        self.verdict: asyncio.Future[Answer | Reject] = asyncio.get_running_loop().create_future()
        """What the backend says to a call that rings."""
        self._connector = connector
        self._limits = limits
        self._metrics = metrics
        self._hands = hands
        self._connection: Connection | None = None
        self._lost: asyncio.Future[Disconnected] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None
        self._log = log.bind(call_id=call.call_id, stream_id=stream_id)
        started = StreamStarted(
            call_id=facts.call_id,
            stream_id=stream_id,
            from_=facts.from_,
            to=facts.to,
            call_direction=facts.direction,
            stream_direction=order.direction,
            tracks=order.tracks if order.hears else (),
            format=order.format,
            metadata=order.metadata,
            answered=facts.answered_at is not None,
        )
        wants_speech = "speech" in order.wants
        self.session = StreamSession(
            started, make_protocol, self._ask, sound, wants_speech=wants_speech, raw_audio=raw_audio
        )

    @property
    def info(self) -> StreamInfo:
        """The stream as it is now."""
        order = self.order
        return StreamInfo(
            stream_id=self.stream_id,
            call_id=self.call.call_id,
            stream_url=order.url,
            protocol=order.protocol,
            codec=order.format.encoding,
            sample_rate=order.format.sample_rate_hz,
            direction=order.direction,
            tracks=list(order.tracks),
            state=self.state,
            metadata=dict(order.metadata),
        )

    async def run(self) -> Ending:
        """Connect, and again when the connection is lost, until the stream ends."""
        self._metrics.stream_began(self.order.protocol)
        backoff = Backoff(self._limits.connect_s, time.monotonic())
        try:
            while not self.ending.done():
                if not await self._unless_ending(self._connect(backoff)):
                    self.end(Ending.UNREACHABLE)
                    break
                await self._connected(backoff)
        finally:
            self._close()
        return self.ending.result()

    def end(self, ending: Ending) -> None:
        """Let it end; the first reason counts."""
        if not self.ending.done():
            self.ending.set_result(ending)

    # The call's side

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        """The caller's."""
        if self._connection is not None:
            self.session.receive_frames(frames, "inbound")

    def receive_sent(self, frames: list[PcmFrame]) -> None:
        """What we sent to the caller."""
        if self._connection is not None:
            self.session.receive_frames(frames, "outbound")

    def receive_playout(self, event: PlayoutEvent) -> None:
        self.session.receive_playout(event, time.monotonic())
        self._rearm()

    def speak(self) -> None:
        """The call is answered: the backend's audio reaches the caller from now on."""
        self.session.speak_on(self.call.leg, time.monotonic())
        self._rearm()

    def fall_silent(self) -> None:
        """Somebody else speaks on the leg from now on: what is queued there is his."""
        self.session.fall_silent()

    # The connection's side

    def receive(self, message: WireMessage) -> None:
        session = self.session
        if not session.receive(message, time.monotonic()):
            return
        if session.next_timeout != self._armed_for:
            self._rearm()
        if session.is_abusive and self._connection is not None:
            self._log.warning("stream_abused", faults=session.counters.faults)
            self._connection.close(POLICY_VIOLATION, "too many faults")
            self.end(Ending.BACKEND_CLOSED)

    def congested(self, is_congested: bool) -> None:
        self.session.congested(is_congested, time.monotonic())
        self._forget_stuck()
        if is_congested:
            self._stuck_timer = self._loop.call_later(self._limits.stuck_s, self._give_up_stuck)

    def disconnected(self, how: Disconnected) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(how)
            # At once, and not when the task comes to it: the caller is to hear that the line is alive.
            is_over = how.is_normal or self.ending.done()
            self._connection = None
            self._forget_stuck()  # it must not end the next connection
            self.session.disconnected(time.monotonic(), is_over=is_over)
            self._rearm()

    def _forget_stuck(self) -> None:
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None

    def _give_up_stuck(self) -> None:
        if self._connection is not None:
            self._log.warning("stream_stuck", seconds=self._limits.stuck_s)
            self._connection.abort()

    async def _connect(self, backoff: Backoff) -> bool:
        """True: there is a connection. False: the backend is given up."""
        while True:
            at = backoff.next_attempt(time.monotonic())
            if at is None:
                return False
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            try:
                async with asyncio.timeout(max(0.01, backoff.deadline - time.monotonic())):
                    connection = await self._connector.connect(
                        self.call.call_id, self.order, self.session.subprotocol, self
                    )
            except ConnectFailed as failure:
                self._log.info("stream_not_connected", cause=str(failure))
                if failure.is_final:
                    return False
            except TimeoutError:
                return False
            else:
                self._take(connection, backoff)
                return True

    def _take(self, connection: Connection, backoff: Backoff) -> None:
        now = time.monotonic()
        is_first = self.state == "connecting"
        self._connection, self._lost = connection, self._loop.create_future()
        backoff.connected(now)
        self.state = "connected"
        self.session.connected(connection, now)
        self._rearm()
        self._log.info("stream_connected", again=not is_first)
        self.call.publish("stream.connected", stream_id=self.stream_id, reconnected=not is_first)

    async def _connected(self, backoff: Backoff) -> None:
        """Until the connection is lost, or the stream is to end."""
        if self._lost is None:  # it was to end before there was one
            return
        await asyncio.wait((self._lost, self.ending), return_when=asyncio.FIRST_COMPLETED)
        if not self._lost.done():
            return
        how = self._lost.result()
        self._lost = None
        if how.is_normal:
            await self._play_out()
            self.end(Ending.BACKEND_CLOSED)
        if not self.ending.done():
            self.state = "reconnecting"
            self._metrics.stream_disconnected(self.order.protocol)
            self._log.warning("stream_lost", code=how.code)
            self.call.publish("stream.disconnected", stream_id=self.stream_id, code=how.code)
            backoff.lost(self._limits.reconnect_s, time.monotonic())

    async def _play_out(self) -> None:
        """Let the caller hear what the backend has left, unless the stream is to end."""
        playout = self.session.playout
        while playout is not None and not self.ending.done():
            queued_ms = playout.queued_ms(time.monotonic())
            if queued_ms <= 0.0:
                break
            await asyncio.wait((self.ending,), timeout=max(queued_ms / 1000, _LOOK_AGAIN_S))

    async def _unless_ending(self, connecting: Awaitable[bool]) -> bool:
        """What it comes to; True as well when the stream is to end meanwhile."""
        task = asyncio.ensure_future(connecting)
        try:
            await asyncio.wait((task, self.ending), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else True
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _close(self) -> None:
        """Say goodbye and count."""
        ending = self.ending.result() if self.ending.done() else Ending.STOPPED
        self.end(ending)
        self.state = "ended"
        connection, self._connection = self._connection, None
        if connection is not None:
            self.session.tell(StreamStopped(ending.value))
            connection.close(NORMAL_CLOSURE)
        self.session.disconnected(time.monotonic(), is_over=True)
        self._forget_stuck()
        if self._timer is not None:
            self._timer.cancel()
        playout = self.session.playout
        self._metrics.stream_ended(self.order.protocol, ending.value)
        self._metrics.stream_counted(
            self.session.outbox.dropped_messages,
            0.0 if playout is None else playout.counters.refused_ms,
            0 if playout is None else playout.counters.gaps,
            self.session.counters.faults,
        )
        self._log.info("stream_ended", cause=ending.value)
        self.call.publish("stream.stopped", stream_id=self.stream_id, reason=ending.value)

    def _ask(self, request: CallRequest) -> None:
        self._hands(self, request)

    # The timer

    def _rearm(self) -> None:
        wanted = self.session.next_timeout
        if wanted == self._armed_for and wanted is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = wanted
        self._timer = None if wanted is None else self._loop.call_at(wanted, self._time_out)

    def _time_out(self) -> None:
        self._timer = self._armed_for = None
        if not self.ending.done():
            self.session.handle_timeout(time.monotonic())
            self._rearm()
