# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments are checked against a tool's schema, which may be somebody else's."""

import asyncio
from collections.abc import Mapping

from agent.services.llm import ToolCall, ToolSpec
from agent.tools.config import ToolUseConfig
from agent.tools.running import ToolRunner
from agent.tools.tool import FunctionTool, OnCall
from agent.tools.toolbox import Toolbox
from tests.fakes.tools import on_call


class History:
    def tool_began(self, call: ToolCall, text: str) -> None: ...

    def tool_done(self, call_id: str, text: str) -> None: ...


async def test_a_schema_makes_us_fetch_nothing() -> None:
    visitors = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visitors
        visitors += 1
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async def run(arguments: Mapping[str, object], call: OnCall) -> str:
        return "done"

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/schema"
        spec = ToolSpec("crm_find", "", {"type": "object", "properties": {"who": {"$ref": url}}})
        toolbox = Toolbox(["*"], [FunctionTool("crm.find", spec, run)])
        tasks: list[asyncio.Task[None]] = []
        runner = ToolRunner(
            toolbox,
            on_call(),
            ToolUseConfig(),
            History(),
            lambda work: tasks.append(asyncio.ensure_future(work)) or tasks[-1],  # type: ignore[func-returns-value]
            lambda *_: None,
            asyncio.get_running_loop().time,
        )
        running = runner.begin(ToolCall("crm_find", {"who": 1}, "c1"))
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert visitors == 0
    assert running.text == "done"
