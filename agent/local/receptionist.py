# SPDX-License-Identifier: GPL-3.0-or-later
"""The default persona: a receptionist who answers from the knowledge folder and admits what it does not know.

    what the caller said > a cue (goodbye, thanks, a name, "say that again", yes to an offer ...) > its scripted answer
                         > else the best entry of the knowledge > its text, word for word
                         > else "I do not know", and the offer to take a message

No language model: those small enough to run beside the call were measured to make up wrong answers to most questions,
even with the right fact in the prompt. Everything remembered (the name, earlier questions, what was offered) is read
from the conversation each time, so one receptionist serves all calls.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from agent import cues
from agent.knowledge.entry import Match
from agent.knowledge.index import THRESHOLD
from agent.knowledge.library import Knowledge
from agent.remembering import asks_to_be_forgotten
from agent.services.llm import Cited, Conversation, Message, ReplyEvent, TextDelta, ToolCall

DEFAULT_GREETING = "Hello, this is Parley, the assistant of Riverside Dental. How can I help you?"

_OFFER = "Would you like to leave a message?"
_ASK_MESSAGE = "Please tell me your message, and how we can reach you."
_MORE = "Is there anything else I can do for you?"
_HELP = "How can I help you?"
_GO_ON = "What would you like to know?"
_NOT_KNOWN = "I do not know that, I am sorry."
_NOT_UNDERSTOOD = "I am sorry, I did not understand that. Could you say it in other words?"
_NOT_HEARD = "I am sorry, I did not hear you. Could you say that again?"
_MESSAGE_TAKEN = "I have written that down for the front desk."
_NO_PERSON = "I cannot put you through from here."
_GOODBYE = "Goodbye, and thank you for calling."
_HERE = "Yes, I can hear you."
_FINE = "I am fine, thank you."
_WELCOME = "You are welcome."
_TAKE_TIME = "Of course, take your time."
_ALL_RIGHT = "All right."
_NO_MENU = "There is no menu here, just tell me what you would like to know."
_NAME_UNKNOWN = "You have not told me your name yet."
_NOTHING_ASKED = "You have not asked me anything yet."
_NOTHING_REMEMBERED = "I do not remember an earlier call of yours."

_EARLIER_CALL = re.compile(
    r"(?i)\blast time\b|\b(?:last|previous|earlier) (?:phone )?call\b|\bwhen i (?:last )?called\b"
)
_MOST_PREPARED = 200
"""Answers worth rendering before anyone asks: a minute or two of computing, and 20 MB."""
_MOST_PIECES = 5
"""Sentences of one utterance that are looked up on their own."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class _Answer:
    sentences: tuple[str, ...]
    hangs_up: bool = False
    sources: tuple[str, ...] = ()


class Receptionist:
    """A `LanguageModel` on a knowledge folder, shared by all calls."""

    def __init__(self, knowledge: Knowledge, *, threshold: float = THRESHOLD) -> None:
        """Entries that fit a question less well than `threshold` are no answer to it."""
        self.knowledge = knowledge
        self._threshold = threshold

    def sayings(self) -> tuple[str, ...]:
        """All it can say but for names, the most common first: worth rendering before anyone asks."""
        return (
            *(DEFAULT_GREETING, _NOT_KNOWN, _OFFER, _MORE, _WELCOME, _GOODBYE, _NOT_UNDERSTOOD, _NOT_HEARD, _HELP),
            *(_ALL_RIGHT, _ASK_MESSAGE, _MESSAGE_TAKEN, _GO_ON, _NO_PERSON, _NO_MENU, _TAKE_TIME, _FINE, _HERE),
            _NOTHING_REMEMBERED,
            *[entry.answer for entry in self.knowledge.entries if entry.is_prepared][:_MOST_PREPARED],
        )

    async def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        answer = _last_time(conversation) or await self._answer(_whole(conversation))
        if answer.sources:
            yield Cited(answer.sources)
        for number, sentence in enumerate(answer.sentences):
            yield TextDelta(f" {sentence}" if number else sentence)
        if answer.hangs_up:
            yield ToolCall("hang_up")

    async def aclose(self) -> None:
        """Nothing to do: the knowledge belongs to whoever read it."""

    async def _answer(self, messages: Sequence[Message]) -> _Answer:
        last = next((index for index in reversed(range(len(messages))) if messages[index].role == "user"), None)
        if last is None:
            return _say(DEFAULT_GREETING)
        said, before = messages[last].text, messages[:last]
        scripted = _scripted(said, before)
        if scripted is not None:
            return scripted
        if cues.asks_to_repeat(said):
            return await self._again(before)
        return await self._look_up(said, before)

    async def _again(self, before: Sequence[Message]) -> _Answer:
        """The previous answer, whole: the caller may have heard only its beginning."""
        while before and not (before[-1].role == "user" and not cues.asks_to_repeat(before[-1].text)):
            before = before[:-1]
        return await self._answer(before)

    async def _look_up(self, said: str, before: Sequence[Message]) -> _Answer:
        name = cues.caller_name(said)
        question = cues.without_name(said) if name else said
        opening = [f"Nice to meet you, {name}."] if name else []
        if name and len(question.split()) < 2:
            return _say(*opening, _HELP)
        pieces = [piece for piece in _sentences(question) if len(piece.split()) > 1][:_MOST_PIECES]
        asked = list(dict.fromkeys([question, *pieces]))
        if cues.is_follow_up(question) and (earlier := _questions(before)):
            asked.append(f"{earlier[-1]} {question}")
        matches = await self.knowledge.search(*asked)
        if chosen := self._chosen(asked, matches):
            answer = _say(*opening, *(match.entry.answer for match in chosen))
            return replace(answer, sources=tuple(dict.fromkeys(match.entry.source for match in chosen)))
        if len(question.split()) < 3:
            return _say(*opening, _NOT_UNDERSTOOD)
        return _say(*opening, _NOT_KNOWN, _OFFER)

    def _chosen(self, asked: Sequence[str], matches: Sequence[Match]) -> list[Match]:
        """The entry that fits best, or one for each of two questions asked at once."""
        known = [(text, match) for text, match in zip(asked, matches, strict=True) if match.score >= self._threshold]
        if not known:
            return []
        single = {match.entry.answer: match for text, match in known[1:] if text.endswith("?")}
        if len(single) > 1:
            return list(single.values())[:2]
        return [max(known, key=lambda pair: pair[1].score)[1]]


def _scripted(said: str, before: Sequence[Message]) -> _Answer | None:
    """The answer to what is no question for the knowledge; None for everything else."""
    heard = next((message.text for message in reversed(before) if message.role == "assistant"), "")
    name = _name(before)
    if not said.strip():
        return _say(_NOT_HEARD)
    if (keys := cues.pressed_keys(said)) is not None:
        return _say(_NO_PERSON, _OFFER) if keys == "0" else _say(_NO_MENU)
    decision = cues.yes_or_no(said)
    leaves = cues.is_goodbye(said) or (decision is False and _asks(heard, _MORE, _GO_ON))
    if leaves:
        return _say(_named(_GOODBYE, name), hangs_up=True)
    if _asks(heard, _ASK_MESSAGE) and decision is None and not cues.asks_to_repeat(said):
        return _say(_named(_MESSAGE_TAKEN, cues.caller_name(said) or name), _MORE)
    if _asks(heard, _OFFER) and decision is not None:
        return _say(_ALL_RIGHT, _ASK_MESSAGE if decision else _MORE)
    if asks_to_be_forgotten(said):
        return _say(_ALL_RIGHT)  # whoever remembers does the rest, and says so
    if cues.asks_for_message(said):
        return _say(_ALL_RIGHT, _ASK_MESSAGE)
    if cues.asks_for_person(said):
        return _say(_NO_PERSON, _OFFER)
    if cues.asks_own_name(said):
        return _say(f"Your name is {name}." if name else _NAME_UNKNOWN)
    if cues.asks_earlier_question(said):
        return _recall(said, before)
    for is_cue, answer in _SMALL_TALK:
        if is_cue(said):
            return _say(*answer)
    if decision is not None:
        return _say(_GO_ON if decision else _MORE)
    return None


_SMALL_TALK = (
    (cues.is_thanks, (_WELCOME, _MORE)),
    (cues.is_greeting, ("Hello.", _HELP)),
    (cues.asks_wellbeing, (_FINE, _HELP)),
    (cues.asks_to_wait, (_TAKE_TIME,)),
    (cues.asks_for_presence, (_HERE, _HELP)),
)


def _whole(conversation: Conversation) -> tuple[Message, ...]:
    """The conversation after what is kept of its beginning and of earlier calls, as if the caller had just said it."""
    kept = conversation.memory.followed_by(conversation.earlier)
    told = [f"My name is {kept.caller_name}."] if kept.caller_name else []
    return (*(Message("user", text) for text in (*told, *kept.questions)), *conversation.messages)


def _last_time(conversation: Conversation) -> _Answer | None:
    """What was asked in an earlier call, if that is the question."""
    said = next((message.text for message in reversed(conversation.messages) if message.role == "user"), "")
    if not (cues.asks_earlier_question(said) and _EARLIER_CALL.search(said)):
        return None
    questions = conversation.memory.questions
    return _say(f"Last time you asked: {questions[-1]}" if questions else _NOTHING_REMEMBERED)


def _asks(heard: str, *prompts: str) -> bool:
    """The caller heard one of these questions, or enough of it to answer."""
    return any(" ".join(prompt.split()[:4]) in heard for prompt in prompts)


def _recall(said: str, before: Sequence[Message]) -> _Answer:
    questions = _questions(before)
    if not questions:
        return _say(_NOTHING_ASKED)
    recalled = questions[0] if "first" in said.lower() else questions[-1]
    return _say(f"You asked: {recalled}")


def _questions(before: Sequence[Message]) -> list[str]:
    """What the caller wanted to know so far: the utterances that went to the knowledge."""
    found: list[str] = []
    for index, message in enumerate(before):
        # What looks back is no question of its own; following it would look back again, and again.
        if message.role != "user" or cues.asks_to_repeat(message.text) or cues.asks_earlier_question(message.text):
            continue
        if _scripted(message.text, before[:index]) is None:
            question = cues.without_name(message.text)
            if len(question.split()) > 1:
                found.append(question)
    return found


def _name(before: Sequence[Message]) -> str | None:
    """The caller's name, as last told."""
    names = (cues.caller_name(message.text) for message in reversed(before) if message.role == "user")
    return next((name for name in names if name), None)


def _named(sentence: str, name: str | None) -> str:
    """ "Goodbye, and ..." to Anna: "Goodbye, Anna, and ..."; other sentences get the name at their end."""
    if not name:
        return sentence
    first, comma, rest = sentence.partition(", ")
    return f"{first}, {name}, {rest}" if comma else f"{sentence.rstrip('.')}, {name}."


def _say(*sentences: str, hangs_up: bool = False) -> _Answer:
    return _Answer(tuple(part for sentence in sentences for part in _sentences(sentence)), hangs_up)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]
