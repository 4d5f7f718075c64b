# SPDX-License-Identifier: GPL-3.0-or-later
"""From a turn to the words of its answer: what bears on it is looked up, then the language model streams.

conversation > ContextSource, all side by side > notes > LanguageModel > ReplyEvent
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace

import structlog

from agent.deadlines import in_time
from agent.errors import ServiceError
from agent.services.context import ContextSource
from agent.services.llm import Cited, ContextNote, Conversation, LanguageModel, ReplyEvent

log = structlog.get_logger(__name__)


class Thinking:
    """One agent's, shared by all its calls."""

    def __init__(self, llm: LanguageModel, sources: Sequence[ContextSource] = (), *, sources_ms: int = 300) -> None:
        """A source that takes longer than `sources_ms`, or fails, is done without: the caller waits."""
        self._llm = llm
        self._sources = tuple(sources)
        self._sources_ms = sources_ms

    async def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        """The answer to the last user message, as it comes. Closing the iterator cancels. Raises `ServiceError`."""
        if self._sources:
            found = await asyncio.gather(*(self._ask(source, conversation) for source in self._sources))
            notes = tuple(note for some in found for note in some)
            conversation = replace(conversation, notes=(*conversation.notes, *notes))
        cited = tuple(dict.fromkeys(note.source for note in conversation.notes if note.source))
        words = self._llm.reply(conversation)
        async with aclosing(words) if isinstance(words, AsyncGenerator) else nullcontext(words) as events:
            async for event in events:
                if cited:  # not before: whoever waits for the model's first word waits for the first event
                    yield Cited(cited)
                    cited = ()
                yield event

    async def _ask(self, source: ContextSource, conversation: Conversation) -> Sequence[ContextNote]:
        try:
            return await in_time(source.notes(conversation), "context", self._sources_ms)
        except ServiceError as error:
            log.warning("context_missing", service=error.service, detail=error.detail)
            return ()
