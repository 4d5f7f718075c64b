# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile backends over real sockets: whatever they send and however they leave, nothing of them stays."""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.api import bind_http, create_app, serving
from gateway.api.attach import attach_router
from gateway.api.keyring import KeyRing
from gateway.calls.call import Call
from gateway.streams.comfort import noise
from gateway.streams.connection import Connection, Connector, Disconnected
from gateway.streams.control import StreamInfo
from gateway.streams.messages import ProtocolName, StreamStarted, WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.protocols import protocol_kind
from gateway.streams.reception import Reception
from gateway.streams.session import StreamSession
from gateway.streams.tokens import StreamTokens
from gateway.telemetry import Metrics
from gateway.webrtc.tokens import PageTokens
from tests.fuzz.streams import FuzzLine, Mutator
from tests.gateway.test_api_calls import ScriptedCalls, running_api

_CONNECTIONS = 60
_MESSAGES = 40
_PROTOCOLS: tuple[ProtocolName, ...] = ("parley", "twilio", "teler")
_WAIT_S = 30.0


class Attended:
    """A stream's engine on a connection, as `gateway.streams.stream` has it."""

    def __init__(self, order: StreamOrder) -> None:
        started = StreamStarted("call_1", "str_1", "a", "b", "inbound", "bidirectional", ("inbound",), order.format)
        self.session = StreamSession(
            started, lambda: protocol_kind(order.protocol).make(order), lambda _: None, noise()
        )
        self.session.speak_on(FuzzLine(), 0.0)
        self.connection: Connection | None = None
        self.is_over = asyncio.Event()

    async def connect(self, connector: Connector, order: StreamOrder) -> None:
        self.connection = await connector.connect("call_1", order, self.session.subprotocol, self)
        self.session.connected(self.connection, 0.0)

    def receive(self, message: WireMessage) -> None:
        self.session.receive(message, time.monotonic())

    def congested(self, is_congested: bool) -> None:
        self.session.congested(is_congested, time.monotonic())

    def disconnected(self, how: Disconnected) -> None:
        self.session.disconnected(time.monotonic(), is_over=True)
        self.is_over.set()


@dataclass
class Streams:
    """Starts engines, and knows when their connections are over."""

    tasks: asyncio.TaskGroup
    running: list[Attended] = field(default_factory=list)

    async def start(self, call: Call, order: StreamOrder, connector: Connector | None = None) -> StreamInfo:
        assert connector is not None
        self.running.append(Attended(order))
        self.tasks.create_task(self.running[-1].connect(connector, order))
        return cast(StreamInfo, None)

    async def stop(self, stream_id: str) -> StreamInfo:
        raise NotImplementedError

    def of_call(self, call_id: str) -> list[StreamInfo]:
        return []


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def attack(port: int, token: str, protocol: ProtocolName, seed: int) -> None:
    """Send mutated messages, then leave in one of three ways."""
    address = f"ws://127.0.0.1:{port}/api/v1/calls/call_1/stream?token={token}&protocol={protocol}"
    async with connect(address, ping_interval=None, close_timeout=1, max_size=None) as backend:
        with contextlib.suppress(ConnectionClosed):
            for message in itertools.islice(Mutator(protocol, seed).messages(), _MESSAGES):
                if isinstance(message, str):
                    message = message.encode("utf-8", "replace").decode()
                await backend.send(message)
        match random.Random(seed).randrange(3):
            case 0:
                backend.transport.abort()
            case 1:
                backend.transport.write(b"\xff" * 20)
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await backend.recv()


async def test_hostile_backends_leave_neither_tasks_nor_descriptors_behind(tmp_path: Path) -> None:
    async with running_api(tmp_path, runs_campaigns=False) as api, asyncio.TaskGroup() as tasks:
        streams, tokens = Streams(tasks), StreamTokens()
        app = create_app(
            ScriptedCalls(),
            api.store,
            Metrics(),
            api.events,
            keys=KeyRing([]),
            tokens=tokens,
            pages=PageTokens(),
            ready=lambda: [],
            attach=attach_router(
                streams, Reception(), tokens, lambda call_id: cast(Call, SimpleNamespace(call_id=call_id))
            ),
        )
        listener = bind_http("127.0.0.1", 0)
        port = listener.getsockname()[1]
        async with serving(app, listener):
            await attack(port, tokens.issue("stream", None, 600, time.monotonic()), "parley", 0)  # what is made once
            await asyncio.wait_for(streams.running[0].is_over.wait(), _WAIT_S)
            tasks_before, files_before = len(asyncio.all_tasks()), open_files()
            for seed in range(_CONNECTIONS):
                token = tokens.issue("stream", None, 600, time.monotonic())
                await attack(port, token, _PROTOCOLS[seed % len(_PROTOCOLS)], seed)
            async with asyncio.timeout(_WAIT_S):
                for stream in streams.running:
                    await stream.is_over.wait()
                while len(asyncio.all_tasks()) > tasks_before or open_files() > files_before:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert len(streams.running) == _CONNECTIONS + 1
            assert sum(stream.session.counters.messages_in for stream in streams.running) > _CONNECTIONS * _MESSAGES / 2
            assert len(tokens) == 0
            streams.running.clear()
            gc.collect()
