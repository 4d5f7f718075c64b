# SPDX-License-Identifier: GPL-3.0-or-later
"""Several language models as one.

    conversation > race > first model > words ───────────────────────────────> ReplyEvent
                        > it fails, or is late: the conversation and what was said > second model > the rest

Words come whole, so that nobody falls silent within one. Tool calls are handed on when the model that wants them has
ended its answer: what a model wanted that then failed is not done, and the next one may want it, so that nothing is
done twice.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from agent.chains.continuation import Continuation, WholeWords
from agent.chains.events import OnChainEvent
from agent.chains.member import Member
from agent.chains.race import Rules, race
from agent.errors import ServiceUnavailable
from agent.services.llm import Conversation, LanguageModel, Message, Pause, ReplyEvent, TextDelta, ToolCall

_FIRST_S = 2.0
_NEXT_S = 1.0
_GO_ON = (
    "[The line to you broke in the middle of your answer. The caller has heard everything that you said above, and "
    "nothing after it. Go on with the very next word, as if nothing had happened: do not repeat what you said, do not "
    "begin again, do not mention this. If nothing is missing, answer with nothing.]"
)


class LanguageModelChain:
    """A `LanguageModel`. Its members belong to whoever made them: it closes none."""

    def __init__(
        self,
        name: str,
        members: Sequence[Member[LanguageModel]],
        *,
        hedge_after_ms: int = 0,
        on_event: OnChainEvent = lambda event: None,
    ) -> None:
        """`hedge_after_ms`: after so long without anything from one, the next is asked as well, at the beginning and in
        the middle; 0: after 2 s at the beginning, 1 s in the middle."""
        hedge_s = hedge_after_ms / 1e3
        self._members = tuple(members)
        self._rules = Rules(name, "llm", hedge_s or _FIRST_S, hedge_s or _NEXT_S, on_event)

    async def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        """Stream the answer. Raises `ServiceError`."""
        said = ""

        def ask(member: Member[LanguageModel]) -> AsyncIterator[ReplyEvent]:
            return _asked(member, conversation, said)

        async with aclosing(race(self._rules, self._members, ask)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    said += event.text
                yield event

    async def aclose(self) -> None: ...


async def _asked(
    member: Member[LanguageModel], conversation: Conversation, said: str
) -> AsyncGenerator[ReplyEvent, None]:
    """What this model adds to what was said."""
    words, new = WholeWords(), Continuation(said)
    calls: list[ToolCall] = []
    is_empty = not said
    if said and member.continues:
        told = (Message("assistant", said.strip()), Message("user", _GO_ON))
        conversation = replace(conversation, messages=(*conversation.messages, *told))
    elif said:
        yield Pause()  # it will begin a sentence of its own
    events = member.service.reply(conversation)
    try:
        async for event in events:
            is_empty = False
            match event:
                case TextDelta(text):
                    if text := new.push(words.push(text)):
                        yield TextDelta(text)
                case ToolCall():
                    calls.append(event)
                case Pause():
                    if text := new.push(words.flush()) + new.flush():
                        yield TextDelta(text)
                    yield event
                case _:
                    yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
    if text := new.push(words.flush()) + new.flush():
        yield TextDelta(text)
    for call in calls:
        yield call
    if is_empty:
        raise ServiceUnavailable(member.name, "the answer was empty")
