# SPDX-License-Identifier: GPL-3.0-or-later
"""A text backend on a call (`conversationrelay`): an agent's ears and mouth, and a connection in place of its mind."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from agent.events import AgentEvent, TurnCommitted
from agent.services.llm import LanguageModel
from gateway.api.control import ActivityKind
from gateway.calls.agent import AgentActivity
from gateway.calls.call import Call
from gateway.calls.prompts import Prompt
from gateway.calls.uplink import LineReport
from gateway.errors import CallError, UrlError
from gateway.rates import TokenBucket
from gateway.streams.activity import END_REASONS
from gateway.streams.backoff import Backoff
from gateway.streams.connection import (
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    ConnectFailed,
    Connection,
    Connector,
    Disconnected,
)
from gateway.streams.control import StreamInfo, StreamState
from gateway.streams.conversationrelay import EndSession, Interruptible, PlayMedia, error, setup
from gateway.streams.messages import SendKeys, StreamStarted, WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.outbox import MAX_CONTROL_MESSAGES
from gateway.streams.relay import RelayConversation, RelayOrder
from gateway.streams.session import MESSAGE_RATE
from gateway.streams.stream import Ending
from gateway.streams.twilio import ACCOUNT_SID
from media.errors import MediaError
from media.frames import PcmFrame
from media.playout import PlayoutEvent

log = structlog.get_logger(__name__)

_CONNECT_S = 10.0
"""How long the connection may take, attempts included; the caller waits meanwhile."""
_MOST_ORDERS = 64
"""That wait for the one before them; one more is refused with an error."""

MakeAgent = Callable[[LanguageModel, Callable[[AgentEvent], None]], AgentActivity]
"""An agent with this mind; the other is told its session's events."""
Find = Callable[[str], Awaitable[Prompt]]
"""The recording behind a URL. Raises `BadPrompt`, `UrlError`."""


class RelayActivity:
    """A `Receiver` and the call's activity. The backend is not connected again: it has the conversation in its memory,
    and a new connection would be a new conversation."""

    kind: ActivityKind = "stream"
    hears_keys = True

    def __init__(
        self,
        call: Call,
        order: StreamOrder,
        connector: Connector,
        make_agent: MakeAgent,
        find: Find,
        successor: Callable[[Ending], bool],
        stream_id: str,
        running: "dict[str, RelayActivity]",
        redact: Callable[[str], str] = lambda text: text,
    ) -> None:
        """`successor` gives the call to whoever has it after this ending; False: nobody. In `running` it is found by
        its id while it runs, and not when it is cancelled before. `redact`: what the backend may read of what is
        said."""
        self.call = call
        self.order = order
        self.stream_id = stream_id
        self.state: StreamState = "connecting"
        self.ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        """Done when the conversation is to end."""
        self._connector = connector
        self._find = find
        self._successor = successor
        self._running = running
        self._connection: Connection | None = None
        self._conversation = RelayConversation(
            self._send, partial_prompts=order.options.get("partial_prompts") == "true", redact=redact
        )
        self._agent = make_agent(self._conversation, self._follow)
        self._conversation.attach(self._agent.session)
        self._clip: asyncio.Future[None] | None = None
        """The recording that is being played."""
        self._clip_interruptible: Interruptible = "any"
        self._orders: deque[RelayOrder] = deque()
        """At most `_MOST_ORDERS`."""
        self._news = asyncio.Event()
        self._handoff_data = ""
        self._bucket = TokenBucket(MESSAGE_RATE, asyncio.get_running_loop().time())
        self._is_congested = False
        self._unread_messages = 0
        """Of ours, since it reads too slowly."""
        self._log = log.bind(call_id=call.call_id, stream_id=stream_id)

    # The call's side

    @property
    def line(self) -> LineReport:
        return self._agent.line

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        self._agent.receive_frames(frames)

    def receive_playout(self, event: PlayoutEvent) -> None:
        self._agent.receive_playout(event)

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        self._conversation.receive_digit("*" if secret else digit)
        self._maybe_stop_clip("dtmf")

    def audio_changed(self) -> None:
        self._agent.audio_changed()

    @property
    def info(self) -> StreamInfo:
        """The stream as it is now."""
        return relay_info(self.call, self.order, self.stream_id, self.state)

    def _follow(self, event: AgentEvent) -> None:
        self._conversation.follow(event)
        if isinstance(event, TurnCommitted):
            self._maybe_stop_clip("speech")

    def _maybe_stop_clip(self, by: Interruptible) -> None:
        if self._clip is not None and self._clip_interruptible in (by, "any"):
            self._clip.cancel()

    def end(self, ending: Ending) -> None:
        """Let it end; the first reason counts."""
        if not self.ending.done():
            self.ending.set_result(ending)

    async def run(self) -> str:
        """Connect, and converse until either side ends it. Cancelled when the call ends first."""
        self._running[self.stream_id] = self
        try:
            if await self._connect():
                reason = await self._converse()
            else:
                self.end(Ending.UNREACHABLE)
                reason = END_REASONS[Ending.UNREACHABLE]
            if self.ending.done():
                self._successor(self.ending.result())
            return reason
        finally:
            self._running.pop(self.stream_id, None)
            self._close()

    async def _converse(self) -> str:
        """The agent's own reason when it is the agent that ends it (`service_failure`)."""
        async with asyncio.TaskGroup() as tasks:
            session = tasks.create_task(self._agent.run(), name=f"{self.call.call_id}:relay")
            orders = tasks.create_task(self._carry_out(), name=f"{self.call.call_id}:relay-orders")
            await asyncio.wait((session, self.ending), return_when=asyncio.FIRST_COMPLETED)
            orders.cancel()
            session.cancel()
        return END_REASONS[self.ending.result()] if self.ending.done() else session.result()

    # The connection's side

    def receive(self, message: WireMessage) -> None:
        if self._bucket.take(asyncio.get_running_loop().time()) > 0:
            self._log.warning("stream_abused", cause="too many messages")
            if self._connection is not None:
                self._connection.close(POLICY_VIOLATION, "too many messages")
            self.end(Ending.BACKEND_CLOSED)
            return
        for order in self._conversation.receive(message):
            if isinstance(order, EndSession):
                self._handoff_data = order.handoff_data
                self.end(Ending.BACKEND_CLOSED)
            elif len(self._orders) < _MOST_ORDERS:
                self._orders.append(order)
                self._news.set()
            else:
                self._send(error("Too many orders are waiting"))

    def congested(self, is_congested: bool) -> None:
        """It reads too slowly; the little text we send waits for it, until that is too much."""
        self._is_congested, self._unread_messages = is_congested, 0

    def disconnected(self, how: Disconnected) -> None:
        self._connection = None
        if not how.is_normal:
            self._log.warning("stream_lost", code=how.code)
            self.call.publish("stream.disconnected", stream_id=self.stream_id, code=how.code)
        self.end(Ending.BACKEND_CLOSED if how.is_normal else Ending.UNREACHABLE)

    def _send(self, text: str) -> None:
        if self._connection is None:
            return
        if self._is_congested:
            self._unread_messages += 1
            if self._unread_messages > MAX_CONTROL_MESSAGES:
                self._connection.abort()
                return
        self._connection.write(text)

    async def _connect(self) -> bool:
        now = asyncio.get_running_loop().time
        backoff = Backoff(_CONNECT_S, now())
        while (at := backoff.next_attempt(now())) is not None:
            await asyncio.sleep(max(0.0, at - now()))
            try:
                async with asyncio.timeout(max(0.01, backoff.deadline - now())):
                    connection = await self._connector.connect(self.call.call_id, self.order, None, self)
            except (ConnectFailed, TimeoutError) as failure:
                self._log.info("stream_not_connected", cause=str(failure))
                if isinstance(failure, ConnectFailed) and failure.is_final:
                    break
                continue
            self._connection, self.state = connection, "connected"
            self._send(setup(self._started(), self.order.options.get("account_sid", ACCOUNT_SID)))
            self._log.info("stream_connected", again=False)
            self.call.publish("stream.connected", stream_id=self.stream_id, reconnected=False)
            return True
        return False

    def _started(self) -> StreamStarted:
        facts, order = self.call.facts, self.order
        return StreamStarted(
            call_id=facts.call_id,
            stream_id=self.stream_id,
            from_=facts.from_,
            to=facts.to,
            call_direction=facts.direction,
            stream_direction="bidirectional",
            tracks=(),
            format=order.format,
            metadata=order.metadata,
        )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self.state = "ended"
        if connection is not None:
            connection.close(NORMAL_CLOSURE)
        self.end(Ending.CALL_ENDED)
        ending = self.ending.result()
        self._log.info("stream_ended", cause=ending.value)
        self.call.publish(
            "stream.stopped", stream_id=self.stream_id, reason=ending.value, handoff_data=self._handoff_data
        )

    # What the backend wants of the call

    async def _carry_out(self) -> None:
        """One order after the other."""
        while True:
            while not self._orders:
                self._news.clear()
                await self._news.wait()
            order = self._orders.popleft()
            try:
                await self._do(order)
            except (CallError, UrlError, MediaError) as fault:
                self._send(error(f"{type(fault).__name__}: {fault}"))

    async def _do(self, order: RelayOrder) -> None:
        match order:
            case SendKeys(digits):
                await self.call.keypad.dial(self.call.leg, digits)
            case PlayMedia(source, loop, interruptible):
                prompt = await self._find(source)
                await self._conversation.until_quiet()
                await self._play(prompt, loop, interruptible or "any")
            case EndSession():
                raise AssertionError("an end is not carried out, it ends")

    async def _play(self, prompt: Prompt, loop: int, interruptible: Interruptible) -> None:
        """To its end, or until the caller's words or keys end it."""
        self._clip_interruptible = interruptible
        self._clip = asyncio.ensure_future(self.call.announcements.play_to_its_end(prompt, loop=loop, gain=1.0))
        try:
            await asyncio.wait((self._clip,))
        finally:
            self._clip.cancel()
            self._clip = None


def relay_info(call: Call, order: StreamOrder, stream_id: str, state: StreamState) -> StreamInfo:
    """The stream as the API shows it."""
    return StreamInfo(
        stream_id=stream_id,
        call_id=call.call_id,
        stream_url=order.url,
        protocol=order.protocol,
        codec=order.format.encoding,
        sample_rate=order.format.sample_rate_hz,
        direction=order.direction,
        tracks=[],
        state=state,
        metadata=dict(order.metadata),
    )
