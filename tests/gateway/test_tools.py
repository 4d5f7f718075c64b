# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools from the configuration, and their way out."""

import asyncio
from pathlib import Path

import pytest

from agent.errors import ToolFailed
from agent.tools.config import ToolConfig
from agent.tools.http import HttpReply, HttpRequest
from gateway.config import Config
from gateway.environment import load_config
from gateway.errors import ConfigError
from gateway.guard import TOOL_URL, OutboundGuard
from gateway.outbound import http_client
from gateway.tools import GuardedRequests, open_tools, tool_faults
from tests.fakes.tools import on_call

AGENT = '[services.brain]\nkind = "openai"\nmodel = "m"\nurl = "http://127.0.0.1:1"\n[agents.a]\nllm = "brain"\n'
HOOK = '[tools.crm]\nkind = "webhook"\ndescription = "d"\nurl = "https://h/{id}"\nparameters = {id = "the number"}\n'


def load(folder: Path, text: str, **environ: str) -> Config:
    file = folder / "parley.toml"
    file.write_text(text)
    return load_config(file, {"HOME": str(folder), **environ})


def faults_of(folder: Path, text: str, **environ: str) -> list[str]:
    try:
        load(folder, text, **environ)
    except ConfigError as error:
        return [str(fault).removeprefix(f"{folder / 'parley.toml'}: ") for fault in error.faults]
    return []


def test_an_agent_with_a_model_may_have_tools(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text("servers: [{url: https://h}]\npaths: {/a: {get: {operationId: a}}}")
    text = AGENT + 'tools = ["hang_up", "transfer", "crm", "api.*", "mcp.*"]\ntransfers = {desk = "sip:1@h"}\n'
    text += HOOK + '[tools.api]\nkind = "openapi"\nopenapi = "api.yaml"\ntoken_env = "API_TOKEN"\n'
    text += '[tools.mcp]\nkind = "mcp"\ncommand = ["orders"]\n'
    config = load(tmp_path, text, API_TOKEN="t0ken")
    token = config.tools["api"].token
    assert token is not None
    assert token.get_secret_value() == "t0ken"
    assert "t0ken" not in repr(config)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (AGENT + 'tools = ["fly"]', "agents.a.tools: there is no tool 'fly': collect_digits, do_not_call, expect"),
        (AGENT + 'tools = ["transfer"]', "agents.a.transfers: is missing"),
        ('[agents.a]\ntools = ["hang_up", "hold"]', 'agents.a.tools: hold: llm "local" can only hang_up'),
        (HOOK.replace("https://h/{id}", "https://{id}/"), "tools.crm.url: must begin with scheme and host"),
        (HOOK.replace("{id}", "{other}"), "tools.crm: nothing fills in other"),
        (HOOK.replace('description = "d"', ""), 'tools.crm: kind "webhook" needs the key description'),
        (HOOK + 'command = ["x"]', 'tools.crm: kind "webhook" has no key command'),
        (HOOK.replace("tools.crm", "tools.hang_up"), "tools.hang_up: has the name of a tool that is built in"),
        ('[tools.x]\nkind = "mcp"', 'tools.x: kind "mcp" needs the key url or the key command, not both'),
        ('[tools.x]\nkind = "openapi"\nopenapi = "no.yaml"', "tools.x.openapi: cannot be read: No such file"),
        ('[tools.x]\nkind = "openapi"\nopenapi = """\nx: 1\n"""', "tools.x.openapi: has no operations"),
        ('[tools.x]\nkind = "sms"\nurl = "https://h"\nallow_to = ["("]', "tools.x: allow_to: '(' is no regular"),
        (AGENT.replace('model = "m"\n', ""), "services.brain.model: is missing"),
        ('[services.x]\nkind = "openai"\nmodel = "m"\napi_key_env = "NO"', "services.x.api_key_env: the environment"),
    ],
)
def test_what_is_wrong_with_tools_and_services_is_said_at_the_start(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = faults_of(tmp_path, text)
    assert found.startswith(fault)


def test_a_secret_is_not_repeated_in_a_fault(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, HOOK + "headers = {X-Key = 12345}\ntoken = 54321\nbody = 777")
    assert len(faults) == 3
    assert not any(secret in fault for fault in faults for secret in ("12345", "54321", "777"))


async def test_a_tool_reaches_what_the_operator_allows_and_nothing_else() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400_000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    async with server:
        async with http_client(OutboundGuard(["127.0.0.0/8"]), TOOL_URL) as client:
            reply = await GuardedRequests(client).send(HttpRequest("GET", url))
            assert reply == HttpReply(200, "x" * (256 << 10))
        async with http_client(OutboundGuard(), TOOL_URL) as client:
            with pytest.raises(ToolFailed, match="its server may not be reached"):
                await GuardedRequests(client).send(HttpRequest("GET", url))
    async with http_client(OutboundGuard(["127.0.0.0/8"]), TOOL_URL) as client:
        with pytest.raises(ToolFailed, match="its server does not answer"):
            await GuardedRequests(client).send(HttpRequest("GET", "http://127.0.0.1:9/"))


async def test_configured_tools_are_open_inside_the_context() -> None:
    hook = ToolConfig(kind="webhook", description="d", url="https://127.0.0.1/x")
    async with open_tools({"crm": hook}, OutboundGuard()) as opened:
        (tool,) = opened.tools
        assert tool.key == "crm"
        with pytest.raises(ToolFailed):
            await tool.run({}, on_call())


def test_the_default_configuration_has_no_fault() -> None:
    assert list(tool_faults(Config())) == []
