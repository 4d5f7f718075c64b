# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell of a stream over several connections, in virtual time: its timers, and what it leaves on the leg."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.streams.comfort import noise
from gateway.streams.connection import Connection, Disconnected, Receiver
from gateway.streams.messages import WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.parley import ParleyProtocol
from gateway.streams.stream import Ending, Stream, StreamLimits
from tests.fakes.line import FRAME_S, FakeLine
from tests.fakes.virtual_time import in_virtual_time


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop's, as it is on every loop that is used for calls."""
    clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr("gateway.streams.stream.time", clock)


class Wire:
    """A connection to a backend that is the test."""

    def __init__(self) -> None:
        self.is_aborted = False

    def write(self, message: WireMessage) -> None: ...

    def close(self, code: int = 1000, reason: str = "") -> None: ...

    def abort(self) -> None:
        self.is_aborted = True


class Wires:
    """Opens one connection after the other."""

    def __init__(self) -> None:
        self.opened: list[Wire] = []

    async def connect(
        self, call_id: str, order: StreamOrder, subprotocol: str | None, receiver: Receiver
    ) -> Connection:
        self.opened.append(Wire())
        return self.opened[-1]


class LineCall:
    """As much of a `Call` as a stream needs."""

    def __init__(self) -> None:
        self.facts = CallFacts("call_1", "inbound", "+15550100", "+15550101", answered_at=1.0)
        self.call_id = self.facts.call_id
        self.leg = FakeLine()

    def publish(self, kind: str, **data: object) -> None: ...


class Uncounted:
    """Metrics that nobody looks at."""

    def stream_began(self, protocol: str) -> None: ...
    def stream_ended(self, protocol: str, end: str) -> None: ...
    def stream_disconnected(self, protocol: str) -> None: ...
    def stream_counted(self, dropped_messages: int, refused_ms: float, gaps: int, faults: int) -> None: ...


@asynccontextmanager
async def streaming(wires: Wires, call: LineCall) -> AsyncIterator[tuple[Stream, "asyncio.Task[Ending]"]]:
    stream = Stream(
        "str_1",
        cast(Call, call),
        StreamOrder("wss://backend.example/"),
        wires,
        ParleyProtocol,
        StreamLimits(stuck_s=10.0),
        noise(),
        Uncounted(),
        lambda stream, request: None,
        raw_audio=True,
    )
    running = asyncio.create_task(stream.run())
    await asyncio.sleep(0.01)
    yield stream, running
    stream.end(Ending.STOPPED)
    await running


@in_virtual_time
async def test_a_backend_that_read_nothing_and_was_lost_is_not_held_against_the_next_connection() -> None:
    wires = Wires()
    async with streaming(wires, LineCall()) as (stream, _):
        stream.congested(True)
        await asyncio.sleep(6)
        stream.disconnected(Disconnected())
        await asyncio.sleep(6)
        assert [wire.is_aborted for wire in wires.opened] == [False, False]
        stream.congested(True)
        await asyncio.sleep(11)
        assert [wire.is_aborted for wire in wires.opened] == [False, True]


@in_virtual_time
async def test_a_backend_that_paused_and_said_goodbye_is_heard_to_its_end() -> None:
    call = LineCall()
    async with streaming(Wires(), call) as (stream, running):
        stream.speak()
        stream.receive(bytes(16_000))
        stream.receive('{"type":"pause"}')
        stream.disconnected(Disconnected(1000))
        while not running.done() and asyncio.get_running_loop().time() < 1_100:  # it begins at 1,000
            for event in call.leg.tick(asyncio.get_running_loop().time()):
                stream.receive_playout(event)
            await asyncio.sleep(FRAME_S)
        assert running.done()
        assert running.result() is Ending.BACKEND_CLOSED
        assert len(call.leg.sent) >= 16_000


@in_virtual_time
async def test_who_has_the_leg_after_a_stream_without_a_backend_is_not_cut_off_by_its_end() -> None:
    call = LineCall()
    async with streaming(Wires(), call) as (stream, running):
        stream.speak()
        stream.disconnected(Disconnected())
        assert call.leg.queued_ms > 100, "the sound that stands for the backend"
        stream.end(Ending.STOPPED)
        stream.fall_silent()
        assert call.leg.queued_ms == 0
        call.leg.play(next(call.leg.utterance_ids), bytes(1600))
        await running
        assert call.leg.queued_ms == 100


@in_virtual_time
async def test_a_goodbye_on_hold_is_waited_for_in_steps_that_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with streaming(Wires(), LineCall()) as (stream, running):
        stream.speak()
        playout = stream.session.playout
        assert playout is not None
        looks: list[float] = []

        def almost_nothing_left(now: float) -> float:
            looks.append(now)
            return 1e-6

        monkeypatch.setattr(playout, "queued_ms", almost_nothing_left)
        stream.disconnected(Disconnected(1000))
        await asyncio.sleep(1)
        assert not running.done()
        assert len(looks) <= 100
