# SPDX-License-Identifier: GPL-3.0-or-later
"""From messages to a `Recollection`: picked out by rules (`recollect`), or also told by a language model.

The rules are deterministic and need nothing: names by their introductions, questions by being no cue ("yes", "thanks",
"goodbye", keys), answers by what was heard after them, messages by having been asked for. A model that can
(`Summarizer`) writes prose in their place; the rules' fields stay beside it.
"""

import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Protocol

from agent import cues
from agent.deadlines import within
from agent.recollection import Exchange, Recollection, clip
from agent.services.llm import Conversation, LanguageModel, Message, TextDelta

_ASKS_FOR_MESSAGE = re.compile(
    r"\b(?:tell|leave|give) (?:me|us) (?:your|the|a) message\b|\bwhat is your message\b", re.I
)
_NO_QUESTION: tuple[cues.Cue, ...] = (
    cues.is_goodbye,
    cues.is_thanks,
    cues.is_greeting,
    cues.is_backchannel,
    cues.asks_wellbeing,
    cues.asks_to_wait,
    cues.asks_for_presence,
    cues.asks_to_repeat,
    cues.asks_own_name,
    cues.asks_earlier_question,
)
_SUMMARIZE = (
    "Summarize this part of a telephone call for yourself, who will go on with it, in at most 120 words: who the "
    "caller is, what they want, facts and numbers they gave, what they were told, what was promised or is still open. "
    "Only what was said."
)


class Summarizer(Protocol):
    """Writes summaries; one for all calls."""

    async def summarize(self, earlier: Recollection, messages: Sequence[Message]) -> str:
        """What was before, and these messages after it, in few words. Raises `ServiceError`."""
        ...


class LlmSummarizer:
    """A language model that follows instructions, as a `Summarizer`."""

    def __init__(self, llm: LanguageModel, *, timeout_ms: int = 20_000) -> None:
        self._llm = llm
        self._timeout_ms = timeout_ms

    async def summarize(self, earlier: Recollection, messages: Sequence[Message]) -> str:
        said = [f"{'Caller' if one.role == 'user' else 'You'}: {one.text}" for one in messages if _is_spoken(one)]
        before = [f"Before that: {earlier.text}"] if earlier else []
        asked = Conversation((Message("system", _SUMMARIZE), Message("user", "\n".join((*before, *said)))))
        words = within(self._llm.reply(asked), "llm", first_ms=self._timeout_ms, next_ms=self._timeout_ms)
        async with aclosing(words) as events:
            return "".join([event.text async for event in events if isinstance(event, TextDelta)]).strip()


def recollect(messages: Sequence[Message]) -> Recollection:
    """What there is to keep of these messages."""
    name = ""
    exchanges: list[Exchange] = []
    left: list[str] = []
    spoken = [message for message in messages if _is_spoken(message)]
    for index, message in enumerate(spoken):
        if message.role != "user":
            continue
        name = cues.caller_name(message.text) or name
        before = spoken[index - 1].text if index and spoken[index - 1].role == "assistant" else ""
        if _ASKS_FOR_MESSAGE.search(before) and cues.yes_or_no(message.text) is None:
            left.append(clip(message.text))
        elif question := question_in(message.text):
            after = spoken[index + 1] if index + 1 < len(spoken) else None
            answered = after.text if after is not None and after.role == "assistant" else ""
            exchanges.append(Exchange(clip(question), clip(answered)))
    found = Recollection()
    for exchange in exchanges:  # one by one: bounded as they come
        found = found.followed_by(Recollection(exchanges=(exchange,)))
    return found.followed_by(Recollection(name, (), tuple(left)))


def question_in(said: str) -> str:
    """What the caller wanted by these words, without an introduction; empty when it is nothing worth keeping."""
    if cues.pressed_keys(said) is not None or cues.yes_or_no(said) is not None:
        return ""
    if any(is_cue(said) for is_cue in _NO_QUESTION):
        return ""
    question = cues.without_name(said)
    return question if len(question.split()) > 1 else ""


def _is_spoken(message: Message) -> bool:
    return message.role in ("user", "assistant") and bool(message.text.strip())
