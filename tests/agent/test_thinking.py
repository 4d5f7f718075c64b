# SPDX-License-Identifier: GPL-3.0-or-later
"""Thinking ahead: words may come before the turn is ours, deeds may not."""

import asyncio

import pytest

from agent.config import DeadlinesConfig
from agent.conversation import History
from agent.errors import ServiceUnavailable
from agent.services.llm import ReplyEvent, TextDelta, ToolCall
from agent.thinking import Thinking
from agent.tools.config import ToolUseConfig
from agent.tools.running import ToolRunner
from agent.tools.toolbox import Toolbox
from tests.fakes.services import ScriptedLlm
from tests.fakes.tools import ScriptedTool, on_call
from tests.fakes.virtual_time import in_virtual_time


def runner(tool: ScriptedTool, history: History) -> ToolRunner:
    toolbox = Toolbox(["*"], [tool])
    clock = asyncio.get_running_loop().time
    return ToolRunner(toolbox, on_call(), ToolUseConfig(), history, asyncio.create_task, lambda *ended: None, clock)


@in_virtual_time
async def test_no_tool_runs_before_the_turn_is_ours() -> None:
    tool, history, is_ours = ScriptedTool(), History("Be brief."), asyncio.Event()
    history.caller_said("where is my order")
    llm = ScriptedLlm(["Let me see.", ToolCall("crm_get_order", {"id": 7}, "c1")], ["It has left."])
    thinking = Thinking(llm, tools=runner(tool, history))
    events: list[ReplyEvent] = []

    async def think() -> None:
        async for event in thinking.reply(history.snapshot(), is_ours):
            events.append(event)

    task = asyncio.create_task(think())
    await asyncio.sleep(5)
    assert events == [TextDelta("Let me see.")]
    assert tool.began == 0
    assert len(history.snapshot().messages) == 2
    is_ours.set()
    await task
    assert tool.began == 1
    assert events[-1] == TextDelta("It has left.")


@in_virtual_time
async def test_what_was_prepared_in_vain_has_done_nothing() -> None:
    tool, history = ScriptedTool(), History("")
    history.caller_said("where is my order")
    thinking = Thinking(ScriptedLlm([ToolCall("crm_get_order", {"id": 7}, "c1")]), tools=runner(tool, history))
    task = asyncio.create_task(anext(thinking.reply(history.snapshot(), asyncio.Event())))
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert tool.began == 0
    assert len(history.snapshot().messages) == 1


@in_virtual_time
async def test_a_tool_may_take_longer_than_the_model_may_be_silent() -> None:
    tool, history = ScriptedTool(takes_s=8.0), History("")
    history.caller_said("where is my order")
    llm = ScriptedLlm([ToolCall("crm_get_order", {"id": 7}, "c1")], ["It has left."])
    thinking = Thinking(llm, deadlines=DeadlinesConfig(llm_stall_ms=1_000), tools=runner(tool, history))
    assert [event async for event in thinking.reply(history.snapshot())][-1] == TextDelta("It has left.")


@in_virtual_time
async def test_a_model_that_stalls_after_a_tool_has_failed() -> None:
    history = History("")
    history.caller_said("where is my order")
    llm = ScriptedLlm([ToolCall("crm_get_order", {"id": 7}, "c1")], [99.0])
    thinking = Thinking(llm, tools=runner(ScriptedTool(), history))
    with pytest.raises(ServiceUnavailable, match="did not begin within"):
        assert [event async for event in thinking.reply(history.snapshot())]
