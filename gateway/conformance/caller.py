# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a backend, as a gateway would make it, over a real socket."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.conformance.line import Line, bytes_per_ms
from gateway.signing import SigningSecret, signature_headers
from gateway.streams.messages import Audio, Malformed, StreamEvent, StreamFormat, StreamStarted, StreamStopped
from gateway.streams.parley import ParleyProtocol

_TICK_S = 0.02
_OPEN_WAIT_S = 5.0
_CLOSE_WAIT_S = 5.0
_MAX_MESSAGE_BYTES = 1 << 24
_XOFF_MS, _XON_MS = 40_000, 20_000


@dataclass(frozen=True, slots=True)
class Target:
    """The backend, and what to come to it with."""

    url: str
    format: StreamFormat = field(default_factory=StreamFormat)
    secrets: tuple[SigningSecret, ...] = ()
    bearer: str | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """In what way this connection differs from a usual one."""

    call_id: str = "call_conformance"
    stream_id: str = "stream_conformance"
    answered: bool = True
    reconnected: bool = False
    xoff_ms: int = _XOFF_MS
    xon_ms: int = _XON_MS
    headers: dict[str, str] = field(default_factory=dict)
    """In place of the right signature."""


class Caller:
    """Says `start`, then what it is told to say; plays what comes on a simulated line."""

    def __init__(self, connection: ClientConnection, target: Target, circumstances: Circumstances) -> None:
        self.connection = connection
        self.line = Line(
            target.format,
            time.monotonic(),
            answered=circumstances.answered,
            xoff_ms=circumstances.xoff_ms,
            xon_ms=circumstances.xon_ms,
        )
        self.malformed: list[str] = []
        """What was wrong with text messages of the backend."""
        self.texts = 0
        self.audio_at: list[float] = []
        """When audio came, monotonic seconds."""
        self.is_open = True
        self.has_stopped = False
        """We have said that the stream is over."""
        self.stalled = False
        """The line plays nothing, as a far end on hold would not."""
        self._format = target.format
        self._protocol = ParleyProtocol()
        self._position_ms = 0

    async def tell(self, *events: StreamEvent) -> None:
        """Say it in the protocol's words."""
        for event in events:
            self.has_stopped = self.has_stopped or isinstance(event, StreamStopped)
            for message in self._protocol.tell(event):
                await self.send(message)

    async def send(self, message: str | bytes) -> None:
        """Say it as it is; nothing happens when the backend has gone."""
        with contextlib.suppress(ConnectionClosed):
            await self.connection.send(message)

    async def speak(self, duration_ms: int, *, chunk_ms: int = 20, aloud: bool = True) -> None:
        """The caller's voice in real time; `aloud` is a vowel, otherwise silence."""
        began = time.monotonic()
        for sent_ms in range(0, duration_ms, chunk_ms):
            if not self.is_open:
                return
            await self.send(self._vowel(chunk_ms) if aloud else self._silence(chunk_ms))
            self._position_ms += chunk_ms
            await asyncio.sleep(max(0.0, began + (sent_ms + chunk_ms) / 1000 - time.monotonic()))

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for the backend; whether it came to that."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_TICK_S)
        return True

    def drop(self) -> None:
        """Break the connection, without a word."""
        self.connection.transport.abort()

    async def run(self) -> None:
        """Read and play until the connection ends."""
        async with asyncio.TaskGroup() as tasks:
            clock = tasks.create_task(self._play(), name="line")
            try:
                async for message in self.connection:
                    await self._receive(message)
            except ConnectionClosed:
                pass
            finally:
                self.is_open = False
                clock.cancel()

    async def _receive(self, message: str | bytes) -> None:
        self.texts += isinstance(message, str)
        now = time.monotonic()
        for word in self._protocol.receive(message):
            if isinstance(word, Malformed):
                self.malformed.append(word.detail)
            elif isinstance(word, Audio):
                self.audio_at.append(now)
            await self.tell(*self.line.receive(word, self._line_time(now)))

    async def _play(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await self.tell(*self.line.handle_timeout(self._line_time(time.monotonic())))

    def _line_time(self, now: float) -> float:
        """The line's own clock, which stands still while it is stalled."""
        if self.stalled:
            return self.line.now
        return now

    def _vowel(self, chunk_ms: int) -> bytes:
        """120 Hz with harmonics and a syllable's rise and fall, -15 dBov: loud enough for any voice detector."""
        rate = self._format.sample_rate_hz
        begin = self._position_ms * rate // 1000
        t = (begin + np.arange(chunk_ms * rate // 1000)) / rate
        wave = sum(np.sin(2 * math.pi * 120 * n * t) / n for n in range(1, 12))
        envelope = 0.55 - 0.45 * np.cos(2 * math.pi * 4 * t)
        samples = (6000 * envelope * wave).astype("<i2")
        return samples.tobytes() if self._format.encoding == "l16" else self._silence(chunk_ms)

    def _silence(self, chunk_ms: int) -> bytes:
        quiet = {"pcmu": b"\xff", "pcma": b"\xd5"}.get(self._format.encoding, b"\0")
        return quiet * round(chunk_ms * bytes_per_ms(self._format))


@contextlib.asynccontextmanager
async def calling(target: Target, circumstances: Circumstances | None = None) -> AsyncIterator[Caller]:
    """A connection whose `start` has been said; stopped and closed afterwards. Raises what `connect` raises."""
    chosen = circumstances or Circumstances()
    headers = chosen.headers or signature_headers(target.secrets, chosen.call_id, target.url.encode(), time.time())
    if target.bearer is not None:
        headers = {**headers, "Authorization": f"Bearer {target.bearer}"}
    connection = await connect(
        target.url,
        subprotocols=[Subprotocol("parley.v1")],
        additional_headers=headers,
        compression=None,
        max_size=_MAX_MESSAGE_BYTES,
        open_timeout=_OPEN_WAIT_S,
        close_timeout=_CLOSE_WAIT_S,
    )
    caller = Caller(connection, target, chosen)
    # No TaskGroup: it would wrap what the checks raise.
    running = asyncio.create_task(caller.run(), name="backend")
    try:
        await caller.tell(
            StreamStarted(
                call_id=chosen.call_id,
                stream_id=chosen.stream_id,
                from_="sip:caller@192.0.2.1",
                to="sip:backend@192.0.2.2",
                call_direction="inbound",
                stream_direction="bidirectional",
                tracks=("inbound",),
                format=target.format,
                metadata={"purpose": "conformance"},
                answered=chosen.answered,
                reconnected=chosen.reconnected,
            )
        )
        yield caller
    finally:
        if not caller.has_stopped:
            await caller.tell(StreamStopped("caller_hangup"))
        await connection.close()
        await running
