# SPDX-License-Identifier: GPL-3.0-or-later
"""Heard truth: what was said on a call, and of our own words only those that were really sent.

`History` is the whole call and yields the immutable snapshots that language models answer; a long call's beginning is
in it as a summary. `SpokenReply` follows one
reply, clause by clause (one utterance id each), and says at any moment which words of it the caller has heard.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agent.audible import AudibleTime
from agent.recollection import NOTHING, Recollection
from agent.services.llm import ContextNote, Conversation, Message, ToolCall
from agent.speakable import speakable
from agent.summary import recollect
from media.frames import PcmSamples
from media.playout import Cleared

_SIGNS = ",.;:?!"
_SIGN_LETTERS = 2
"""The word before a sign is drawn out by so many letters."""
_LATE_S = 0.06
"""Words are said so much later than letters and audible samples make believe: last words are drawn out."""
_CHARACTERS_PER_S = 15.0
"""How fast voices speak, roughly: to guess the length of a clause that was cut before it was rendered whole."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The older part of a history that is about to become a summary."""

    number: int
    earlier: Recollection
    """What is before it."""
    messages: tuple[Message, ...]


class History:
    """The messages of one call so far: the newest word for word, those before them as a summary in the prompt.

    The summary grows in big steps: the beginning of what a language model is shown stays the same for dozens of turns,
    so that a service which caches what it has read before need not read it again.
    """

    def __init__(
        self,
        prompt: str,
        caller: str = "",
        metadata: Mapping[str, str] | None = None,
        *,
        max_messages: int = 120,
        max_characters: int = 48_000,
    ) -> None:
        """With more messages or characters than that, the older half of them is folded into the summary."""
        self._prompt = prompt
        self._messages: list[Message] = []
        """Bounded by `max_messages` and `max_characters`: the oldest become the summary."""
        self._characters = 0
        self._caller = caller
        self._metadata = dict(metadata or {})
        self._max_messages = max_messages
        self._max_characters = max_characters
        self._earlier = NOTHING
        self._folds = 0
        """How often that has happened."""
        self._is_summarizing = False
        self._system = self._system_message()
        self.memory = NOTHING
        """What is remembered of this caller's earlier calls."""

    @property
    def is_empty(self) -> bool:
        """Nobody has said anything yet."""
        return not self._messages and not self._earlier

    @property
    def recollection(self) -> Recollection:
        """What there is to keep of the whole call."""
        return self._earlier.followed_by(recollect(self._messages))

    def restore(self, messages: Iterable[Message]) -> None:
        """Go on after these, of a call that broke off."""
        for message in messages:
            if message.role == "assistant":
                self.agent_said(message.text, interrupted=message.interrupted)
            else:
                self._append(message)

    @property
    def awaits_answer(self) -> bool:
        """The caller has spoken last, or a tool for them."""
        return bool(self._messages) and self._messages[-1].role in ("user", "tool")

    def dump(self) -> str:
        """All of it but the prompt, as JSON, for another process that is to go on with the call."""
        messages = [asdict(message) for message in self._messages]
        recollections = {"earlier": self._earlier.to_json(), "memory": self.memory.to_json()}
        return json.dumps({"messages": messages, **recollections}, separators=(",", ":"), default=str)

    def load(self, dumped: str) -> None:
        """Go on after what `dump` of this version wrote. Raises `ValueError` for anything else."""
        try:
            kept = json.loads(dumped)
            messages = [_message(fields) for fields in kept["messages"]]
            earlier, memory = (Recollection.from_json(kept[name]) for name in ("earlier", "memory"))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"no history: {type(error).__name__}") from None
        self._messages = messages
        self._characters = sum(len(message.text) for message in messages)
        self._earlier, self.memory = earlier, memory
        self._system = self._system_message()

    def caller_said(self, text: str) -> None:
        self._append(Message("user", text))

    def take_back_caller(self) -> None:
        """The turn last entered was not over after all; its whole text will come again."""
        for index in reversed(range(len(self._messages))):
            message = self._messages[index]
            if message.role == "user":
                self._characters -= len(message.text)
                del self._messages[index]
            if message.role != "tool" and not message.tool_calls:  # what was done for it remains done
                return

    def agent_said(self, heard_text: str, *, interrupted: bool) -> None:
        """Nothing is entered for a reply of which no word was heard. A resumed reply continues its message."""
        if not heard_text:
            return
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "assistant" and not last.tool_calls:
            self._messages[-1] = replace(last, text=f"{last.text} {heard_text}", interrupted=interrupted)
            self._characters += len(heard_text) + 1
            self._maybe_fold()
        else:
            self._append(Message("assistant", heard_text, interrupted))

    def tool_began(self, call: ToolCall, text: str) -> None:
        """The model uses a tool, whose result is not there yet; `text` says so."""
        self._append(Message("assistant", "", tool_calls=(call,)))
        self._append(Message("tool", text, tool_call_id=call.call_id))

    def tool_done(self, call_id: str, text: str) -> None:
        """Its result: in place, however much was said meanwhile."""
        for index in reversed(range(len(self._messages))):
            if self._messages[index].role == "tool" and self._messages[index].tool_call_id == call_id:
                self._characters += len(text) - len(self._messages[index].text)
                self._messages[index] = replace(self._messages[index], text=text)
                return

    def snapshot(self) -> Conversation:
        return Conversation(
            (*self._system, *self._messages),
            self._caller,
            self._metadata,
            notes=(ContextNote("memory", f"From earlier calls: {self.memory.text}"),) if self.memory else (),
            earlier=self._earlier,
            memory=self.memory,
        )

    def begin_fold(self) -> Fold | None:
        """What a language model should summarize now, well before the rules must; None: nothing, or it is at it."""
        if self._is_summarizing or len(self._messages) < self._max_messages * 3 // 4:
            return None
        cut = self._cut()
        if not cut:
            return None
        self._is_summarizing = True
        return Fold(self._folds, self._earlier, tuple(self._messages[:cut]))

    def finish_fold(self, fold: Fold, summary: str) -> None:
        """Its summary; empty: there is none. What comes too late is dropped."""
        self._is_summarizing = False
        if summary and fold.number == self._folds:
            self._fold(len(fold.messages), summary)

    def _append(self, message: Message) -> None:
        self._messages.append(message)
        self._characters += len(message.text)
        self._maybe_fold()

    def _maybe_fold(self) -> None:
        if len(self._messages) <= self._max_messages and self._characters <= self._max_characters:
            return
        if cut := self._cut():
            self._fold(cut)
        while len(self._messages) > 2 * self._max_messages:  # nobody has taken turns: drops oldest
            self._characters -= len(self._messages.pop(0).text)

    def _cut(self) -> int:
        """How many messages are the older half: up to where the caller says something, at most to the last time."""
        turns = [index for index, message in enumerate(self._messages) if message.role == "user" and index]
        return next((index for index in turns if index >= len(self._messages) // 2), turns[-1] if turns else 0)

    def _fold(self, count: int, summary: str = "") -> None:
        folded = self._messages[:count]
        earlier = self._earlier.followed_by(recollect(folded))
        self._earlier = earlier.told_as(summary) if summary else earlier
        del self._messages[:count]
        self._characters -= sum(len(message.text) for message in folded)
        self._folds += 1
        self._system = self._system_message()

    def _system_message(self) -> tuple[Message, ...]:
        """One message: some models take no second one."""
        said = f"Earlier in this call: {self._earlier.text}" if self._earlier else ""
        text = "\n\n".join(part for part in (self._prompt, said) if part)
        return (Message("system", text),) if text else ()


def _message(fields: dict[str, Any]) -> Message:
    return Message(**{**fields, "tool_calls": tuple(ToolCall(**call) for call in fields["tool_calls"])})


@dataclass(slots=True)
class SpokenClause:
    """One clause on its way to the caller."""

    utterance_id: int
    text: str
    sample_rate_hz: int
    written_samples: int = 0
    is_whole: bool = False
    """The engine has rendered it to its end."""
    audible: AudibleTime = field(default_factory=AudibleTime, repr=False, compare=False)
    """Of what was written."""

    def wrote(self, samples: PcmSamples) -> None:
        """The playout has taken these."""
        self.written_samples += len(samples)
        self.audible.append(samples, self.sample_rate_hz)

    def heard_words(self, heard_samples: int) -> int:
        """How many words were out, by their spoken letters and by audible time; one counts from its middle on."""
        words = self.text.split()
        if self.is_whole and 0 < self.written_samples <= heard_samples:
            return len(words)
        whole_samples = self.audible.total
        if whole_samples:
            heard_samples = max(0, self.audible.until(heard_samples) - round(_LATE_S * self.sample_rate_hz))
        else:
            whole_samples = self.written_samples
        if not self.is_whole:
            guess_s = len(self.text) / _CHARACTERS_PER_S
            whole_samples = max(whole_samples, round(guess_s * self.sample_rate_hz))
        if whole_samples == 0:
            return 0
        lengths = [len(speakable(word)) + _SIGN_LETTERS * (word[-1] in _SIGNS) for word in words]
        heard_letters = sum(lengths) * min(1.0, heard_samples / whole_samples)
        letters = 0.0
        for count, length in enumerate(lengths):
            if letters + length / 2 > heard_letters:
                return count
            letters += length
        return len(words)


@dataclass(slots=True)
class SpokenReply:
    """The clauses of one reply, in the order in which they were written."""

    clauses: list[SpokenClause] = field(default_factory=list)

    @property
    def text(self) -> str:
        return _join([clause.text for clause in self.clauses])

    def split(self, cleared: Cleared) -> tuple[str, str]:
        """What was heard, and what was rendered but not heard, given what `clear()` threw away.

        The queue is first in, first out: a clause that was not thrown away has been sent.
        """
        heard_samples = {heard.utterance_id: heard.heard_samples for heard in cleared.utterances}
        heard: list[str] = []
        rest: list[str] = []
        for clause in self.clauses:
            words = clause.text.split()
            count = clause.heard_words(heard_samples.get(clause.utterance_id, clause.written_samples))
            heard += words[:count]
            rest += words[count:]
        return _join(heard), _join(rest)


def _join(texts: Sequence[str]) -> str:
    return " ".join(text for text in texts if text)
