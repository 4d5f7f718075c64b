# SPDX-License-Identifier: GPL-3.0-or-later
"""One live call in the hands of a backend, over `parley.v1`.

connection > pump > inbox (bounded) > `async for`
                 └> whoever waits for a mark, a clear, room in the gateway's queue
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Literal, TypeVar

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from gateway.client.errors import StreamEnded
from gateway.streams.parley_messages import (
    AnsweredMessage,
    AnswerOrder,
    AudioFormat,
    BackendOrder,
    ClearedMessage,
    ClearOrder,
    DtmfMessage,
    DtmfOrder,
    ErrorMessage,
    HangupOrder,
    MarkMessage,
    MarkOrder,
    MuteOrder,
    PauseOrder,
    RecordOrder,
    RejectOrder,
    ResumeOrder,
    SpeechMessage,
    StartMessage,
    StopMessage,
    TransferMessage,
    TransferOrder,
    XoffMessage,
    XonMessage,
    read_gateway_message,
)

log = logging.getLogger(__name__)
Result = TypeVar("Result")

StreamItem = bytes | AnsweredMessage | DtmfMessage | SpeechMessage | TransferMessage | ErrorMessage
"""What a call has to say: audio in its format, or an event."""
MarkState = Literal["played", "cleared"]

_MAX_AUDIO = 500
"""Messages; ten seconds of 20 ms ones. More: the oldest is dropped, and counted."""
_MAX_EVENTS = 1000
"""More: the oldest is dropped, and counted."""
_PIECE_BYTES = 16_000
"""How much audio goes out before we look again whether there is room; even, so that no sample is split."""
_AHEAD_S = 20.0
"""How far we send ahead of the caller's ear, also before the gateway has had time to say xoff."""
_BYTES_PER_SAMPLE = {"l16": 2.0, "pcmu": 1.0, "pcma": 1.0, "g722": 0.5}
CONNECTION_LOST = "connection lost"


class Inbox:
    """What came and was not yet taken, in order. Audio that nobody takes makes way for newer; events wait."""

    def __init__(self) -> None:
        self._items: deque[StreamItem] = deque()
        self._audio = 0
        self._arrived = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, item: StreamItem) -> None:
        is_audio = isinstance(item, bytes)
        self._items.append(item)
        self._audio += is_audio
        if self._audio > _MAX_AUDIO or len(self._items) - self._audio > _MAX_EVENTS:
            self._drop_oldest(is_audio)
        self._arrived.set()

    def close(self) -> None:
        """Nothing more comes; what is there can still be taken."""
        self._closed = True
        self._arrived.set()

    async def take(self) -> StreamItem | None:
        """The oldest; None after the last."""
        while not self._items:
            if self._closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        item = self._items.popleft()
        self._audio -= isinstance(item, bytes)
        return item

    def _drop_oldest(self, audio: bool) -> None:
        for index, item in enumerate(self._items):
            if isinstance(item, bytes) is audio:
                del self._items[index]
                self._audio -= audio
                self.dropped += 1
                return


class StreamCall:
    """A call. Iterate over it for what comes (`bytes` are audio); the iteration ends with the stream.

    Every method raises `StreamEnded` once the stream is over.
    """

    def __init__(self, connection: Connection, start: StartMessage) -> None:
        self.start = start
        """Who calls whom, what was attached to the call, whether this is a reconnection."""
        self.stop_reason: str | None = None
        """Why the stream ended; None while it runs."""
        self.ended = asyncio.Event()
        """Set when the stream is over."""
        self._connection = connection
        self._inbox = Inbox()
        self._drained_at = 0.0
        """When the gateway will have played what we sent, if nothing stops it; monotonic seconds."""
        self._room = asyncio.Event()
        self._room.set()
        self._answered = asyncio.Event()
        if start.answered:
            self._answered.set()
        self._marks: dict[str, deque[asyncio.Future[MarkState]]] = {}
        self._clears: deque[asyncio.Future[ClearedMessage]] = deque()
        self._names = (f"mark-{number}" for number in itertools.count(1))

    @property
    def call_id(self) -> str:
        return self.start.call_id

    @property
    def format(self) -> AudioFormat:
        """Of the audio both ways."""
        return self.start.format

    @property
    def dropped(self) -> int:
        """How many messages came faster than they were taken."""
        return self._inbox.dropped

    async def __aiter__(self) -> AsyncIterator[StreamItem]:
        while (item := await self._inbox.take()) is not None:
            yield item

    async def play(self, audio: bytes) -> None:
        """Queue audio of any length at the gateway, in the stream's format; waits while its queue is full."""
        if self.format.encoding == "opus":
            await self._play_piece(audio)  # a message is a packet
            return
        for begin in range(0, len(audio), _PIECE_BYTES):
            await self._play_piece(audio[begin : begin + _PIECE_BYTES])

    async def mark(self, name: str | None = None) -> MarkState:
        """Wait until everything queued so far was heard (`played`) or thrown away (`cleared`)."""
        name = next(self._names) if name is None else name
        reached: asyncio.Future[MarkState] = asyncio.get_running_loop().create_future()
        self._marks.setdefault(name, deque()).append(reached)
        await self._order(MarkOrder(name=name))
        return await reached

    async def clear(self) -> ClearedMessage:
        """Fall silent at once, and forget what is queued. The answer says how much of it was heard."""
        cleared: asyncio.Future[ClearedMessage] = asyncio.get_running_loop().create_future()
        self._clears.append(cleared)
        await self._order(ClearOrder())
        return await cleared

    async def pause(self) -> None:
        """Fall silent, and keep what is queued."""
        await self._order(PauseOrder())

    async def resume(self) -> None:
        """Go on after `pause`."""
        await self._order(ResumeOrder())

    async def dtmf(self, digits: str) -> None:
        """Press keys at the far end; a comma waits 2 s, a w half a second."""
        await self._order(DtmfOrder(digits=digits))

    async def mute(self, muted: bool = True) -> None:
        """Send the caller silence in place of our audio, or end that."""
        await self._order(MuteOrder(muted=muted))

    async def record(self, state: Literal["start", "pause", "resume", "stop"]) -> None:
        """Govern the recording of the call."""
        await self._order(RecordOrder(state=state))

    async def transfer(self, to: str, mode: Literal["blind", "attended"] = "blind") -> None:
        """Send the caller elsewhere; `TransferMessage`s tell how it goes."""
        await self._order(TransferOrder(to=to, mode=mode))

    async def hangup(self) -> None:
        """End the call."""
        await self._order(HangupOrder())

    async def answer(self) -> None:
        """Answer a call that rings (`start.answered` is false); returns when it is answered."""
        await self._order(AnswerOrder())
        await self._answered.wait()
        self._raise_if_over()

    async def reject(self, code: int = 603) -> None:
        """Refuse a call that rings, with a SIP status."""
        await self._order(RejectOrder(code=code))

    async def pump(self) -> None:
        """Take everything the gateway says, until the connection ends. Run by whoever made this object."""
        try:
            async for message in self._connection:
                if isinstance(message, bytes):
                    self._inbox.put(message)
                else:
                    self._receive(message)
                    if self.stop_reason is not None:
                        return
        except ConnectionClosed:
            pass  # without a proper end: so the stream has ended, whatever the reason
        finally:
            self._end()

    async def _play_piece(self, audio: bytes) -> None:
        await self._room.wait()
        now = time.monotonic()
        if self._drained_at - now > _AHEAD_S:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), self._drained_at - now - _AHEAD_S)
        await self._send(audio)
        self._drained_at = max(now, self._drained_at) + self._duration_s(audio)

    def _duration_s(self, audio: bytes) -> float:
        per_sample = _BYTES_PER_SAMPLE.get(self.format.encoding)
        return 0.02 if per_sample is None else len(audio) / per_sample / self.format.sample_rate

    def _receive(self, text: str) -> None:
        try:
            message = read_gateway_message(text)
        except ValueError as error:
            # A later version of the protocol may say more than we know.
            log.debug("message not understood: %s", error)
            return
        match message:
            case MarkMessage():
                waiting = self._marks.get(message.name)
                if waiting:
                    _settle(waiting.popleft(), message.state)
                if not waiting:
                    self._marks.pop(message.name, None)
            case ClearedMessage():
                self._drained_at = 0.0
                if self._clears:
                    _settle(self._clears.popleft(), message)
            case XoffMessage():
                self._room.clear()
            case XonMessage():
                self._room.set()
            case StopMessage():
                self.stop_reason = message.reason
            case StartMessage():
                log.debug("a second start was ignored")
            case _:
                if isinstance(message, AnsweredMessage):
                    self._answered.set()
                self._inbox.put(message)

    def _end(self) -> None:
        self.stop_reason = self.stop_reason or CONNECTION_LOST
        self.ended.set()
        self._inbox.close()
        over = StreamEnded(self.stop_reason)
        waiting: list[asyncio.Future[MarkState] | asyncio.Future[ClearedMessage]] = [*self._clears]
        for marks in self._marks.values():
            waiting.extend(marks)
        for future in waiting:
            if not future.done():
                future.set_exception(over)
                future.exception()  # whoever gave up waiting is not told again by asyncio
        self._room.set()
        self._answered.set()

    async def _order(self, order: BackendOrder) -> None:
        await self._send(order.model_dump_json(exclude_none=True))

    async def _send(self, message: str | bytes) -> None:
        self._raise_if_over()
        try:
            await self._connection.send(message)
        except ConnectionClosed:
            raise StreamEnded(self.stop_reason or CONNECTION_LOST) from None

    def _raise_if_over(self) -> None:
        if self.stop_reason is not None:
            raise StreamEnded(self.stop_reason)


def _settle(future: "asyncio.Future[Result]", result: Result) -> None:
    if not future.done():  # whoever waited may have given up
        future.set_result(result)
