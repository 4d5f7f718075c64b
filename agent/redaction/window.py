# SPDX-License-Identifier: GPL-3.0-or-later
"""A call's transcript on its way to the record: entries held back while what they end with may go on.

    caller "four one one one one one" ──> held: it ends within a number
    agent  "Go on."                   ──> waits behind it
    caller "one one one ... one"      ──> all three, [card] in both of the caller's

An agent that reads a number back, in parts even, or says a name again, is redacted by what is known of the call.
Bounded: after eight entries, or at the call's end, what waits is let go as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from agent.redaction.kinds import Span
from agent.redaction.names import known_words
from agent.redaction.redactor import Redactor, labelled

_MOST_HELD = 8
_MOST_NUMBERS = 64
"""That are remembered of a call; the oldest is forgotten first."""
_SHORTEST_NUMBER = 6
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one side said."""

    is_caller: bool
    text: str
    heard_text: str | None = None
    """Ours only: what of it was sent, when that may be less."""


class RedactionWindow(Generic[_Item]):
    """Of one call. Each entry comes with whatever belongs to it, and leaves with it."""

    def __init__(self, redactor: Redactor, known_names: Sequence[str] = ()) -> None:
        """`known_names`: of people that the call is about, from elsewhere."""
        self._redactor = redactor
        self._held: list[tuple[_Item, Utterance]] = []
        self._numbers: list[Span] = []
        self._names = known_words(known_names)
        self._asked = ""
        """What we said last: a question tells what its answer is."""

    def know_name(self, name: str) -> None:
        """From now on it is redacted wherever it comes."""
        self._names |= known_words((name,))

    def receive(self, item: _Item, said: Utterance) -> list[tuple[_Item, Utterance]]:
        """What can be written down now, in order: this one, others before it, or nothing yet."""
        self._held.append((item, said))
        is_held = any(one.is_caller for _, one in self._held)
        last = next((one for _, one in reversed(self._held) if one.is_caller), said)
        if is_held and len(self._held) < _MOST_HELD and self._redactor.breaks_off(last.text):
            return []
        return self.flush()

    def flush(self) -> list[tuple[_Item, Utterance]]:
        """All that was held back: nothing more comes."""
        held, self._held = self._held, []
        mine = [index for index, (_, said) in enumerate(held) if said.is_caller]
        spans = self._spans_of([held[index][1].text for index in mine], self._redactor.find)
        texts = dict(zip(mine, spans, strict=True))
        told = []
        for index, (item, said) in enumerate(held):
            if said.is_caller:
                told.append((item, replace(said, text=labelled(said.text, texts[index]))))
            else:
                told.append((item, self._ours(said)))
                self._asked = said.text
        return told

    def partial(self, text: str) -> str:
        """Of what the caller says at this moment: rather too much redacted than too little."""
        before = [said.text for _, said in self._held if said.is_caller]
        return labelled(text, self._spans_of([*before, text], self._redactor.find_unfinished)[-1])

    def plain(self, text: str) -> str:
        """Of what is no part of the transcript."""
        return labelled(text, self._redactor.find(text, numbers=self._numbers, names=self._names))

    def _ours(self, said: Utterance) -> Utterance:
        text = self._redacted(said.text)
        if said.heard_text is None:
            return replace(said, text=text)
        heard = text if said.heard_text == said.text else self._redacted(said.heard_text)
        return Utterance(False, text, heard)

    def _redacted(self, text: str) -> str:
        found = self._redactor.find(text, numbers=self._numbers, names=self._names)
        self._remember(text, found)
        return labelled(text, found)

    def _spans_of(self, texts: Sequence[str], find: Callable[..., list[Span]]) -> list[list[Span]]:
        """Of each of these texts, which were said one after the other."""
        whole = " ".join(texts)
        found = find(whole, asked=self._asked, numbers=self._numbers, names=self._names)
        if find == self._redactor.find:
            self._remember(whole, found)
        parts: list[list[Span]] = []
        begin = 0
        for text in texts:
            end = begin + len(text)
            parts.append(
                [
                    replace(span, begin=max(span.begin, begin) - begin, end=min(span.end, end) - begin)
                    for span in found
                    if span.begin < end and begin < span.end
                ]
            )
            begin = end + 1
        return parts

    def _remember(self, text: str, found: Sequence[Span]) -> None:
        self._names |= self._redactor.names_in(text, found)
        self._numbers += [span for span in found if len(span.signs) >= _SHORTEST_NUMBER and span not in self._numbers]
        del self._numbers[:-_MOST_NUMBERS]
