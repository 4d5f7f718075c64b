# SPDX-License-Identifier: GPL-3.0-or-later
"""Every stream of this process: starts and ends them, and does with their calls what backends want."""

import asyncio
import contextlib
import secrets
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self, assert_never

import structlog

from agent.events import AgentEvent
from agent.services.llm import LanguageModel
from gateway.calls.activity import Activity, Play
from gateway.calls.agent import AgentActivity
from gateway.calls.attendance import StartActivity
from gateway.calls.call import Call
from gateway.calls.prompts import Prompt
from gateway.calls.verdict import BeforeAnswer
from gateway.errors import (
    BadPrompt,
    BadStreamOrder,
    CallError,
    CallRejected,
    NoSuchStream,
    UrlUnreachable,
    WrongCallState,
)
from gateway.events import Event, EventBus
from gateway.guard import FLOW_URL, STREAM_URL, OutboundGuard
from gateway.outbound import http_client
from gateway.streams.activity import StreamActivity
from gateway.streams.comfort import ComfortSound
from gateway.streams.connection import Connector
from gateway.streams.control import StreamInfo
from gateway.streams.flow_activity import FlowActivity
from gateway.streams.messages import (
    Answer,
    CallAnswered,
    HangUp,
    Mute,
    Record,
    Reject,
    SendKeys,
    Transfer,
    TransferProgress,
)
from gateway.streams.order import Fallback, StreamOrder
from gateway.streams.protocols import check_options, protocol_kind
from gateway.streams.relay_activity import Find, RelayActivity, relay_info
from gateway.streams.session import CallRequest
from gateway.streams.stream import Ending, Stream, StreamLimits, StreamMetrics
from gateway.streams.twilio import ACCOUNT_SID
from media.errors import MediaError
from media.frames import PcmSamples

log = structlog.get_logger(__name__)

MAX_STREAMS_OF_A_CALL = 8
MAX_PENDING_REQUESTS = 32
"""Of one stream: what its backend wants of the call and is being done. One more is refused."""
_DECLINED = 603
_TEMPORARILY_UNAVAILABLE = 480
_SERVICE_UNAVAILABLE = 503

TransferCall = Callable[[Call, Transfer], Awaitable[None]]
"""Sends a call's far end elsewhere. Raises `CallError`."""
AfterStream = Callable[[Ending], bool]


class Agents(Protocol):
    """Makes the activity of an agent on a call."""

    def __contains__(self, name: str) -> bool: ...

    def start(self, name: str, call: Call) -> Activity: ...

    def converse(
        self, name: str | None, call: Call, llm: LanguageModel, follow: Callable[[AgentEvent], None]
    ) -> AgentActivity: ...

    def for_streams(self, name: str | None) -> Callable[[str], str]:
        """What a text backend may read of what was said."""
        ...


class Streams:
    """An async context manager, one for the process: leaving it ends what runs."""

    def __init__(
        self,
        guard: OutboundGuard,
        connectors: Mapping[str, Connector],
        agents: Agents,
        default_agent: str,
        files: Mapping[str, tuple[PcmSamples, int]],
        events: EventBus,
        metrics: StreamMetrics,
        sound: ComfortSound,
        limits: StreamLimits | None = None,
        *,
        account_sid: str = ACCOUNT_SID,
    ) -> None:
        """`connectors`: by URL scheme; "": of backends that come to us. `files`: recordings that fallbacks name, with
        their rates. `account_sid`: what backends that know Twilio are told, unless an order has another."""
        self.transfer: TransferCall | None = None
        """Who can transfer calls."""
        self.find: Find | None = None
        """Who can fetch recordings."""
        self._guard = guard
        self._connectors = connectors
        self._agents = agents
        self._default_agent = default_agent
        self._files = files
        self._events = events
        self._metrics = metrics
        self._sound = sound
        self._limits = limits or StreamLimits()
        self._account_sid = account_sid
        self._flows = http_client(guard, FLOW_URL)
        self._streams: dict[str, Stream] = {}
        self._relays: dict[str, RelayActivity] = {}
        self._given_up: weakref.WeakSet[Call] = weakref.WeakSet()
        """Calls that were answered for their fallback, since the backend stayed away while they rang."""
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._events.follow(self._receive_event)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self._events.unfollow(self._receive_event)
        for stream in self._streams.values():
            stream.end(Ending.STOPPED)
        await self._tasks.__aexit__(None, None, None)
        self._tasks = None
        await self._flows.aclose()

    # For the dialplan

    def activity(self, order: StreamOrder) -> StartActivity:
        """What a call is for whose backend is at the order's URL."""

        def start(call: Call) -> Activity:
            if call in self._given_up:
                self._given_up.discard(call)
                return self._fall_back(order.fallback)(call)
            if protocol_kind(order.protocol).is_text:
                return self._relay(call, order)
            return self._attend(call, self._ringing_of(call) or self._launch(call, order))

        return start

    def before_answer(self, order: StreamOrder, timeout_s: float) -> BeforeAnswer:
        """Lets the backend answer or reject an inbound call while it rings."""

        async def decide(call: Call) -> None:
            stream = self._launch(call, order)
            await asyncio.wait((stream.verdict, stream.ending), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            match stream.verdict.result() if stream.verdict.done() else None:
                case Answer():
                    return
                case Reject(code):
                    stream.end(Ending.STOPPED)
                    raise CallRejected(code)
            if order.fallback.kind == "hangup":
                is_away = stream.ending.done() and stream.ending.result() is Ending.UNREACHABLE
                stream.end(Ending.STOPPED)
                raise CallRejected(_SERVICE_UNAVAILABLE if is_away else _TEMPORARILY_UNAVAILABLE)
            stream.end(Ending.UNREACHABLE)
            self._given_up.add(call)

        return decide

    def flow(self, url: str) -> StartActivity:
        """What a call is for whose flow URL says so."""

        async def stream(order: StreamOrder) -> StartActivity:
            await self.check(order)
            return self.activity(order)

        return lambda call: FlowActivity(call, url, self._flows, self._find, stream)

    # For the API

    async def check_flow(self, url: str) -> None:
        """Whether it can be asked. Raises `UrlRefused`."""
        with contextlib.suppress(UrlUnreachable):  # it may have an address when it is needed
            await self._guard.check(url, FLOW_URL)

    async def check(self, order: StreamOrder) -> None:
        """Whether there can be such a stream. Raises `BadStreamOrder`, `UrlRefused`."""
        kind = protocol_kind(order.protocol)
        if order.format not in (kind.formats or (order.format,)):
            raise BadStreamOrder(f"protocol {order.protocol} does not carry {order.format.encoding}")
        check_options(order.protocol, order.options)
        if (agent := order.options.get("agent")) is not None and agent not in self._agents:
            raise BadStreamOrder(f"the agent {agent!r} is not configured")
        if kind.is_text and order.direction != "bidirectional":
            raise BadStreamOrder(f"a stream of protocol {order.protocol} is bidirectional")
        if order.fallback.kind == "agent" and (order.fallback.name or self._default_agent) not in self._agents:
            raise BadStreamOrder(f"the fallback's agent {order.fallback.name!r} is not configured")
        scheme = order.url.partition(":")[0]
        if not scheme and "ws" in kind.schemes and "" in self._connectors:
            return
        if scheme not in kind.schemes:
            raise BadStreamOrder(f"protocol {order.protocol} needs a stream_url of {' or '.join(kind.schemes)}")
        if scheme not in self._connectors:
            raise BadStreamOrder(f"there are no connections by {scheme}")
        with contextlib.suppress(UrlUnreachable):  # it may have an address when it is needed
            await self._guard.check(order.url, STREAM_URL)

    async def start(self, call: Call, order: StreamOrder, connector: Connector | None = None) -> StreamInfo:
        """See `StreamControl.start`."""
        await self.check(order)
        if call.facts.answered_at is None or call.facts.ended_at is not None:
            raise WrongCallState("the call is not active")
        if len(self.of_call(call.call_id)) >= MAX_STREAMS_OF_A_CALL:
            raise WrongCallState(f"the call has {MAX_STREAMS_OF_A_CALL} streams already")
        if not order.talks:
            stream = self._launch(call, order, connector)
            self._fork(call, stream)
            return stream.info
        before = call.attendance.attending
        if protocol_kind(order.protocol).is_text:
            return self._hand_to_relay(call, order, connector, before if order.on_end == "return" else None)
        stream = self._launch(call, order, connector)
        try:
            then = before if order.on_end == "return" else None
            call.attendance.hand_over(lambda call: self._attend(call, stream, then))
        except WrongCallState:
            stream.end(Ending.STOPPED)
            raise
        return stream.info

    async def stop(self, stream_id: str) -> StreamInfo:
        """See `StreamControl.stop`."""
        stream = self._streams.get(stream_id) or self._relays.get(stream_id)
        if stream is None:
            raise NoSuchStream(stream_id)
        stream.end(Ending.STOPPED)
        return stream.info.model_copy(update={"state": "ended"})

    def of_call(self, call_id: str) -> Sequence[StreamInfo]:
        """See `StreamControl.of_call`."""
        streams: list[Stream | RelayActivity] = [*self._streams.values(), *self._relays.values()]
        return [stream.info for stream in streams if stream.call.call_id == call_id and not stream.ending.done()]

    # Streams

    def _ringing_of(self, call: Call) -> Stream | None:
        """The stream that was begun while the call rang."""
        mine = (stream for stream in self._streams.values() if stream.call is call and stream.order.talks)
        stream = next(mine, None)
        if stream is not None:
            stream.session.answered()
            stream.session.tell(CallAnswered())
        return stream

    def _launch(self, call: Call, order: StreamOrder, connector: Connector | None = None) -> Stream:
        assert self._tasks is not None
        kind = protocol_kind(order.protocol)
        order = self._filled_in(order)
        stream = Stream(
            _new_id(),
            call,
            order,
            connector or self._connectors[order.url.partition(":")[0]],
            lambda: kind.make(order),
            self._limits,
            self._sound,
            self._metrics,
            self._ask,
            raw_audio=kind.raw_audio,
        )
        self._streams[stream.stream_id] = stream
        self._tasks.create_task(self._live(stream), name=f"{call.call_id}:{stream.stream_id}")
        return stream

    async def _live(self, stream: Stream) -> None:
        over = asyncio.ensure_future(stream.call.until_over())
        over.add_done_callback(lambda _: stream.end(Ending.CALL_ENDED))
        try:
            await stream.run()
        except Exception:
            # A fault of ours on one stream must not end the others, which share this task group.
            log.exception("stream_fault", call_id=stream.call.call_id, stream_id=stream.stream_id)
            stream.end(Ending.UNREACHABLE)
        finally:
            over.cancel()
            self._streams.pop(stream.stream_id, None)

    def _fork(self, call: Call, stream: Stream) -> None:
        """Let it hear the call until it ends."""
        tracks = stream.order.tracks
        if "inbound" in tracks:
            call.audience.add(stream.receive_frames)
        if "outbound" in tracks:
            call.leg.tap_sent(stream.receive_sent)

        def deafen(_: "asyncio.Future[Ending]") -> None:
            call.audience.remove(stream.receive_frames)
            if call.audio is not None:
                call.audio.untap_sent(stream.receive_sent)

        stream.ending.add_done_callback(deafen)

    def _hand_to_relay(
        self, call: Call, order: StreamOrder, connector: Connector | None, before: StartActivity | None
    ) -> StreamInfo:
        stream_id = _new_id()
        call.attendance.hand_over(lambda call: self._relay(call, order, connector, before, stream_id))
        return relay_info(call, order, stream_id, "connecting")

    def _relay(
        self,
        call: Call,
        order: StreamOrder,
        connector: Connector | None = None,
        before: StartActivity | None = None,
        stream_id: str = "",
    ) -> RelayActivity:
        def after(ending: Ending) -> bool:
            start = self._successor(order, ending, before)
            if start is not None:
                call.attendance.follow_with(start)
            return start is not None

        return RelayActivity(
            call,
            self._filled_in(order),
            connector or self._connectors[order.url.partition(":")[0]],
            lambda llm, follow: self._agents.converse(order.options.get("agent"), call, llm, follow),
            self._find,
            after,
            stream_id or _new_id(),
            self._relays,
            self._agents.for_streams(order.options.get("agent")),
        )

    def _filled_in(self, order: StreamOrder) -> StreamOrder:
        if "account_sid" not in protocol_kind(order.protocol).options:
            return order
        return replace(order, options={"account_sid": self._account_sid, **order.options})

    async def _find(self, url: str) -> Prompt:
        if self.find is None:
            raise BadPrompt("nothing can be played here")
        return await self.find(url)

    def _attend(self, call: Call, stream: Stream, before: StartActivity | None = None) -> StreamActivity:
        def after(ending: Ending) -> bool:
            start = self._successor(stream.order, ending, before)
            if start is not None:
                call.attendance.follow_with(start)
            return start is not None

        return StreamActivity(call, stream, stream.order.on_end, after)

    def _successor(self, order: StreamOrder, ending: Ending, before: StartActivity | None) -> StartActivity | None:
        if ending is Ending.UNREACHABLE and order.fallback.kind != "hangup":
            return self._fall_back(order.fallback)
        return before if ending in (Ending.STOPPED, Ending.BACKEND_CLOSED, Ending.UNREACHABLE) else None

    def _fall_back(self, fallback: Fallback) -> StartActivity:
        if fallback.kind == "agent":
            name = fallback.name or self._default_agent
            return lambda call: self._agents.start(name, call)
        samples, rate_hz = self._files[fallback.name]
        return lambda call: Play(call.leg, samples, rate_hz)

    # What backends want

    def _ask(self, stream: Stream, request: CallRequest) -> None:
        assert self._tasks is not None
        if not stream.order.talks:
            stream.session.refuse("not allowed", "this stream only listens")
        elif stream.call.facts.answered_at is None:
            self._ask_ringing(stream, request)
        else:
            name = f"{stream.call.call_id}:{type(request).__name__}"
            if stream.pending_requests >= MAX_PENDING_REQUESTS:
                stream.session.refuse("not now", f"{MAX_PENDING_REQUESTS} requests are being carried out")
                return
            stream.pending_requests += 1
            self._tasks.create_task(self._do(stream, request), name=name)

    def _ask_ringing(self, stream: Stream, request: CallRequest) -> None:
        match request:
            case Answer() | Reject() if not stream.verdict.done():
                stream.verdict.set_result(request)
            case HangUp() if not stream.verdict.done():
                stream.verdict.set_result(Reject(_DECLINED))
            case _:
                stream.session.refuse("not now", "the call is not answered yet")

    async def _do(self, stream: Stream, request: CallRequest) -> None:
        call = stream.call
        try:
            match request:
                case HangUp():
                    stream.end(Ending.BACKEND_HUNG_UP)
                case SendKeys(digits):
                    await call.keypad.dial(call.leg, digits)
                case Mute(muted):
                    call.mute(muted)
                case Record(state):
                    await call.record(state)
                case Transfer():
                    if self.transfer is None:
                        raise WrongCallState("calls cannot be transferred here")
                    await self.transfer(call, request)
                case Answer() | Reject():
                    raise WrongCallState("the call is answered already")
                case _:
                    assert_never(request)
        except (CallError, MediaError) as fault:
            stream.session.refuse("not possible", str(fault))
        except Exception:
            # As in `_live`: the task group is everybody's.
            log.exception("stream_request_fault", call_id=call.call_id, stream_id=stream.stream_id)
        finally:
            stream.pending_requests -= 1

    def _receive_event(self, event: Event) -> None:
        if event.kind == "call.transfer":
            for stream in self._streams.values():
                if stream.call.call_id == event.call_id:
                    stream.session.tell(TransferProgress(str(event.data.get("status", ""))))


def _new_id() -> str:
    return f"str_{secrets.token_hex(10)}"
