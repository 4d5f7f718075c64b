# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receptionist knows: a folder of Markdown files, searched by meaning.

    # Opening hours                     the page's topic
    ## When are you open?               an entry; its text is the answer, spoken as it stands
    - Q: what time do you close today   other ways to ask for it, as many as you like
    - Q: are you open on saturday
    We are open Monday to Friday from 9 am to 5 pm.

A heading that is no question and has no `- Q:` lines is a plain section: found by its heading and its text, and
answered with its first sentences. Two to four phrasings per entry help more than anything else.

An entry's score for a question is the best cosine between the question and the entry's heading, phrasings and text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.errors import KnowledgeError
from agent.local.inference import InferencePool, Priority
from agent.local.minilm import SentenceEmbedder, Vectors

DEFAULT_FOLDER = Path(__file__).parent / "knowledge_default"
THRESHOLD = 0.45
"""Measured on the default knowledge, with 30 paraphrases and 30 questions from elsewhere that its phrasings were not
written for: 24 right, 5 wrong, 3 from elsewhere answered. At 0.35: 25, 5 and 13. The more phrasings there are, the more
likely is one near to anything."""

_LARGEST_FILE_BYTES = 1 << 20
_SECTION_SPOKEN_CHARS = 300
"""Of a plain section: some 20 s of speech."""
_HEADING = re.compile(r"(#{1,6})(?:\s+(.*?)\s*#*)?$")
_PHRASING = re.compile(r"[-*+]\s+Q:\s*(.*)", re.IGNORECASE)
_LIST_MARK = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be asked and answered."""

    heading: str
    answer: str
    """Spoken as it stands."""
    source: str
    """File and line, for whoever wonders where an answer came from."""
    phrasings: tuple[str, ...] = ()
    keys: tuple[str, ...] = field(default=(), repr=False)
    """The texts a question is compared with."""


@dataclass(frozen=True, slots=True)
class Match:
    """An entry and how well it fits a question; cosine, 1 is the same meaning."""

    entry: Entry
    score: float


def read_knowledge(folder: Path) -> list[Entry]:
    """All entries of the folder's Markdown files, in order. Raises `KnowledgeError` with file and line."""
    if not folder.is_dir():
        raise KnowledgeError(f"knowledge folder {folder} does not exist or is not a folder")
    files = sorted(folder.rglob("*.md"))
    if not files:
        raise KnowledgeError(f"knowledge folder {folder} has no Markdown file (*.md)")
    return [entry for file in files for entry in _read_file(file)]


def _read_file(file: Path) -> list[Entry]:
    try:
        if file.stat().st_size > _LARGEST_FILE_BYTES:
            raise KnowledgeError(f"{file}: larger than 1 MiB; nobody can say all that on the telephone")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise KnowledgeError(f"{file}:{line}: not UTF-8") from error
    except OSError as error:
        raise KnowledgeError(f"{file}: cannot be read: {error.strerror}") from error
    entries = list(_parse(file, text))
    if not entries:
        raise KnowledgeError(f"{file}:1: no heading with a text below it, so there is nothing to answer with")
    return entries


def _parse(file: Path, text: str) -> Iterator[Entry]:
    section: _Section | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if heading := _HEADING.match(line):
            if section is not None:
                yield from section.entries()
            section = _Section(file, number, len(heading[1]), heading[2] or "")
        elif not line or line.startswith("<!--"):
            continue
        elif section is None:
            raise KnowledgeError(f"{file}:{number}: text before the first heading; begin with a line '# Topic'")
        elif phrasing := _PHRASING.match(line):
            if not phrasing[1]:
                raise KnowledgeError(f"{file}:{number}: '- Q:' without a question")
            section.phrasings.append(phrasing[1])
        else:
            section.lines.append(_LIST_MARK.sub("", line))
    if section is not None:
        yield from section.entries()


@dataclass(slots=True)
class _Section:
    """A heading and what stands below it, while the file is read."""

    file: Path
    line: int
    level: int
    heading: str
    phrasings: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        source = f"{self.file.name}:{self.line}"
        if not self.heading:
            raise KnowledgeError(f"{self.file}:{self.line}: a heading without words")
        if not self.lines:
            if self.level == 1 and not self.phrasings:
                return  # the page's title
            raise KnowledgeError(f"{self.file}:{self.line}: no answer below the heading {self.heading!r}")
        body = " ".join(self.lines)
        is_question = bool(self.phrasings) or self.heading.endswith("?")
        yield Entry(
            self.heading,
            body if is_question else _first_sentences(body),
            source,
            tuple(self.phrasings),
            (self.heading, *self.phrasings, f"{self.heading} {body}"),
        )


def _first_sentences(body: str) -> str:
    """As many whole sentences as can be listened to, at least one."""
    sentences = _SENTENCE_END.split(body)
    spoken = sentences[0]
    for sentence in sentences[1:]:
        if len(spoken) + len(sentence) >= _SECTION_SPOKEN_CHARS:
            break
        spoken = f"{spoken} {sentence}"
    return spoken


class Knowledge:
    """The entries with their vectors; shared by all calls."""

    def __init__(self, entries: Sequence[Entry], embedder: SentenceEmbedder, pool: InferencePool) -> None:
        """Computes the vectors here and now: some 3 to 6 ms for every heading, phrasing and text."""
        if not entries:
            raise KnowledgeError("there is nothing to know: no entries")
        self.entries = tuple(entries)
        self._embedder = embedder
        self._pool = pool
        self._vectors: Vectors = embedder.embed([key for entry in entries for key in entry.keys])
        self._starts = np.cumsum([0, *(len(entry.keys) for entry in entries[:-1])])

    async def search(self, *questions: str) -> list[Match]:
        """The best entry for each question, however badly it fits. Raises `ServiceUnavailable`."""
        return await self._pool.run(Priority.ANSWER, self._search, questions)

    def _search(self, questions: Sequence[str]) -> list[Match]:
        cosines = self._embedder.embed(questions) @ self._vectors.T
        scores = np.maximum.reduceat(cosines, self._starts, axis=1)
        return [Match(self.entries[int(row.argmax())], float(row.max())) for row in scores]
