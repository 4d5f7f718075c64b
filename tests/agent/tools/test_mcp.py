# SPDX-License-Identifier: GPL-3.0-or-later
"""MCP servers as sources of tools: real ones, written with the official SDK, in processes of their own."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from agent.errors import ToolFailed
from agent.tools.mcp import McpServer, McpSettings
from tests.fakes.tools import on_call

STDIO = (sys.executable, "-m", "tests.simulators.mcp_server", "stdio")
CALL = on_call()


@contextlib.asynccontextmanager
async def connected(server: McpServer) -> AsyncIterator[McpServer]:
    running = asyncio.create_task(server.run())
    try:
        assert await server.until_listed(60), "the server does not list its tools"
        yield server
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def use(server: McpServer, name: str, **arguments: object) -> str:
    tool = next(tool for tool in server.tools() if tool.key == f"orders.{name}")
    return await tool.run(arguments, CALL)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a server in another process
            await asyncio.sleep(0.02)


@pytest.fixture
def http_server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.simulators.mcp_server", "http", str(port)])
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_tools_of_a_program_are_listed_used_and_followed(mode: str) -> None:
    settings = McpSettings("orders", command=STDIO, env={"ORDERS_TOKEN": "t0ken"})
    async with connected(McpServer(settings, mode=mode)) as server:
        assert {tool.key for tool in server.tools()} == {
            f"orders.{name}" for name in ("get_order", "slow", "token", "sell", "die")
        }
        spec = server.tools()[0].spec
        assert (spec.name, spec.description) == ("orders_get_order", "Where an order is.")
        assert spec.parameters["required"] == ["order"]
        assert await use(server, "get_order", order=7) == "order 7 left yesterday"
        assert await use(server, "token") == "t0ken"
        with pytest.raises(ToolFailed, match="get_order"):
            await use(server, "get_order", order=0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await use(server, "slow")
        assert await use(server, "sell") == "there is a discount now"
        await until(lambda: len(server.tools()) == 6)
        assert await use(server, "discount") == "ten percent"


async def test_a_program_that_ends_is_started_again_and_its_tools_stay_known() -> None:
    async with connected(McpServer(McpSettings("orders", command=STDIO))) as server:
        with pytest.raises(ToolFailed):
            await use(server, "die")
        await until(lambda: not server.is_connected)
        assert len(server.tools()) == 5
        with pytest.raises(ToolFailed, match="cannot be reached at the moment"):
            await use(server, "get_order", order=7)
        await until(lambda: server.is_connected)
        assert await use(server, "get_order", order=7) == "order 7 left yesterday"


async def test_tools_over_http_are_there_as_soon_as_the_server_is(http_server: str) -> None:
    async with connected(McpServer(McpSettings("orders", url=http_server))) as server:
        assert await use(server, "get_order", order=7) == "order 7 left yesterday"
        assert await use(server, "sell") == "there is a discount now"
        await until(lambda: len(server.tools()) == 6)


async def test_a_program_that_does_not_exist_is_no_end() -> None:
    server = McpServer(McpSettings("orders", command=("/nowhere/at/all",)))
    running = asyncio.create_task(server.run())
    assert not await server.until_listed(0.2)
    assert not running.done()
    assert server.tools() == ()
    running.cancel()
