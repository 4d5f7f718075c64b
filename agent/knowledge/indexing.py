# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the reading of documents is, for whoever waits for it: thousands of passages take minutes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Indexing:
    """Told when documents begin to be read, passage by passage, and at the end."""

    done: int
    """Passages and phrasings that have their vectors."""
    total: int | None
    """None: the documents are still being read."""
    state: Literal["running", "done", "failed"] = "running"
    cause: str = ""
    """Of a failure."""


OnIndexing = Callable[[Indexing], None]


def unheard(news: Indexing) -> None:
    """Nobody waits."""


class Tally:
    """Counts one reading, and tells."""

    def __init__(self, tell: OnIndexing) -> None:
        self._tell = tell
        self._done = 0
        self._total: int | None = None
        tell(Indexing(0, None))

    def expect(self, passages: int) -> None:
        """So many there are."""
        self._total = passages
        self._tell(Indexing(0, passages))

    def add(self, passages: int) -> None:
        """So many more are done."""
        self._done += passages
        self._tell(Indexing(self._done, self._total))

    def end(self) -> None:
        self._tell(Indexing(self._done, self._total, "done"))

    def fail(self, cause: str) -> None:
        self._tell(Indexing(self._done, self._total, "failed", cause))
