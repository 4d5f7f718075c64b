# SPDX-License-Identifier: GPL-3.0-or-later
"""What knowledge is made of, and how a document becomes it: sections are cut into passages that can be listened to.

A section that asks (a heading with `?`, or with phrasings) is one entry, answered whole, word for word. Any other
section is prose: passages of whole sentences, each of which begins with the last sentence of the one before.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_SPOKEN_CHARS = 300
"""Of prose: some 20 s of speech."""
_OVERLAP_CHARS = 120
"""A last sentence up to this length begins the next passage, too: what it says may belong there."""
_LONGEST_SENTENCE_CHARS = 600
"""What has no end before is cut between words: it is no prose, but must not become a speech."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z])")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be asked and answered."""

    heading: str
    answer: str
    """Spoken as it stands."""
    source: str
    """File or URL, and line, row or page, for whoever wonders where an answer came from."""
    phrasings: tuple[str, ...] = ()
    keys: tuple[str, ...] = field(default=(), repr=False)
    """The texts a question is compared with."""
    topic: str = ""
    """What the page is about."""
    is_prepared: bool = True
    """Written to be said: the answer to a question, no passage of a text."""

    @property
    def words(self) -> str:
        """Everything in which a word of a question may be found."""
        return " ".join((self.topic, self.heading, *self.phrasings, self.answer))


@dataclass(frozen=True, slots=True)
class Match:
    """An entry and how well it fits a question: 1 is the same meaning in the same words."""

    entry: Entry
    score: float


@dataclass(slots=True)
class Section:
    """A heading and what stands below it."""

    name: str
    """Of the document."""
    place: int
    """Line, row or page."""
    heading: str
    topic: str = ""
    phrasings: list[str] = field(default_factory=list)
    blocks: list[tuple[int, str]] = field(default_factory=list)
    """Paragraphs, list items and rows, with their places."""

    def add(self, place: int, text: str) -> None:
        if text := " ".join(text.split()):
            self.blocks.append((place, text))

    @property
    def is_question(self) -> bool:
        return bool(self.phrasings) or self.heading.endswith("?")

    def entries(self) -> Iterator[Entry]:
        if not self.blocks:
            return
        if self.is_question:
            body = " ".join(text for _, text in self.blocks)
            keys = (self.heading, *self.phrasings, f"{self.heading} {body}")
            yield Entry(self.heading, body, f"{self.name}:{self.place}", tuple(self.phrasings), keys, self.topic)
            return
        for number, (place, sentences) in enumerate(_passages(self.blocks)):
            passage = " ".join(sentences)
            about = ": ".join(dict.fromkeys(part for part in (self.topic, self.heading) if part))
            yield Entry(
                self.heading,
                passage,
                f"{self.name}:{place if number else self.place}",
                # With what it is about, and bare; a heading alone is too near to all that is said of the same thing.
                keys=(f"{about}: {passage}", passage),
                topic=self.topic,
                is_prepared=False,
            )


def _passages(blocks: Sequence[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """Runs of sentences, with the place where each begins."""
    place, passage = 0, list[str]()
    fresh = 0
    for at, block in blocks:
        for sentence in sentences_of(block):
            if fresh and sum(map(len, passage)) + len(passage) + len(sentence) >= _SPOKEN_CHARS:
                yield place, passage
                passage = passage[-1:] if len(passage[-1]) <= _OVERLAP_CHARS and len(passage) > 1 else []
                if sum(map(len, passage)) + len(sentence) >= _SPOKEN_CHARS:
                    passage = []
                fresh = 0
            if not fresh:
                place = at
            passage.append(sentence)
            fresh += 1
    if fresh:
        yield place, passage


def sentences_of(block: str) -> Iterator[str]:
    """The sentences of a paragraph; each ends, so that it can be said."""
    for sentence in SENTENCE_END.split(block):
        while len(sentence) > _LONGEST_SENTENCE_CHARS:
            cut = sentence.rfind(" ", 0, _LONGEST_SENTENCE_CHARS)
            cut = _LONGEST_SENTENCE_CHARS if cut <= 0 else cut
            yield f"{sentence[:cut]}."
            sentence = sentence[cut:].strip()
        if sentence:
            yield sentence if sentence[-1] in ".!?:;\"')" else f"{sentence}."


def row_text(headers: Sequence[str], cells: Sequence[str]) -> str:
    """A row of a table in words: "Kayak for one: one hour $9, half a day $25"."""
    first, *rest = (cell.strip() for cell in cells)
    named = [
        " ".join(filter(None, (header.strip(), cell)))
        for header, cell in zip([*headers[1:], *[""] * len(rest)], rest, strict=False)
        if cell
    ]
    return f"{first}: {', '.join(named)}" if named else first
