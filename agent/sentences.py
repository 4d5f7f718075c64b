# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts a stream of words into clauses to speak: the first one early, later ones at sentence ends.

    text deltas > ClauseChunker > "Sure," "a cleaning is $29.50." "Dr. Lee is in until 5 p.m. today."

Where a clause ends depends on the text alone, not on how it was cut into deltas; `cut_early` is the exception, for a
voice that is about to run out of words. `agent.clauses` makes of them what is rendered.
"""

import re

_SENTENCE_END = ".!?…"
_WIDE_SENTENCE_END = "。！？"  # noqa: RUF001 - Chinese and Japanese; no space follows them
_CLAUSE_END = ",;:—–"  # noqa: RUF001 - dashes are meant
_CLOSING = "\"')]}”’»"  # noqa: RUF001 - closing quotes are meant

_NEVER_LAST = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "rev", "hon", "gen", "col", "sgt", "capt", "lt", "st", "mt", "ft"}
    | {"e.g", "i.e", "vs", "approx", "dept", "tel", "sr", "jr"}
)
"""Abbreviations that something always follows (`Dr.`), or that are too often inside a sentence to end one."""
_BEFORE_NUMBER = frozenset({"no", "nos", "fig", "ext", "p", "pp"})
"""They end a sentence unless a digit follows (`No. 5`)."""
_SOMETIMES_LAST = frozenset({"a.m", "p.m", "etc", "inc", "ltd", "co", "corp", "u.s", "u.k", "d.c", "ph.d"})
"""They end a sentence when a capital follows."""
_JOINT = re.compile(r"\s(?=(?:and|but|because|so|or|which|while|unless|although|if|then)\s)")
"""In front of these words a sentence can be parted, when need be."""


class ClauseChunker:
    """One reply's words in, clauses out, in order, none lost."""

    def __init__(self, first_min_chars: int = 12, max_chars: int = 240, joint_min_chars: int = 48) -> None:
        """`first_min_chars`: the first clause may end at a comma from this length on, so that speech can begin;
        from `joint_min_chars` on in front of "and", "but" and the like, too.

        `max_chars`: a clause of this length is cut at its last comma, else at its last space, else where it is.
        """
        self._first_min_chars = first_min_chars
        self._max_chars = max_chars
        self._joint_min_chars = joint_min_chars
        self._text = ""
        self._is_first = True

    def push(self, text: str) -> list[str]:
        """Take some more words; return the clauses that are complete."""
        self._text += text
        clauses: list[str] = []
        while end := self._find_end():
            clause, self._text = self._text[:end].strip(), self._text[end:].lstrip()
            if clause:
                clauses.append(clause)
                self._is_first = False
        return clauses

    def flush(self) -> list[str]:
        """The words are at their end; return what is left of them."""
        rest, self._text = self._text.strip(), ""
        self._is_first = self._is_first and not rest
        return [rest] if rest else []

    def cut_early(self, min_chars: int = 16) -> str | None:
        """The beginning of an unfinished sentence, when it can be parted: at its last comma, or at a joint."""
        ends = [index + 1 for index in range(len(self._text) - 2) if self._is_comma(index)]
        ends += [joint.start() for joint in _JOINT.finditer(self._text)]
        end = max((end for end in ends if end >= min_chars), default=0)
        if not end or self._is_first:
            return None
        clause, self._text = self._text[:end].strip(), self._text[end:].lstrip()
        return clause

    def _find_end(self) -> int:
        """The index after the first clause, or 0 when more text must come first."""
        text = self._text
        last_space = last_comma = 0
        for index, char in enumerate(text):
            if index >= self._max_chars and (last_comma or last_space):
                return last_comma or last_space
            if index >= 2 * self._max_chars:
                return index
            if char == "\n" or char in _WIDE_SENTENCE_END:
                return index + 1
            if char.isspace():
                last_space = index
            elif char in _SENTENCE_END:
                end = _after_closing(text, index + 1, 2 * self._max_chars)
                if end >= 2 * self._max_chars:
                    return end  # nothing but marks: a model that has lost its way
                if end == len(text):
                    return 0
                if text[end].isspace():
                    is_end = _ends_sentence(text, index, end)
                    if is_end is None:
                        return 0
                    if is_end:
                        return end
            elif char in _CLAUSE_END:
                if index + 2 >= len(text):
                    return 0
                if self._is_comma(index):
                    if self._is_first and index + 1 >= self._first_min_chars:
                        return index + 1
                    last_comma = index + 1
            if self._is_first and index >= self._joint_min_chars and (joint := _JOINT.match(text, index)):
                return joint.start()
        return 0

    def _is_comma(self, index: int) -> bool:
        """A comma or the like that parts words, not the figures of "March 14, 2026"; something follows the space."""
        text = self._text
        if text[index] not in _CLAUSE_END or not text[index + 1].isspace():
            return False
        return not (index and text[index - 1].isdigit() and text[index + 2].isdigit())


def _after_closing(text: str, index: int, most: int) -> int:
    """Where the marks and closing quotes end, or `most`."""
    while index < min(most, len(text)) and text[index] in _SENTENCE_END + _CLOSING:
        index += 1
    return index


def _ends_sentence(text: str, stop: int, end: int) -> bool | None:
    """Whether the mark at `stop`, followed by space at `end`, ends a sentence; None when the next word must be seen."""
    if text[stop] != ".":
        return True
    words = text[:stop].split()
    word = words[-1].lstrip("\"'([{“‘").lower() if words else ""  # noqa: RUF001 - opening quotes are meant
    is_initial = len(word) == 1 and word.isalpha() and word not in {"i", "p"}
    is_list_number = word.isdigit() and len(words) == 1
    if word in _NEVER_LAST or is_initial or is_list_number:
        return False
    if word not in _SOMETIMES_LAST and word not in _BEFORE_NUMBER:
        return True
    following = text[end:].lstrip(" \t")
    if not following:
        return None
    if word in _BEFORE_NUMBER:
        return not following[0].isdigit()
    return following[0].isupper() or following[0] == "\n"
