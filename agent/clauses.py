# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a reply is rendered next, and how much of it at once. Pure; `agent.reply` asks.

    text > MarkupReader > ClauseChunker > clauses of one manner each > next(queued_ms)

The less is waiting to be heard, the sooner something must be rendered:

    nothing heard yet      the first clause, as soon as it is there
    under `URGENT_MS`      what there is: a sentence, else its beginning up to a comma or a joint
    under `RESERVE_MS`     one sentence
    under `LOOKAHEAD_MS`   sentences together, if the voice profits from it: better prosody, fewer requests
    more                   nothing: most of it would be lost to an interruption
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.manner import LONGEST_BREAK_MS, PLAINLY, Manner
from agent.markup import Break, Marked, MarkupReader, Words
from agent.sentences import ClauseChunker

URGENT_MS = 400
RESERVE_MS = 1_500
"""A slow service's time to the first byte, with a margin."""
LOOKAHEAD_MS = 4_000
_JOINED_CHARS = 240
"""No more than this is rendered together: some 16 s of speech."""
_WORTH_CHARS = 120
"""With a reserve waiting to be heard, more sentences are waited for until this much is together."""
_SHORTEST_WAIT_S = 0.05
_SPACES = re.compile(r"[ \t]{2,}")


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a reply that is rendered, and heard, as one."""

    text: str
    """As it is remembered: without markup, not yet in speakable form."""
    manner: Manner = PLAINLY
    pause_ms: int = 0
    """Silence before it."""


class ClauseQueue:
    """One reply's words in, clauses out, in order, none lost."""

    def __init__(self, *, joins: bool = False, is_ready: Callable[[str], bool] = lambda text: False) -> None:
        """`joins`: the voice renders several sentences better, or cheaper, together. `is_ready`: this clause's sound is
        there already, so that it is best left alone."""
        self._joins = joins
        self._is_ready = is_ready
        self._reader = MarkupReader()
        self._chunker = ClauseChunker()
        self._manner = PLAINLY
        self._pause_ms = 0
        self._waiting: deque[Clause] = deque()
        """Whole clauses; bounded by the language model's answer, of which at most `LOOKAHEAD_MS` is ahead of the
        caller's ear, and what `agent.read_ahead` holds."""
        self._has_begun = False
        self._is_closed = False

    @property
    def is_over(self) -> bool:
        """Nothing is left, and nothing will come."""
        return self._is_closed and not self._waiting

    @property
    def has_words(self) -> bool:
        """Whole clauses are waiting."""
        return bool(self._waiting)

    def push(self, text: str) -> None:
        """Take some more words."""
        self._take(self._reader.push(text))

    def end_clause(self) -> None:
        """What there is is to be said; it will be a while until more comes."""
        self._take(self._reader.flush())
        self._add(self._chunker.flush())

    def close(self) -> None:
        """The words are at their end."""
        self.end_clause()
        self._is_closed = True

    def break_off(self) -> None:
        """No more words will come although there should: what is not a whole clause is forgotten."""
        self._is_closed = True

    def next(self, queued_ms: float) -> Clause | None:
        """What to render now, while so much is waiting to be heard; None when it is better to wait."""
        if not self._waiting:
            early = self._chunker.cut_early() if queued_ms < URGENT_MS and self._has_begun else None
            return None if early is None else self._made(early)
        if queued_ms > LOOKAHEAD_MS:
            return None
        count = 1
        if self._joins and self._has_begun and queued_ms >= RESERVE_MS and not self._is_ready(self._waiting[0].text):
            count = self._joined_count()
            if not count:
                return None
        self._has_begun = True
        clauses = [self._waiting.popleft() for _ in range(count)]
        return replace(clauses[0], text=" ".join(clause.text for clause in clauses))

    def patience_s(self, queued_ms: float) -> float | None:
        """When to ask again, if no more words come before; None: not before they come."""
        limits = (limit for limit in (LOOKAHEAD_MS, RESERVE_MS, URGENT_MS) if queued_ms > limit)
        limit = next(limits, None)
        return None if limit is None else max(_SHORTEST_WAIT_S, (queued_ms - limit) / 1e3)

    def _joined_count(self) -> int:
        """How many clauses go together; 0: more are worth waiting for."""
        first, chars, count = self._waiting[0], 0, 0
        for clause in self._waiting:
            chars += len(clause.text) + 1
            is_new = clause.manner != first.manner or clause.pause_ms or self._is_ready(clause.text)
            if count and (is_new or chars > _JOINED_CHARS):
                return count
            count += 1
        return count if self._is_closed or chars >= _WORTH_CHARS else 0

    def _take(self, pieces: list[Marked]) -> None:
        for piece in pieces:
            match piece:
                case Words(text, manner):
                    if manner != self._manner:
                        self._add(self._chunker.flush())
                        self._manner = manner
                    self._add(self._chunker.push(text))
                case Break(ms):
                    self._add(self._chunker.flush())
                    self._pause_ms = min(self._pause_ms + ms, LONGEST_BREAK_MS)

    def _add(self, texts: list[str]) -> None:
        self._waiting.extend(self._made(text) for text in texts)

    def _made(self, text: str) -> Clause:
        pause_ms, self._pause_ms = self._pause_ms, 0
        return Clause(_SPACES.sub(" ", text), self._manner, pause_ms)


def plain_clauses(text: str) -> list[Clause]:
    """All clauses of a text that is known as a whole, as a reply would render them."""
    queue = ClauseQueue()
    queue.push(text)
    queue.close()
    return list(queue._waiting)


def plain_text(text: str) -> str:
    """The text without its markup."""
    return " ".join(clause.text for clause in plain_clauses(text))
