# SPDX-License-Identifier: GPL-3.0-or-later
"""MCP servers as sources of tools: one connection to each, opened at start and kept, for all calls.

    connecting ──> ready (tools listed; listed anew when the server says so, and now and then) ──> lost ──> connecting
        └── fails: wait, longer each time, at most 30 s

While a server is away its tools are there still and fail with a word to the model: what a model has been told is kept
stable. `run` owns connection and subprocess in one task, as the SDK's cancel scopes need it; tools are called from
others.

Importing this module imports the SDK (a second, 23 MB): only where such a server is configured.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import httpx2
import structlog
from mcp.client.client import Client
from mcp.client.session import IncomingMessage
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent, ToolListChangedNotification
from mcp_types import Tool as WireTool

from agent.errors import ToolFailed
from agent.services.llm import ToolSpec
from agent.tools.http import tool_name
from agent.tools.tool import FunctionTool, OnCall, Tool, ToolTraits

log = structlog.get_logger(__name__)

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_REQUEST_S = 15.0
"""For everything but tools, which have deadlines of their own."""
_LIST_EVERY_S = 30.0
"""So often the list is fetched unasked: also the proof that the server is still there."""
_MAX_PAGES = 20
_MAX_DESCRIPTION = 1_000


@dataclass(frozen=True, slots=True)
class McpSettings:
    """One `[tools.NAME]` of kind `mcp`."""

    name: str
    url: str = ""
    """Streamable HTTP; or"""
    command: tuple[str, ...] = ()
    """a program to speak to over its standard input and output."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    operations: tuple[str, ...] = ("*",)
    """Which of its tools there are, by name, with `*`."""
    traits: ToolTraits = field(default_factory=ToolTraits)


class McpServer:
    """A `ToolSource`."""

    def __init__(self, settings: McpSettings, *, list_every_s: float = _LIST_EVERY_S, mode: str = "auto") -> None:
        """`mode`: the protocol's version is asked for (`auto`), or it is one with a handshake (`legacy`)."""
        self._settings = settings
        self._mode = mode
        self._list_every_s = list_every_s
        self._client: Client | None = None
        self._tools: tuple[Tool, ...] = ()
        self._look = asyncio.Event()
        """Something is new: the list, or that the connection is lost."""
        self._listed = asyncio.Event()

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def is_connected(self) -> bool:
        return self._client is not None

    def tools(self) -> Sequence[Tool]:
        """Those of now; of a server that is away, those it had."""
        return self._tools

    async def until_listed(self, timeout_s: float) -> bool:
        """Until its tools are known; whether they are."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._listed.wait(), timeout_s)
        return self._listed.is_set()

    async def run(self) -> None:
        """Connect and stay connected, until cancelled."""
        wait_s = _FIRST_WAIT_S
        while True:
            began_at = asyncio.get_running_loop().time()
            try:
                async with self._connected() as client:
                    await self._stay(client)
            except Exception as error:  # the SDK raises whatever its transports do, in groups
                log.warning("mcp_server_lost", server=self.name, cause=_cause(error))
            finally:
                self._client = None
            if asyncio.get_running_loop().time() - began_at > _LONGEST_WAIT_S:
                wait_s = _FIRST_WAIT_S  # it had worked
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            if settings.command:
                program, *arguments = settings.command
                server: Any = StdioServerParameters(
                    command=program, args=arguments, env=dict(settings.env), cwd=settings.cwd
                )
            else:
                http = httpx2.AsyncClient(
                    headers=dict(settings.headers),
                    timeout=httpx2.Timeout(_REQUEST_S, read=300.0),
                    trust_env=False,
                )
                await stack.enter_async_context(http)
                server = streamable_http_client(settings.url, http_client=http)
            client = Client(
                server, read_timeout_seconds=_REQUEST_S, message_handler=self._receive, cache=None, mode=self._mode
            )
            yield await stack.enter_async_context(client)

    async def _stay(self, client: Client) -> None:
        """Until the connection fails, which raises."""
        self._look.clear()
        await self._list(client)
        self._client = client
        log.info("mcp_server_connected", server=self.name, tools=len(self._tools))
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(client), name=f"mcp-{self.name}")
            try:
                while True:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._look.wait(), self._list_every_s)
                    self._look.clear()
                    await self._list(client)
            finally:
                listening.cancel()

    async def _listen(self, client: Client) -> None:
        """Servers of 2026-07-28 and later tell of changes on a stream of its own; older ones just tell."""
        try:
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._look.set()
        except (ListenNotSupportedError, MCPError):
            pass  # it is asked every so often all the same

    async def _receive(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._look.set()

    async def _list(self, client: Client) -> None:
        found: list[WireTool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        wanted = (tool for tool in found if any(fnmatchcase(tool.name, name) for name in self._settings.operations))
        self._tools = tuple(self._tool(tool) for tool in wanted)
        self._listed.set()

    def _tool(self, wire: WireTool) -> Tool:
        key = f"{self.name}.{wire.name}"
        spec = ToolSpec(tool_name(key), (wire.description or wire.name)[:_MAX_DESCRIPTION], wire.input_schema)

        async def run(arguments: Mapping[str, object], call: OnCall) -> str:
            return await self._call(wire.name, arguments)

        return FunctionTool(key, spec, run, self._settings.traits)

    async def _call(self, name: str, arguments: Mapping[str, object]) -> str:
        client = self._client
        if client is None:
            raise ToolFailed("its server cannot be reached at the moment")
        try:
            # The runner has the deadline; the server is told when it has passed.
            result = await client.call_tool(name, dict(arguments), read_timeout_seconds=None)
        except MCPError as error:
            self._look.set()  # is it still there?
            raise ToolFailed(error.message) from error
        except Exception as error:  # as above
            self._look.set()
            raise ToolFailed(f"its server failed ({_cause(error)})") from error
        text = text_of(result)
        if result.is_error:
            raise ToolFailed(text or "it failed, and does not say why")
        return text


def text_of(result: CallToolResult) -> str:
    """What a model can read of a result."""
    texts = [part.text if isinstance(part, TextContent) else f"[{part.type}]" for part in result.content]
    return "\n".join(texts)


def _cause(error: BaseException) -> str:
    """What kind of failure: of a group, the first inside. Messages are left out, they may quote what was said."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
