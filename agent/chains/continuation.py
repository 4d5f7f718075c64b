# SPDX-License-Identifier: GPL-3.0-or-later
"""One text of two speakers: the second goes on where the first fell silent, and no word is there twice or cut in two.

Second speakers are told to go on after the last word; some begin a few words before it, or with the whole answer. What
they repeat is left out.
"""

import re
import unicodedata
from difflib import SequenceMatcher

from agent.number_words import cardinal

_WORD = re.compile(r"[^\W_]+(?:['’.,:@/&+-][^\W_]+)*", re.UNICODE)  # noqa: RUF001 - typographic apostrophe
_LONGEST_HELD = 60
"""A word of more characters is no word."""
_NUMBERS = frozenset(word for number in (*range(20), *range(20, 100, 10)) for word in cardinal(number).split())
_TELLING_CHARACTERS = 5
"""A single word of fewer may well be meant twice ("that that"); so may numbers, however many."""
_LONGEST_REPEAT = 400
"""Words that are looked at."""


class WholeWords:
    """Deltas in, the same text out, but never a part of a word: whoever falls silent has ended with a whole one."""

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> str:
        """What is certain to be whole words now."""
        text = self._held + text
        end = len(text)
        while end and not (text[end - 1].isspace() or unicodedata.east_asian_width(text[end - 1]) in "WF"):
            end -= 1
        if len(text) - end > _LONGEST_HELD:
            end = len(text)
        self._held = text[end:]
        return text[:end]

    def flush(self) -> str:
        """The rest: the text has ended, or pauses."""
        held, self._held = self._held, ""
        return held


class Continuation:
    """The second speaker's text in, in whole words; what is new in it out."""

    def __init__(self, said: str) -> None:
        self._said = said
        self._words = [_plain(word.group()) for word in _WORD.finditer(said)][-_LONGEST_REPEAT:]
        self._text = ""
        self._is_decided = not self._words
        self._begins = True

    def push(self, text: str) -> str:
        """What is certain to be new."""
        if self._is_decided:
            return self._joined(text)
        self._text += text
        return self._decide(is_all=False)

    def flush(self) -> str:
        """The text has ended, or pauses."""
        return "" if self._is_decided else self._decide(is_all=True)

    def _decide(self, *, is_all: bool) -> str:
        found = list(_WORD.finditer(self._text))
        new = [_plain(word.group()) for word in found]
        said = self._words
        for begin in range(len(said)):  # the longest repetition first
            both = min(len(said) - begin, len(new))
            if said[begin : begin + both] != new[:both]:
                continue
            if both < len(said) - begin:
                if not is_all:
                    return ""  # it may yet turn out to be one
                if both == len(new) and begin == 0 and _is_telling(new):
                    return self._decided("")  # the beginning once more, and nothing else
                continue
            if begin == 0 or _is_telling(new[:both]):
                end = found[both - 1].end()
                rest = self._text[end:]
                if not self._said[-1].isalnum():  # what follows the word was heard, too
                    rest = rest.lstrip(".,!?;:…")
                return self._decided(rest)
        return self._decided(self._text)

    def _decided(self, text: str) -> str:
        self._is_decided = True
        self._text = ""
        return self._joined(text)

    def _joined(self, text: str) -> str:
        """The beginning with one space between it and what was said."""
        if not self._begins or not self._said:
            return text
        if not text.strip():
            return ""
        self._begins = False
        text = text.lstrip()
        before = self._said[-1:]
        needs_space = before and not before.isspace() and unicodedata.east_asian_width(before) not in "WF"
        return f" {text}" if needs_space and text[0].isalnum() else text


def joined_transcripts(first: str, second: str) -> str:
    """What was heard by two, of whom the second heard only the later part: the two texts have some words in common."""
    before, after = list(_WORD.finditer(first)), list(_WORD.finditer(second))
    if not before or not after:
        return first if not after else second
    heard, again = ([_plain(word.group()) for word in words] for words in (before, after))
    same = SequenceMatcher(None, heard, again, autojunk=False).find_longest_match()
    if not same.size:
        return f"{first.rstrip()} {second.lstrip()}"
    return first[: before[same.a].start()] + second[after[same.b].start() :]


def _plain(word: str) -> str:
    return word.casefold().replace("’", "'")  # noqa: RUF001


def _is_telling(words: list[str]) -> bool:
    """Nobody would say these twice by themselves."""
    telling = [word for word in words if word not in _NUMBERS and not any(char.isdigit() for char in word)]
    return (len(words) > 1 and bool(telling)) or any(len(word) >= _TELLING_CHARACTERS for word in telling)
