# SPDX-License-Identifier: GPL-3.0-or-later
"""From a turn to the words of its answer: what bears on it is looked up, then the language model streams.

conversation > ContextSource, all side by side > notes > LanguageModel > ReplyEvent
                                       its tool calls > ToolRunner > results > LanguageModel > ...
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import structlog

from agent.config import DeadlinesConfig
from agent.deadlines import asked_again, in_time, within
from agent.errors import ServiceError
from agent.services.context import ContextSource
from agent.services.llm import (
    Cited,
    ContextNote,
    Conversation,
    LanguageModel,
    Message,
    Pause,
    ReplyEvent,
    Silence,
    TextDelta,
    ToolCall,
)
from agent.tools.running import RunningTool, ToolRunner

log = structlog.get_logger(__name__)

HANG_UP = "hang_up"
_NOT_HUNG_UP = "Not done: something else went wrong before it."
_NO_MORE_TOOLS = "[No more tools can be used for this answer: answer with what is known.]"


class Thinking:
    """One call's; model and sources are shared by all calls of the agent."""

    def __init__(
        self,
        llm: LanguageModel,
        sources: Sequence[ContextSource] = (),
        *,
        sources_ms: int = 300,
        deadlines: DeadlinesConfig | None = None,
        tools: ToolRunner | None = None,
    ) -> None:
        """A source that takes longer than `sources_ms`, or fails, is done without: the caller waits. `tools` None: what
        the model asks for is handed on, which is how a receptionist hangs up."""
        self._llm = llm
        self._sources = tuple(sources)
        self._sources_ms = sources_ms
        self._deadlines = deadlines or DeadlinesConfig()
        self._tools = tools
        self.is_acting = False
        """Tools run, or have been asked for; the caller is told when that takes long."""

    async def reply(
        self, conversation: Conversation, is_ours: asyncio.Event | None = None
    ) -> AsyncGenerator[ReplyEvent, None]:
        """The answer to the last user message, as it comes. Closing the iterator cancels. Raises `ServiceError`.

        `is_ours` is not set while the caller may still go on: until then nothing is done that could be noticed outside
        or could not be thrown away, so no tool runs. None: the turn is ours.
        """
        if self._sources:
            found = await asyncio.gather(*(self._ask(source, conversation) for source in self._sources))
            notes = tuple(note for some in found for note in some)
            conversation = replace(conversation, notes=(*conversation.notes, *notes))
        cited = tuple(dict.fromkeys(note.source for note in conversation.notes if note.source))
        answer = self._in_time(conversation) if self._tools is None else self._act(conversation, self._tools, is_ours)
        async with aclosing(answer) as events:
            async for event in events:
                if cited and not isinstance(event, Cited):
                    yield Cited(cited)  # not before: whoever waits for the model's first word waits for the first event
                cited = ()  # an answer that is used again cites what it was made from
                yield event

    def _in_time(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        deadlines = self._deadlines
        first_ms, next_ms = deadlines.llm_first_token_ms, deadlines.llm_stall_ms
        return asked_again(
            lambda: within(self._llm.reply(conversation), "llm", first_ms=first_ms, next_ms=next_ms),
            within_ms=deadlines.retry_within_ms,
        )

    async def _act(
        self, conversation: Conversation, tools: ToolRunner, is_ours: asyncio.Event | None
    ) -> AsyncGenerator[ReplyEvent, None]:
        """Answer, doing what the model wants done on the way."""
        conversation = replace(conversation, tools=tools.specs())
        fillers = iter(tools.config.filler)
        for rounds_left in reversed(range(tools.config.max_rounds + 1)):
            said = ""
            calls: list[ToolCall] = []
            async with aclosing(self._in_time(conversation)) as events:
                async for event in events:
                    match event:
                        case ToolCall():
                            calls.append(event)
                        case TextDelta(text):
                            said += text
                            yield event
                        case _:
                            yield event
            if not calls or not conversation.tools:
                return
            if is_ours is not None:
                await is_ours.wait()
            may_hang_up = any(spec.name == HANG_UP for spec in conversation.tools)
            hang_up = next((call for call in calls if call.name == HANG_UP and may_hang_up), None)
            wanted = [call for call in calls if hang_up is None or call.name != HANG_UP]
            if wanted and said:
                yield Pause()
            self.is_acting = True
            running = [tools.begin(call) for call in wanted]
            try:
                async with aclosing(self._wait(running, tools, fillers, told=bool(said))) as words:
                    async for event in words:
                        yield event
            finally:
                self.is_acting = False
                for tool in running:
                    if tool.outcome is None:
                        tool.interrupt()
            if all(tool.outcome == "ok" for tool in running) and (
                hang_up is not None or any(tool.ends_reply for tool in running)
            ):
                yield hang_up or Silence()
                return
            conversation = _after(conversation, said, running, hang_up, is_last=rounds_left <= 1)

    async def _wait(
        self, running: Sequence[RunningTool], tools: ToolRunner, fillers: Iterator[str], *, told: bool
    ) -> AsyncGenerator[ReplyEvent, None]:
        """Until all are done; the caller is told to wait, when it takes longer than one waits in silence. `told`: the
        model has done so already."""
        pending = {tool.task for tool in running if tool.task is not None}
        config = tools.config
        wait_ms = config.filler_again_ms if told else config.filler_after_ms
        fills = any(tool.fills for tool in running)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=wait_ms / 1e3 if fills else None)
            if pending and (filler := next(fillers, None)) is not None:
                yield TextDelta(f" {filler} ")
                yield Pause()
                wait_ms = config.filler_again_ms
            else:
                fills = False

    async def _ask(self, source: ContextSource, conversation: Conversation) -> Sequence[ContextNote]:
        try:
            return await in_time(source.notes(conversation), "context", self._sources_ms)
        except ServiceError as error:
            log.warning("context_missing", service=error.service, detail=error.detail)
            return ()


def _after(
    conversation: Conversation,
    said: str,
    running: Sequence[RunningTool],
    hang_up: ToolCall | None,
    *,
    is_last: bool,
) -> Conversation:
    """The conversation with what was done. After the last round there are no tools any more."""
    calls = (*(tool.call for tool in running), *((hang_up,) if hang_up is not None else ()))
    results = [Message("tool", tool.text, tool_call_id=tool.call.call_id) for tool in running]
    if hang_up is not None:
        results.append(Message("tool", _NOT_HUNG_UP, tool_call_id=hang_up.call_id))
    if is_last:
        results[-1] = replace(results[-1], text=f"{results[-1].text}\n{_NO_MORE_TOOLS}")
    messages = (*conversation.messages, Message("assistant", said.strip(), tool_calls=calls), *results)
    return replace(conversation, messages=messages, tools=() if is_last else conversation.tools)
