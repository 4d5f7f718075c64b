# SPDX-License-Identifier: GPL-3.0-or-later
"""Search by words: BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009), on numpy arrays.

It finds what vectors blur: names, numbers, rare words. Libraries for it are larger than these lines, or slower.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_K1 = 1.2
_B = 0.6
_WORD = re.compile(r"[a-z0-9]+(?:[.,:][0-9]+)*(?:'[a-z]+)?")
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        a about after all also am an and any are aren't as at be because been before being but by can can't
        cannot could did do does doesn't doing don't down each else for from get gets getting give given go
        going gonna got had has have haven't having he hello her here hers hey hi him his how i i'd i'll i'm
        i've if in into is isn't it it's its just know let let's like many may maybe me might mine more most
        much must my need no not now of off ok okay on one onto or our ours out over own please really said
        say see she should shouldn't so some something somebody someone somewhere still such tell than thank
        thanks that that's the their theirs them then there there's these they they're thing things this
        those to too up us very want wants was wasn't we we'd we'll we're we've well were what what's when
        where where's which while who who's whose why will with without won't would wouldn't yes you you'd
        you'll you're you've your yours
        """,
    )
)

Scores = NDArray[np.float32]


def terms_of(text: str) -> list[str]:
    """The words that carry meaning, cut to their stems."""
    words = _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return [stem(word.removesuffix("'s")) for word in words if word not in _FUNCTION_WORDS]


def stem(word: str) -> str:
    """Without the endings of English inflection: "cancelled", "cancelling" and "cancels" are one."""
    if word.isdigit() or len(word) < 4:
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 2 and re.search(r"[aeiouy]", root):
            if root[-1] == root[-2] and root[-1] not in "lsz":
                return root[:-1]
            return root.removesuffix("l") if root.endswith("ll") else root.removesuffix("e")
    if word.endswith("es") and word[-3] in "sxzh":
        return word[:-2]
    if word.endswith("s") and word[-2] not in "su":
        word = word[:-1]
    return word.removesuffix("e")


class WordIndex:
    """The words of some texts; immutable."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts = [Counter(terms_of(text)) for text in texts]
        self._size = len(counts)
        lengths = np.array([sum(count.values()) for count in counts], np.float32)
        mean = float(lengths.mean()) if self._size else 1.0
        norm = _K1 * (1 - _B + _B * lengths / max(mean, 1.0))
        found: dict[str, list[tuple[int, int]]] = {}
        for index, count in enumerate(counts):
            for term, times in count.items():
                found.setdefault(term, []).append((index, times))
        self._postings: dict[str, tuple[NDArray[np.int32], Scores]] = {}
        """Of each term: where it is, and what it weighs there, 0 to 1."""
        for term, places in found.items():
            where = np.array([index for index, _ in places], np.int32)
            times_there = np.array([times for _, times in places], np.float32)
            self._postings[term] = where, (times_there / (times_there + norm[where])).astype(np.float32)

    def weight(self, term: str) -> float:
        """How much a term tells: the rarer, the more (IDF); a term that is nowhere most of all."""
        count = len(self._postings[term][0]) if term in self._postings else 0
        return float(np.log(1 + (self._size - count + 0.5) / (count + 0.5)))

    def __contains__(self, term: str) -> bool:
        return term in self._postings

    def search(self, terms: Sequence[str]) -> Scores:
        """Each text's share of what the terms tell, 0 to 1, shape (n,)."""
        scores = np.zeros(self._size, np.float32)
        whole = 0.0
        for term in dict.fromkeys(terms):
            weight = self.weight(term)
            whole += weight
            if term in self._postings:
                where, shares = self._postings[term]
                scores[where] += weight * shares
        return scores / whole if whole else scores
