# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers used again: what a hosted model has answered to one caller's first question answers others who ask the same.

Only what cannot concern one caller alone is kept: the question stands by itself, nothing but small talk came before it,
nothing is known of the caller, and no tool was wanted. The same question means: the same prompt, the same version of
the knowledge, a close vector, and the same words of those that turn a question into another (days, numbers, "not"...),
since vectors hardly tell Saturday from Sunday.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import structlog

from agent import cues
from agent.config import AnswersConfig
from agent.errors import ServiceError
from agent.knowledge.vectors import Vectors
from agent.services.llm import Cited, Conversation, LanguageModel, ReplyEvent, Silence, TextDelta, ToolCall

log = structlog.get_logger(__name__)

_MAX_QUESTION_CHARACTERS = 200
_MAX_ANSWER_CHARACTERS = 2_000

_LEANS = re.compile(
    r"\b(?:it|its|that|this|these|those|they|them|their|he|she|him|her|his|there|same|again|else|other|another|instead"
    r"|earlier|before|said|mentioned|my|mine|me|myself|i'm|i've|our|we|us"
    r"|today|tonight|tomorrow|yesterday|now|currently|this)\b"
)
"""It points to what was said, to this caller or to this moment."""
_SMALL_TALK = (cues.is_greeting, cues.is_thanks, cues.is_backchannel, cues.asks_wellbeing, cues.asks_for_presence)
_DECISIVE = frozenset(
    re.findall(
        r"\w+",
        """monday tuesday wednesday thursday friday saturday sunday weekend weekends weekday weekdays
        mondays tuesdays wednesdays thursdays fridays saturdays sundays holiday holidays christmas easter
        january february march april may june july august september october november december
        morning afternoon evening night noon midnight spring summer autumn fall winter
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand half double
        first second third fourth fifth last next
        not no never without with except unless cannot only
        open opens close closes closed arrive leave start starts end ends before after from until
        book cancel change buy sell rent return refund
        most least more less cheapest cheaper expensive best largest smallest larger smaller large small big long short
        adult adults child children kid kids baby student students senior seniors dog dogs cat cats
        who where when why much many far""",
    )
)
"""Words that turn a question into another one."""


@dataclass(frozen=True, slots=True)
class _Answer:
    vector: Vectors
    decisive: frozenset[str]
    text: str
    sources: tuple[str, ...]
    expires_at: float


class AnswerCache:
    """One agent's answers; synchronous and clockless. The least recently used goes when it is full."""

    def __init__(self, config: AnswersConfig) -> None:
        self._config = config
        self._scope: tuple[str, str] = ("", "")
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        """By question; bounded by `max_entries`: drops the least recently used."""

    def __len__(self) -> int:
        return len(self._answers)

    def find(
        self, question: str, vector: Vectors, scope: tuple[str, str], now: float
    ) -> tuple[str, tuple[str, ...]] | None:
        """Text and sources of the closest answer that will do. `scope`: prompt and version of the knowledge."""
        self._enter(scope, now)
        decisive = decisive_words(question)
        best, found = self._config.threshold, None
        for key, answer in self._answers.items():
            closeness = float(answer.vector @ vector)
            if closeness >= best and answer.decisive == decisive:
                best, found = closeness, key
        if found is None:
            return None
        self._answers.move_to_end(found)
        return self._answers[found].text, self._answers[found].sources

    def keep(
        self, question: str, vector: Vectors, scope: tuple[str, str], text: str, sources: tuple[str, ...], now: float
    ) -> None:
        """What was answered to that, whole. Dropped when `scope` is no longer the one in force."""
        if scope != self._scope or len(text) > _MAX_ANSWER_CHARACTERS:
            return
        self._answers[question] = _Answer(vector, decisive_words(question), text, sources, now + self._config.ttl_s)
        self._answers.move_to_end(question)
        while len(self._answers) > self._config.max_entries:
            self._answers.popitem(last=False)

    def _enter(self, scope: tuple[str, str], now: float) -> None:
        if scope != self._scope:
            self._scope = scope
            self._answers.clear()
        for key in [key for key, answer in self._answers.items() if answer.expires_at <= now]:
            del self._answers[key]


class RememberingModel:
    """A `LanguageModel` that is asked only what is new; its words are kept when they are whole."""

    def __init__(
        self,
        llm: LanguageModel,
        cache: AnswerCache,
        embed: Callable[[str], Awaitable[Vectors]],
        version: Callable[[], str],
        clock: Callable[[], float],
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """`embed`: unit vector of a text; `version`: of the knowledge; `count` is told `hit` or `miss`."""
        self._llm = llm
        self._cache = cache
        self._embed = embed
        self._version = version
        self._clock = clock
        self._count = count

    async def reply(self, conversation: Conversation) -> AsyncIterator[ReplyEvent]:
        question = shareable_question(conversation)
        vector = None if question is None else await self._vector(question)
        if question is None or vector is None:
            async with aclosing(cast(Any, self._llm.reply(conversation))) as events:
                async for event in events:
                    yield event
            return
        prompt = "\n".join(message.text for message in conversation.messages if message.role == "system")
        scope = (prompt, self._version())
        if found := self._cache.find(question, vector, scope, self._clock()):
            self._count("hit")
            text, sources = found
            if sources:
                yield Cited(sources)
            yield TextDelta(text)
            return
        self._count("miss")
        said, is_words_only = "", True
        async with aclosing(cast(Any, self._llm.reply(conversation))) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        said += text
                    case ToolCall() | Silence() | Cited():
                        is_words_only = False
                yield event
        if said.strip() and is_words_only and scope[1] == self._version():
            sources = tuple(dict.fromkeys(note.source for note in conversation.notes if note.source))
            self._cache.keep(question, vector, scope, said, sources, self._clock())

    async def aclose(self) -> None:
        await self._llm.aclose()

    async def _vector(self, question: str) -> Vectors | None:
        try:
            return await self._embed(question)
        except ServiceError as error:
            log.warning("answers_not_looked_up", service=error.service, detail=error.detail)
            return None


def shareable_question(conversation: Conversation) -> str | None:
    """The last user message, if its answer would be the same for every caller."""
    messages = conversation.messages
    if not messages or messages[-1].role != "user" or conversation.earlier or conversation.memory:
        return None
    if conversation.metadata.keys() - _OF_THE_LINE or any(note.source in _PERSONAL for note in conversation.notes):
        return None
    *before, question = (message.text for message in messages if message.role == "user")
    if any(message.role == "tool" for message in messages):
        return None
    if not all(any(is_cue(text) for is_cue in _SMALL_TALK) for text in before):
        return None
    return question if stands_alone(question) else None


_OF_THE_LINE = frozenset({"sip_call_id", "trunk"})
"""Metadata that every call has, and no model is shown; any other was given to this one."""
_PERSONAL = frozenset({"memory", "caller", "lookup"})


def stands_alone(text: str) -> bool:
    """A question that needs nothing else to be understood, from anybody, at any time."""
    if len(text.split()) < 3 or len(text) > _MAX_QUESTION_CHARACTERS:
        return False
    if cues.is_follow_up(text) or cues.is_whole_turn(text) or cues.pressed_keys(text) or cues.caller_name(text):
        return False
    return not any(is_cue(text) for is_cue in _SMALL_TALK) and not _LEANS.search(_plain(text))


def decisive_words(text: str) -> frozenset[str]:
    """Numbers, names (capitals inside the sentence), days, negations and the like: equal in questions that are."""
    words = re.findall(r"[\w']+", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    found = set()
    for index, word in enumerate(words):
        plain = word.lower()
        is_name = index > 0 and word[0].isupper() and not re.match(r"I(?:'|$)", word)
        if plain.endswith("n't"):
            found.add("not")
        elif plain in _DECISIVE or is_name or any(character.isdigit() for character in plain):
            found.add(plain.removesuffix("s") if plain not in ("does", "is") else plain)
    return frozenset(found)


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
