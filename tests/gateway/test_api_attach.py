# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends that come to us: over real sockets, through the gate, to a stream that is scripted."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.api import attach, bind_http, create_app, serving
from gateway.api.attach import attach_router
from gateway.api.keyring import KeyRing
from gateway.calls.call import Call
from gateway.errors import NoSuchCall, WrongCallState
from gateway.streams.connection import Connection, Connector, Disconnected
from gateway.streams.control import StreamInfo
from gateway.streams.messages import StreamFormat, WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.reception import Reception
from gateway.streams.tokens import StreamTokens
from gateway.telemetry import Metrics
from gateway.webrtc.tokens import PageTokens
from tests.gateway.test_api_calls import KEY, ScriptedCalls, running_api

WAIT_S = 20.0


@dataclass
class Stream:
    """What the connection brings, and the other way what is written to it."""

    order: StreamOrder
    connection: Connection | None = None
    received: list[WireMessage] = field(default_factory=list)
    congestion: list[bool] = field(default_factory=list)
    ends: list[Disconnected] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, message: WireMessage) -> None:
        assert self.connection is not None, "nothing comes before connect has returned"
        self.received.append(message)
        self.changed.set()

    def congested(self, is_congested: bool) -> None:
        self.congestion.append(is_congested)
        self.changed.set()

    def disconnected(self, how: Disconnected) -> None:
        self.ends.append(how)
        self.changed.set()

    async def until(self, condition: Callable[["Stream"], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()

    async def connect(self, connector: Connector, subprotocol: str | None = "parley.v1") -> None:
        self.connection = await connector.connect("call_1", self.order, subprotocol, self)
        self.changed.set()


def info(order: StreamOrder) -> StreamInfo:
    return StreamInfo(
        stream_id="str_1",
        call_id="call_1",
        stream_url=order.url,
        protocol=order.protocol,
        codec=order.format.encoding,
        sample_rate=order.format.sample_rate_hz,
        direction=order.direction,
        tracks=list(order.tracks),
        state="reconnecting",
    )


@dataclass
class ScriptedStreams:
    """Starts streams that connect, and does nothing with them."""

    tasks: asyncio.TaskGroup
    started: list[Stream] = field(default_factory=list)
    refuse_with: Exception | None = None
    connectors: list[Connector] = field(default_factory=list)
    has_started: asyncio.Event = field(default_factory=asyncio.Event)
    connects: bool = True
    lost: StreamOrder | None = None
    """A stream that has lost its backend, and does not wait for another yet."""

    async def start(self, call: Call, order: StreamOrder, connector: Connector | None = None) -> StreamInfo:
        if self.refuse_with is not None:
            raise self.refuse_with
        assert connector is not None
        stream = Stream(order)
        self.connectors.append(connector)
        self.started.append(stream)
        self.has_started.set()
        if self.connects:
            self.tasks.create_task(stream.connect(connector))
        return cast(StreamInfo, None)

    async def stop(self, stream_id: str) -> StreamInfo:
        raise NotImplementedError

    def of_call(self, call_id: str) -> list[StreamInfo]:
        return [info(self.lost)] if self.lost is not None else []


@dataclass
class Running:
    streams: ScriptedStreams
    reception: Reception
    tokens: StreamTokens
    port: int

    def token(self, scope: Any = "stream", call_id: str | None = "call_1", ttl_s: float = 60) -> str:
        return self.tokens.issue(scope, call_id, ttl_s, time.monotonic())

    def attach(self, query: str, call_id: str = "call_1", **more: Any) -> Any:
        more.setdefault("subprotocols", ["parley.v1"])
        address = f"ws://127.0.0.1:{self.port}/api/v1/calls/{call_id}/stream?{query}"
        return connect(address, ping_interval=None, **more)

    async def refusal(self, query: str, call_id: str = "call_1", **more: Any) -> tuple[int, str]:
        """Status and body of the answer to an upgrade that is not to succeed."""
        with pytest.raises(InvalidStatus) as caught:
            async with self.attach(query, call_id, **more):
                pass
        response = caught.value.response
        return response.status_code, (response.body or b"").decode()

    @property
    def stream(self) -> Stream:
        (stream,) = self.streams.started
        return stream


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_api(tmp_path) as api, asyncio.TaskGroup() as tasks:
        reception, tokens, streams = Reception(), StreamTokens(), ScriptedStreams(tasks)

        def find_call(call_id: str) -> Call:
            if call_id not in ("call_1", "call_2"):
                raise NoSuchCall(call_id)
            return cast(Call, SimpleNamespace(call_id=call_id))

        app = create_app(
            ScriptedCalls(),
            api.store,
            Metrics(),
            api.events,
            keys=KeyRing([KEY]),
            tokens=tokens,
            pages=PageTokens(),
            ready=lambda: [],
            attach=attach_router(streams, reception, tokens, find_call),
        )
        listener = bind_http("127.0.0.1", 0)
        port = listener.getsockname()[1]
        async with serving(app, listener):
            yield Running(streams, reception, tokens, port)


async def close_code(client: ClientConnection) -> tuple[int | None, str | None]:
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
    return client.close_code, client.close_reason


async def test_a_backend_with_a_token_talks_to_a_stream_of_its_own(running: Running) -> None:
    async with running.attach(f"token={running.token()}&codec=l16&sample_rate=16000") as client:
        assert client.subprotocol == "parley.v1"
        stream = running.stream
        assert stream.order == StreamOrder(format=StreamFormat("l16", 16000), on_end="return")
        await stream.until(lambda one: one.connection)
        assert stream.connection is not None
        stream.connection.write('{"type":"start"}')
        stream.connection.write(b"\x01\x02")
        assert [await client.recv(), await client.recv()] == ['{"type":"start"}', b"\x01\x02"]
        await client.send(b"\x03\x04")
        await client.send('{"type":"clear"}')
        await stream.until(lambda one: len(one.received) == 2)
        assert stream.received == [b"\x03\x04", '{"type":"clear"}']
    await stream.until(lambda one: one.ends)
    assert stream.ends == [Disconnected(1000, "")]


async def test_a_key_with_the_scope_does_as_well_and_no_key_gets_nowhere(running: Running) -> None:
    async with running.attach("", additional_headers={"Authorization": f"Bearer {KEY}"}):
        await running.stream.until(lambda one: one.connection)
    status, body = await running.refusal("")
    assert (status, '"status":401' in body) == (401, True)
    assert (await running.refusal("", additional_headers={"Authorization": "Bearer wrong"}))[0] == 401


async def test_a_token_is_good_once(running: Running) -> None:
    token = running.token()
    async with running.attach(f"token={token}"):
        pass
    status, body = await running.refusal(f"token={token}")
    assert status == 403
    assert "the token is unknown, was used before, or its call is over" in body
    assert "urn:parley:problem:token-refused" in body
    assert len(running.streams.started) == 1


async def test_a_token_is_good_for_its_call_and_its_time(running: Running) -> None:
    assert "is for another call" in (await running.refusal(f"token={running.token()}", "call_2"))[1]
    assert "has expired" in (await running.refusal(f"token={running.token(ttl_s=0)}"))[1]
    assert (await running.refusal(f"token={running.token(call_id=None)}", "call_9"))[0] == 404
    assert (await running.refusal("token="))[0] == 401
    assert (await running.refusal("token=" + "x" * 129))[0] == 422
    assert (await running.refusal("token=made-up"))[0] == 403
    assert running.streams.started == []


async def test_a_token_that_listens_starts_a_stream_that_listens_and_does_nothing_else(running: Running) -> None:
    for direction in ("bidirectional", "outbound"):
        status, body = await running.refusal(f"token={running.token('listen')}&direction={direction}")
        assert (status, "allows direction inbound only" in body) == (403, True)
    async with running.attach(f"token={running.token('listen')}&track=both&protocol=twilio") as client:
        stream = running.stream
        assert (stream.order.direction, stream.order.tracks) == ("inbound", ("inbound", "outbound"))
        await client.send('{"type":"hangup"}')
        assert await close_code(client) == (1008, "a token of scope listen does not speak")
    await stream.until(lambda one: one.ends)
    assert stream.received == []


@pytest.mark.parametrize(
    "query",
    [
        "protocol=morse",
        "codec=mp3",
        "codec=pcmu&sample_rate=16000",
        "sample_rate=loud",
        "direction=up",
        "track=x",
        "track=both",
        "track=both&protocol=teler",
        "url=wss://x",
        "protocol=twilio&codec=l16",
    ],
)
async def test_a_faulty_wish_is_a_problem_and_no_stream(running: Running, query: str) -> None:
    status, body = await running.refusal(f"token={running.token()}&{query}")
    assert (status, '"status":422' in body) == (422, True)
    assert running.streams.started == []


async def test_a_call_that_allows_no_stream_says_why(running: Running) -> None:
    running.streams.refuse_with = WrongCallState("the call is offered, not active")
    assert (await running.refusal(f"token={running.token()}"))[0] == 409


async def test_a_stream_that_waits_gets_the_backend_and_no_other_is_started(running: Running) -> None:
    waiting = Stream(StreamOrder(protocol="twilio"))
    waiting_for = asyncio.create_task(waiting.connect(running.reception.connector(), None))
    await asyncio.sleep(0)
    async with running.attach(f"token={running.token()}") as client:
        await waiting.until(lambda one: one.connection)
        assert client.subprotocol is None
        await client.send("hello")
        await waiting.until(lambda one: one.received)
    await waiting_for
    assert running.streams.started == []
    # Lost, it waits again: coming again is reconnecting.
    waiting.connection = None
    again = asyncio.create_task(waiting.connect(running.reception.connector(), None))
    await asyncio.sleep(0)
    async with running.attach(f"token={running.token()}"):
        await again
    assert running.streams.started == []


async def test_a_backend_that_is_back_before_its_stream_waits_for_it_is_seated_when_it_does(running: Running) -> None:
    lost = Stream(StreamOrder())
    running.streams.lost = lost.order
    async with asyncio.TaskGroup() as tasks:

        async def come_back() -> None:
            async with running.attach(f"token={running.token()}") as client:
                await client.send("hello")
                await lost.until(lambda one: one.received)

        tasks.create_task(come_back())
        await until_in_line(running.reception)
        await lost.connect(running.reception.connector())
    assert running.streams.started == []
    assert running.reception._line == {}


async def test_a_listener_does_not_wait_for_a_stream_that_talks(running: Running) -> None:
    running.streams.lost = StreamOrder()
    async with running.attach(f"token={running.token('listen')}"):
        await running.stream.until(lambda one: one.connection)


async def until_in_line(reception: Reception) -> None:
    async with asyncio.timeout(WAIT_S):
        while not reception._line:  # noqa: ASYNC110 it comes over a socket
            await asyncio.sleep(0.01)


async def test_a_backend_that_waits_in_vain_is_turned_away_and_forgotten(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "_ADMISSION_S", 0.1)
    running.streams.lost = StreamOrder()
    assert (await running.refusal(f"token={running.token()}"))[0] == 503
    assert running.reception._line == {}


async def test_a_listener_does_not_take_the_seat_of_a_backend_that_talks(running: Running) -> None:
    waiting = Stream(StreamOrder())
    waiting_for = asyncio.create_task(waiting.connect(running.reception.connector()))
    await asyncio.sleep(0)
    async with running.attach(f"token={running.token('listen')}"):
        await running.stream.until(lambda one: one.connection)
    assert waiting.connection is None
    waiting_for.cancel()


async def test_a_stream_that_gives_up_waiting_leaves_no_seat(running: Running) -> None:
    waiting_for = asyncio.create_task(Stream(StreamOrder()).connect(running.reception.connector()))
    await asyncio.sleep(0)
    waiting_for.cancel()
    await asyncio.gather(waiting_for, return_exceptions=True)
    assert running.reception._seats == {}
    async with running.attach(f"token={running.token()}"):
        await running.stream.until(lambda one: one.connection)


async def test_a_backend_for_which_no_stream_comes_is_turned_away(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "_ADMISSION_S", 0.1)
    running.streams.connects = False
    assert (await running.refusal(f"token={running.token()}"))[0] == 503


async def test_the_stream_says_goodbye_after_what_it_wrote(running: Running) -> None:
    async with running.attach(f"token={running.token()}") as client:
        stream = running.stream
        await stream.until(lambda one: one.connection)
        assert stream.connection is not None
        stream.connection.write("last words")
        stream.connection.close(1000, "done")
        stream.connection.write("too late")
        assert await client.recv() == "last words"
        assert await close_code(client) == (1000, "done")
    await stream.until(lambda one: one.ends)
    assert stream.ends == [Disconnected(1000, "done")]


async def test_a_stream_that_gives_up_while_its_backend_is_let_in_leaves_no_connection(running: Running) -> None:
    running.streams.connects = False
    async with asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(_open_and_wait(running.attach(f"token={running.token()}")))
        async with asyncio.timeout(WAIT_S):
            await running.streams.has_started.wait()
        connecting = tasks.create_task(running.stream.connect(running.streams.connectors[0]))
        await asyncio.sleep(0)
        connecting.cancel()
    assert opening.result() == 1006
    assert running.stream.received == []


async def _open_and_wait(attaching: Any) -> int | None:
    async with attaching as client:
        return (await close_code(client))[0]


async def test_an_aborted_connection_is_over_at_once(running: Running) -> None:
    async with running.attach(f"token={running.token()}") as client:
        stream = running.stream
        await stream.until(lambda one: one.connection)
        assert stream.connection is not None
        stream.connection.abort()
        assert (await close_code(client))[0] == 1006
    await stream.until(lambda one: one.ends)
    assert stream.ends == [Disconnected(1006, "")]


async def test_a_backend_that_reads_slowly_is_reported_and_again_when_it_has_caught_up(running: Running) -> None:
    async with running.attach(f"token={running.token()}", max_queue=1) as client:
        stream = running.stream
        await stream.until(lambda one: one.connection)
        assert stream.connection is not None
        client.transport.pause_reading()
        written = 0
        async with asyncio.timeout(WAIT_S):
            while not stream.congestion:  # the kernel's buffers first
                stream.connection.write(b"x" * 32000)
                written += 1
                await asyncio.sleep(0)
        assert stream.congestion == [True]
        client.transport.resume_reading()
        for _ in range(written):
            await client.recv()
        await stream.until(lambda one: one.congestion == [True, False])


async def test_writing_on_without_heeding_it_ends_the_connection_rather_than_filling_memory(running: Running) -> None:
    async with running.attach(f"token={running.token()}", max_queue=1) as client:
        stream = running.stream
        await stream.until(lambda one: one.connection)
        assert stream.connection is not None
        client.transport.pause_reading()
        for _ in range(1000):
            stream.connection.write(b"x" * 32000)
        await stream.until(lambda one: one.ends)
        assert stream.ends == [Disconnected(1006, "")]
        client.transport.abort()
