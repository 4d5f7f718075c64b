# SPDX-License-Identifier: GPL-3.0-or-later
"""One version of the knowledge, searched by meaning (vectors) and by words (BM25) at once.

score = cosine of the question and the entry's nearest key + `LEXICAL_SHARE` * share of the question's words found

Chosen with `scripts/bench/knowledge --tune`: shares from 0.15 to 0.4 find nearly the same; vectors alone miss names
and numbers, words alone every paraphrase.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.knowledge.entry import Entry, Match
from agent.knowledge.lexical import WordIndex, terms_of
from agent.knowledge.vectors import Vectors, content_hash

LEXICAL_SHARE = 0.25
THRESHOLD = 0.58
"""From here on an entry is taken to answer the question, word for word. Chosen with questions that are not reported
on: of 30 about the fifty pages of `scripts/bench/knowledge_data` 14 were answered right and 1 wrong, of 20 which these
cannot answer none; of 30 paraphrases for the default knowledge 22 right and 4 wrong, of 24 from elsewhere none.
At 0.45: 20, 3 and 7; 24, 5 and 3."""
BEARS_ON = 0.35
"""From here on an entry is worth showing to a language model, which judges for itself."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """A document's entries with the vectors of all their keys, in order, shape (keys, dimensions)."""

    entries: tuple[Entry, ...]
    vectors: Vectors

    @property
    def keys(self) -> list[str]:
        return [key for entry in self.entries for key in entry.keys]


class KnowledgeIndex:
    """Immutable."""

    def __init__(self, documents: Sequence[Indexed]) -> None:
        self.entries = tuple(entry for document in documents for entry in document.entries)
        counts = [len(entry.keys) for entry in self.entries]
        self._starts = np.cumsum([0, *counts[:-1]])
        self._vectors = np.concatenate([document.vectors for document in documents]) if documents else np.empty((0, 0))
        self._words = WordIndex(entry.words for entry in self.entries)
        self.size = len(self._vectors)
        self.version = content_hash([text for entry in self.entries for text in (entry.source, entry.words)])[:16]
        """The same for the same entries."""

    def search(self, question: str, vector: Vectors, most: int) -> list[Match]:
        """The entries that fit best, the best first, however badly; none when there are none."""
        if not self.size:
            return []
        cosines = np.maximum.reduceat(self._vectors @ vector, self._starts)
        scores = cosines + LEXICAL_SHARE * self._words.search(terms_of(question))
        best = np.argsort(-scores, kind="stable")[:most]
        return [Match(self.entries[int(index)], float(scores[index])) for index in best]
