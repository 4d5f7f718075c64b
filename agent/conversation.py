# SPDX-License-Identifier: GPL-3.0-or-later
"""Heard truth: what was said on a call, and of our own words only those that were really sent.

`History` is the whole call and yields the immutable snapshots that language models answer. `SpokenReply` follows one
reply, clause by clause (one utterance id each), and says at any moment which words of it the caller has heard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.audible import AudibleTime
from agent.services.llm import Conversation, Message
from agent.speakable import speakable
from media.frames import PcmSamples
from media.playout import Cleared

_SIGNS = ",.;:?!"
_SIGN_LETTERS = 2
"""The word before a sign is drawn out by so many letters."""
_CHARACTERS_PER_S = 15.0
"""How fast voices speak, roughly: to guess the length of a clause that was cut before it was rendered whole."""


class History:
    """The messages of one call so far."""

    def __init__(
        self,
        prompt: str,
        caller: str = "",
        metadata: Mapping[str, str] | None = None,
        *,
        max_messages: int = 200,
    ) -> None:
        self._system = (Message("system", prompt),) if prompt else ()
        self._messages: list[Message] = []
        """At most `max_messages`: drops oldest, the system prompt stays."""
        self._caller = caller
        self._metadata = dict(metadata or {})
        self._max_messages = max_messages

    @property
    def is_empty(self) -> bool:
        """Nobody has said anything yet."""
        return not self._messages

    def caller_said(self, text: str) -> None:
        self._append(Message("user", text))

    def take_back_caller(self) -> None:
        """The turn last entered was not over after all; its whole text will come again."""
        if self._messages and self._messages[-1].role == "user":
            self._messages.pop()

    def agent_said(self, heard_text: str, *, interrupted: bool) -> None:
        """Nothing is entered for a reply of which no word was heard. A resumed reply continues its message."""
        if not heard_text:
            return
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "assistant":
            self._messages[-1] = replace(last, text=f"{last.text} {heard_text}", interrupted=interrupted)
        else:
            self._append(Message("assistant", heard_text, interrupted))

    def snapshot(self) -> Conversation:
        return Conversation((*self._system, *self._messages), self._caller, self._metadata)

    def _append(self, message: Message) -> None:
        self._messages.append(message)
        del self._messages[: -self._max_messages]


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
        whole_samples = self.audible.total
        if whole_samples:
            heard_samples = self.audible.until(heard_samples)
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
