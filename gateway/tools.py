# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools of the configuration: `[tools.NAME]` to what agents are given, and their one way out, through the guard.

MCP servers are the exception: their addresses stand in the configuration, nothing of them comes from a model or a
caller, and programs on this very machine are the usual case.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import httpx
import structlog

from agent.errors import ToolFailed
from agent.tools.builtin import BUILTIN, builtin_tools
from agent.tools.config import ToolConfig
from agent.tools.http import HttpReply, HttpRequest, HttpRequests, Template, has_fixed_host, sms, webhook
from agent.tools.openapi import BadOpenApi, OpenApi, openapi_tools
from agent.tools.tool import Tool, ToolSource, ToolTraits
from gateway.config import Config
from gateway.errors import UrlError
from gateway.guard import TOOL_URL, OutboundGuard
from gateway.outbound import http_client

log = structlog.get_logger(__name__)

_MAX_REPLY_BYTES = 256 << 10
_REQUEST_S = 120.0
"""Tools have deadlines of their own, which are shorter."""
_LISTED_S = 10.0
"""How long the start waits for the lists of MCP servers; who comes later is there later."""


@dataclass(frozen=True, slots=True)
class ConfiguredTools:
    """All that agents may choose from, besides what is built in."""

    tools: tuple[Tool, ...] = ()
    sources: tuple[ToolSource, ...] = ()


@asynccontextmanager
async def open_tools(configs: Mapping[str, ToolConfig], guard: OutboundGuard) -> AsyncIterator[ConfiguredTools]:
    """MCP servers are connected to inside. What is wrong with a document was found by `tool_faults`."""
    async with http_client(guard, TOOL_URL, timeout_s=_REQUEST_S) as client, asyncio.TaskGroup() as tasks:
        requests = GuardedRequests(client)
        tools: list[Tool] = []
        sources: list[ToolSource] = []
        running = []
        waiting = []
        for name, config in configs.items():
            if config.kind == "mcp":
                # Here, since the SDK takes a second and 23 MB to import.
                from agent.tools.mcp import McpServer, McpSettings

                server = McpServer(
                    McpSettings(
                        name=name,
                        url=config.url or "",
                        command=config.command,
                        headers=_headers(config),
                        env={key: value.get_secret_value() for key, value in config.env.items()},
                        cwd=None if config.cwd is None else str(config.cwd),
                        operations=config.operations,
                        traits=_traits(config),
                    )
                )
                sources.append(server)
                running.append(tasks.create_task(server.run(), name=f"mcp-{name}"))
                waiting.append(server.until_listed(_LISTED_S))
            else:
                tools += await asyncio.to_thread(_tools, name, config, requests)
        await asyncio.gather(*waiting)
        try:
            yield ConfiguredTools(tuple(tools), tuple(sources))
        finally:
            for task in running:
                task.cancel()


class GuardedRequests:
    """`HttpRequests` over one pool of connections."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, request: HttpRequest) -> HttpReply:
        """Redirects are not followed. Of a long body the beginning is taken."""
        body = bytearray()
        try:
            async with self._client.stream(
                request.method,
                request.url,
                headers={**request.headers, "Accept": "application/json, text/*", "Accept-Encoding": "identity"},
                json=request.body,
            ) as response:
                async for block in response.aiter_raw():
                    body += block
                    if len(body) > _MAX_REPLY_BYTES:
                        break
                text = bytes(body[:_MAX_REPLY_BYTES]).decode(response.encoding or "utf-8", errors="replace")
                return HttpReply(response.status_code, text)
        except UrlError as error:
            log.warning("tool_refused", cause=str(error))
            raise ToolFailed("its server may not be reached") from error
        except (httpx.HTTPError, httpx.InvalidURL, LookupError) as error:  # LookupError: an encoding nobody knows
            raise ToolFailed(f"its server does not answer ({type(error).__name__})") from error


def tool_faults(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with tools and with who wants them, as (path, problem)."""
    keys = set(BUILTIN)
    servers = set()
    for name, tool in config.tools.items():
        if name in BUILTIN:
            yield ("tools", name), "has the name of a tool that is built in"
        if tool.url is not None and tool.kind != "mcp" and not has_fixed_host(tool.url):
            yield ("tools", name, "url"), "must begin with scheme and host; only path and query may have {places}"
            continue
        if tool.kind == "mcp":
            servers.add(name)
            continue
        try:
            keys |= {made.key for made in _tools(name, tool, _NoRequests())}
        except (BadOpenApi, OSError) as error:
            problem = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            yield ("tools", name, "openapi"), problem
            servers.add(name)  # what it would have is not known
        if tool.kind == "webhook" and (unknown := _unknown_places(tool)):
            yield ("tools", name), f"nothing fills in {', '.join(sorted(unknown))}: name it under parameters"
    for name, agent in config.agents.items():
        for wanted in agent.tools:
            if wanted.partition(".")[0] in servers or any(fnmatchcase(key, wanted) for key in keys):
                continue
            there_are = sorted(keys | {f"{server}.*" for server in servers})
            yield ("agents", name, "tools"), f"there is no tool {wanted!r}: {', '.join(there_are)}"
        if "transfer" in agent.tools and not agent.transfers:
            yield ("agents", name, "transfers"), "is missing: tools has transfer, and nobody is named to put through to"
        if agent.llm == "local" and (more := [wanted for wanted in agent.tools if wanted != "hang_up"]):
            yield ("agents", name, "tools"), f'{", ".join(more)}: llm "local" can only hang_up'


def agent_tools(transfers: Mapping[str, str], configured: ConfiguredTools) -> tuple[Tool, ...]:
    """What an agent may be given of what is known from the beginning."""
    return (*builtin_tools(transfers), *configured.tools)


class _NoRequests:
    """For looking at tools without using them."""

    async def send(self, request: HttpRequest) -> HttpReply:
        raise ToolFailed("nothing is sent while settings are checked")


def _tools(name: str, config: ToolConfig, requests: HttpRequests) -> list[Tool]:
    """Raises `BadOpenApi`, `OSError`."""
    headers, traits = _headers(config), _traits(config)
    match config.kind:
        case "webhook":
            template = Template(config.method, config.url or "", headers, config.body)
            made = webhook(name, config.description, template, config.parameters, config.optional, requests, traits)
            return [made]
        case "sms":
            template = Template(config.method, config.url or "", headers, config.body)
            return [sms(name, config.description, template, config.sender, config.allow_to, requests, traits)]
        case "openapi":
            source = config.openapi or ""
            text = source if "\n" in source else Path(source).read_text(encoding="utf-8")
            document = OpenApi(text)
            base_url = config.url or document.server_url
            if not base_url:
                raise BadOpenApi("names no server: the tool needs the key url")
            found = openapi_tools(name, document, base_url, headers, requests, traits, config.operations)
            if not found:
                raise BadOpenApi(f"has no operation that fits {', '.join(config.operations)}")
            return list(found)
    raise AssertionError(f"{config.kind} is no tool but a source")


def _headers(config: ToolConfig) -> dict[str, str]:
    headers = {key: value.get_secret_value() for key, value in config.headers.items()}
    if config.token is not None:
        headers["Authorization"] = f"Bearer {config.token.get_secret_value()}"
    return headers


def _traits(config: ToolConfig) -> ToolTraits:
    return ToolTraits(timeout_ms=config.timeout_ms, on_interruption=config.on_interruption)


def _unknown_places(config: ToolConfig) -> set[str]:
    places = Template(config.method, config.url or "", {}, config.body).places()
    known = {*config.parameters, "caller", "call_id", "secret_keys"}
    return {place for place in places if place not in known and not place.startswith("metadata.")}
