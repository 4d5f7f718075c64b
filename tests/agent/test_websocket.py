# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that do not come about."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.websocket import Disconnected, NotConnected, WireMessage, open_websocket


class Nobody:
    """A receiver that is told nothing."""

    def receive(self, message: WireMessage) -> None:
        raise AssertionError("nothing was sent")

    def congested(self, is_congested: bool) -> None:
        raise AssertionError("nothing was written")

    def disconnected(self, how: Disconnected) -> None:
        raise AssertionError("it was never connected")


async def opened(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        await open_websocket(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", Nobody(), headers={})
    finally:
        server.close()


async def _read_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _quote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"what is this: " + await reader.readuntil(b"\r\n\r\n"))
    writer.close()


def test_a_server_that_closes_before_it_answers_was_never_connected() -> None:
    with pytest.raises(NotConnected, match="closed the connection before it answered"):
        asyncio.run(opened(_read_and_leave))


def test_what_a_server_wrote_in_place_of_an_answer_is_not_quoted() -> None:
    with pytest.raises(NotConnected) as refused:
        asyncio.run(opened(_quote))
    assert "what is this" not in str(refused.value)
    assert refused.value.__cause__ is None
