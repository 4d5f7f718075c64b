# SPDX-License-Identifier: GPL-3.0-or-later
"""What a language model should know for a turn and cannot know by itself, as the agent sees it."""

from collections.abc import Sequence
from typing import Protocol

from agent.services.llm import ContextNote, Conversation


class ContextSource(Protocol):
    """The knowledge, a customer database...; one for all calls, state lives in the conversation and in caches."""

    async def notes(self, conversation: Conversation) -> Sequence[ContextNote]:
        """What bears on the last user message, the best first; nothing when nothing does. Raises `ServiceError`.

        It is asked while the caller still speaks, too, with the words so far: asking the same again should be cheap.
        """
        ...
