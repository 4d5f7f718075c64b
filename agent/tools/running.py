# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools of one call at work: each in a task of its own, its result in the history, its end told as an event.

A reply may be gone before its tools are (the caller broke in): the history has the call from its beginning and its
result from its end, so that the next turn knows either.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, Protocol

import structlog
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from agent.errors import ServiceError, ToolFailed
from agent.services.llm import ToolCall, ToolSpec
from agent.tools.config import ToolUseConfig
from agent.tools.tool import OnCall, Tool
from agent.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)

Outcome = Literal["ok", "failed", "timeout", "cancelled"]

RUNNING = "(It is still running; its result will stand here.)"
_CANCELLED = "Cancelled, because the caller spoke. It may have been done, or not."
_MAX_DETAIL = 500
_NO_OTHER_SCHEMAS: Registry[Any] = Registry()
"""By default `jsonschema` would fetch what a `$ref` names from wherever it is: past the guard, on the event loop."""


class ToolHistory(Protocol):
    """Where the results go (`agent.conversation.History`)."""

    def tool_began(self, call: ToolCall, text: str) -> None: ...

    def tool_done(self, call_id: str, text: str) -> None: ...


OnToolDone = Callable[[str, Outcome, float, float], None]
"""Told the tool's key, what became of it, and when it began and ended."""


class ToolRunner:
    """One call's."""

    def __init__(
        self,
        toolbox: Toolbox,
        on_call: OnCall,
        config: ToolUseConfig,
        history: ToolHistory,
        start: Callable[[Coroutine[object, object, None]], "asyncio.Task[None]"],
        on_done: OnToolDone,
        clock: Callable[[], float],
    ) -> None:
        """`start` runs what it is given until it is done or the session ends."""
        self.config = config
        self._toolbox = toolbox
        self._on_call = on_call
        self._history = history
        self._start = start
        self._on_done = on_done
        self._clock = clock

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._toolbox.specs()

    def begin(self, call: ToolCall) -> "RunningTool":
        """Do what the model wants, unless that cannot be."""
        tool = self._toolbox.tools().get(call.name)
        running = RunningTool(call, tool, self.config)
        self._history.tool_began(call, RUNNING)
        if tool is None:
            log.warning("tool_unknown", tools=len(self._toolbox.tools()))
            running.finish("failed", f"Error: there is no tool {call.name[:64]!r}.")
            self._history.tool_done(call.call_id, running.text)
            return running
        running.task = self._start(self._run(running, tool))
        return running

    async def _run(self, running: "RunningTool", tool: Tool) -> None:
        """Never raises but for cancellation: what goes wrong is for the model."""
        began_at = self._clock()
        timeout_ms = tool.traits.timeout_ms or self.config.timeout_ms
        outcome: Outcome = "cancelled"
        text = _CANCELLED
        try:
            problem = running.call.problem or _misfit(tool.spec, running.call.arguments)
            if problem:
                raise ToolFailed(problem)
            async with asyncio.timeout(timeout_ms / 1e3):
                text = await tool.run(running.call.arguments, self._on_call)
            outcome = "ok"
        except TimeoutError:
            outcome, text = "timeout", f"Error: it did not answer within {timeout_ms / 1e3:g} seconds."
        except (ToolFailed, ServiceError) as fault:
            outcome, text = "failed", f"Error: {str(fault)[:_MAX_DETAIL]}"
        except Exception as fault:  # a tool's own bug, of whatever kind, must not end the call
            log.error("tool_fault", tool=tool.key, kind=type(fault).__name__)
            log.debug("tool_fault", exc_info=True)  # its message may quote what was said
            outcome, text = "failed", "Error: it does not work at the moment."
        finally:
            ended_at = self._clock()
            running.finish(outcome, text)
            self._history.tool_done(running.call.call_id, running.text)
            log.info("tool_called", tool=tool.key, outcome=outcome, took_ms=round((ended_at - began_at) * 1e3))
            self._on_done(tool.key, outcome, began_at, ended_at)


class RunningTool:
    """One use of one tool."""

    def __init__(self, call: ToolCall, tool: Tool | None, config: ToolUseConfig) -> None:
        self.call = call
        self.task: asyncio.Task[None] | None = None
        self.text = RUNNING
        self.outcome: Outcome | None = None
        self._tool = tool
        self._config = config

    @property
    def fills(self) -> bool:
        return self._tool is not None and self._tool.traits.fills

    @property
    def ends_reply(self) -> bool:
        return self.outcome == "ok" and self._tool is not None and self._tool.traits.ends_reply

    def finish(self, outcome: Outcome, text: str) -> None:
        self.outcome = outcome
        self.text = trimmed(text.strip() or "Done.", self._config.max_result_chars)

    def interrupt(self) -> None:
        """The reply that wanted it is gone."""
        policy = self._tool.traits.on_interruption if self._tool is not None else None
        if self.task is not None and (policy or self._config.on_interruption) == "cancel":
            self.task.cancel()


def trimmed(text: str, max_chars: int) -> str:
    """At most about that long; what is left out is told."""
    left = len(text) - max_chars
    return text if left <= 0 else f"{text[:max_chars]} [... {left} more characters]"


def _misfit(spec: ToolSpec, arguments: Mapping[str, Any]) -> str:
    """Why the arguments do not fit the schema; empty when they do."""
    try:
        validator = Draft202012Validator(spec.parameters, registry=_NO_OTHER_SCHEMAS)
        fault = best_match(validator.iter_errors(dict(arguments)))
    except (SchemaError, Unresolvable):
        return ""  # somebody else's schema: its server will judge
    if fault is None:
        return ""
    where = ".".join(str(part) for part in fault.absolute_path)
    return f"the arguments do not fit{f' ({where})' if where else ''}: {fault.message}"
