# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets of ours that are given up while they are being opened."""

import asyncio
import contextlib
import random
import subprocess
import sys
from pathlib import Path

from gateway.guard import OutboundGuard
from gateway.streams.connection import Disconnected
from gateway.streams.messages import WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.websocket import WebSocketConnector


class Nobody:
    """A receiver to whom nothing may come."""

    def receive(self, message: WireMessage) -> None:
        raise AssertionError("there was no connection")

    def congested(self, is_congested: bool) -> None:
        raise AssertionError("there was no connection")

    def disconnected(self, how: Disconnected) -> None:
        raise AssertionError("there was no connection")


async def give_up_while_the_backend_thinks(times: int, at_once: int) -> None:
    """Connect to a backend that takes the request and says nothing; returns when it has seen the end of each."""
    connector = WebSocketConnector(OutboundGuard(["127.0.0.0/8"]), lambda *_: {})
    asked: asyncio.Queue[None] = asyncio.Queue()
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def think(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.put_nowait(None)
        assert await reader.read() == b""
        ended.put_nowait(None)
        writer.close()

    async with await asyncio.start_server(think, "127.0.0.1", 0) as server:
        order = StreamOrder(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "parley")
        for _ in range(times):
            connecting = [
                asyncio.ensure_future(connector.connect("call_1", order, None, Nobody())) for _ in range(at_once)
            ]
            for _ in connecting:
                await asyncio.wait_for(asked.get(), 30)
            for one in connecting:
                one.cancel()
            await asyncio.gather(*connecting, return_exceptions=True)
            assert all(one.cancelled() for one in connecting)
            for _ in connecting:
                await asyncio.wait_for(ended.get(), 30)


def test_a_handshake_that_is_given_up_leaves_no_connection() -> None:
    asyncio.run(give_up_while_the_backend_thinks(3, 3))


async def give_up_at_any_moment(workers: int, times: int) -> None:
    """Connect to a backend that goes after a moment, and give up sometimes before it, sometimes after."""
    connector = WebSocketConnector(OutboundGuard(["127.0.0.0/8"]), lambda *_: {})
    chance = random.Random(4)

    async def go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(chance.random() * 0.01)
        writer.close()

    async with await asyncio.start_server(go, "127.0.0.1", 0) as server:
        order = StreamOrder(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "parley")

        async def work() -> None:
            for _ in range(times):
                connecting = asyncio.ensure_future(connector.connect("call_1", order, None, Nobody()))
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(chance.choice((0, 0, 0.0005)))
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)

        await asyncio.gather(*(work() for _ in range(workers)))


def test_the_event_loop_of_the_gateway_survives_handshakes_that_are_given_up() -> None:
    """In a process of its own: libuv aborts when a descriptor that it watches is closed."""
    script = f"import uvloop; from {__name__} import give_up_at_any_moment;uvloop.run(give_up_at_any_moment(8, 300))"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
