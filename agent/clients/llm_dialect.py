# SPDX-License-Identifier: GPL-3.0-or-later
"""What one vendor's language model says over HTTP: a request out, events of its answer in, no I/O and no clock.

    Conversation > LlmDialect.request_body > POST > server-sent events > LlmAnswer.receive > ReplyEvent

`agent.clients.hosted_llm` does the rest, the same for all: connections, cutting the stream into events, faults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.services.llm import Conversation, ReplyEvent, ToolCall


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer cost."""

    prompt_tokens: int
    """All of them, cached ones included."""
    completion_tokens: int
    """What was thought included."""
    cached_tokens: int
    """Of the prompt's: the service knew them already."""


class LlmAnswer(Protocol):
    """One answer, as it comes."""

    usage: Usage | None
    """Once it is known."""
    is_complete: bool
    """If the response ended now, nothing would be missing."""
    is_over: bool
    """It is complete, and the service has said that nothing more comes; some never do, but end the response."""

    def receive(self, event: Mapping[str, object]) -> Sequence[ReplyEvent]:
        """What an event brings, tool calls not. Raises `ServiceError`: the service reports one, or withholds its
        answer."""
        ...

    def tool_calls(self) -> Sequence[ToolCall]:
        """What it wants done, once all is read."""
        ...


class LlmDialect(Protocol):
    """One service's talk; it keeps nothing of a conversation."""

    def answer_url(self) -> str: ...

    def probe_url(self) -> str:
        """What answers a GET quickly: to have a connection, and to see whether the key is good."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Of every request, credentials included."""
        ...

    def request_body(self, conversation: Conversation) -> Mapping[str, object]:
        """The request for an answer, whole: services cache what they have read before, so what stays the same from
        turn to turn comes first."""
        ...

    def answer(self) -> LlmAnswer: ...
