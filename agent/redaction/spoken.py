# SPDX-License-Identifier: GPL-3.0-or-later
"""Digits and letters as they are read out: "double four, seven oh", "forty-two", "4111-11", "D E eight nine".

Speech recognition writes them either way, and mixes both. A run of them is what may be one number.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_ONES = (
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    ("oh", "", "zwo"),
    ("o",),
    ("nought",),
    ("naught",),
)
_DIGITS: Mapping[str, str] = {word: str(digit) for words in _ONES for digit, word in enumerate(words) if word}
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_NUMBERS: Mapping[str, str] = {**_DIGITS, **{word: str(number) for number, word in enumerate(_TEENS, start=10)}}
_TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS: Mapping[str, str] = {word: str(tens) for tens, word in enumerate(_TENS_WORDS, start=2)}
_TIMES: Mapping[str, int] = {"double": 2, "triple": 3, "treble": 3}
_BETWEEN = frozenset(["uh", "um", "er", "erm", "äh", "euh", "eh", "dash", "hyphen", "minus", "space", "then", "and"])
"""Words within a number; `and` and `then` only between two signs."""
_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d+|\S")
_PAUSE = re.compile(r"[-\u2013\u2014.,;()+\u2026]")
_MONEY = frozenset("$€£¥")
_UNIT_WORDS = "dollars dollar euros euro pounds pound cents percent % miles kilometers kilometres km kg people"
_UNITS = frozenset(_UNIT_WORDS.split())


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a group of digits, or a mark."""

    text: str
    begin: int
    end: int

    @property
    def word(self) -> str:
        return self.text.lower()


@dataclass(slots=True)
class Run:
    """Signs that follow each other: which, and where in the text each of them comes from."""

    signs: str = ""
    places: list[tuple[int, int]] = field(default_factory=list)
    """Begin and end of each sign's words; of several signs from one word all the same."""
    groups: int = 0
    """Words or groups of digits."""

    def add(self, signs: str, begin: int, end: int) -> None:
        self.signs += signs
        self.places += [(begin, end)] * len(signs)
        self.groups += 1

    @property
    def begin(self) -> int:
        return self.places[0][0]

    @property
    def end(self) -> int:
        return self.places[-1][1]

    def is_cut_at(self, index: int) -> bool:
        """Whether a word ends before this sign and another begins with it."""
        return index in (0, len(self.signs)) or self.places[index - 1] != self.places[index]


def tokens_of(text: str) -> list[Token]:
    """All of them, in order."""
    return [Token(found[0], found.start(), found.end()) for found in _TOKEN.finditer(text)]


def number_runs(text: str, tokens: Sequence[Token], skip: Sequence[tuple[int, int]] = ()) -> Iterator[Run]:
    """Digits that may be one number. `skip`: stretches that are something else (dates, times). Sums of money and
    quantities are left out."""
    for run in _runs(text, tokens, _digits_at, skip):
        if not _is_amount(text, run, tokens):
            yield run


def sign_runs(text: str, tokens: Sequence[Token]) -> Iterator[Run]:
    """Digits and single letters, or groups that mix them: what may be an IBAN."""
    yield from _runs(text, tokens, _signs_at, ())


def _runs(
    text: str,
    tokens: Sequence[Token],
    signs_at: Callable[[Sequence[Token], int], tuple[str, int]],
    skip: Sequence[tuple[int, int]],
) -> Iterator[Run]:
    run = Run()
    index = 0
    while index < len(tokens):
        token = tokens[index]
        signs, count = ("", 0) if any(a <= token.begin < b for a, b in skip) else signs_at(tokens, index)
        if count:
            if run.signs and _parts(text, run.end, token):
                yield run
                run = Run()
            run.add(signs, token.begin, tokens[index + count - 1].end)
            index += count
            continue
        if run.signs and not (_PAUSE.fullmatch(token.text) or token.word in _BETWEEN):
            yield run
            run = Run()
        index += 1
    if run.signs:
        yield run


def _parts(text: str, end: int, token: Token) -> bool:
    """Whether a group of digits right after a comma or a point is of the same amount: 1,250,000 and 3.14 are no
    numbers to call."""
    between = text[end : token.begin]
    return between in (",", ".") and token.text.isdecimal() and len(token.text) != 4 and text[end - 1].isdecimal()


def _digits_at(tokens: Sequence[Token], index: int) -> tuple[str, int]:
    """The digits of the word there, and how many tokens that takes; 0: it is no number."""
    token = tokens[index]
    if token.text.isdecimal():
        return token.text, 1
    word = token.word
    if word in _TIMES and index + 1 < len(tokens):
        following = tokens[index + 1]
        digit = following.text if following.text.isdecimal() else _DIGITS.get(following.word, "")
        return (digit * _TIMES[word], 2) if len(digit) == 1 else ("", 0)
    if word in _TENS:
        ahead = index + 1
        if ahead < len(tokens) and tokens[ahead].text == "-":
            ahead += 1
        unit = _DIGITS.get(tokens[ahead].word, "") if ahead < len(tokens) else ""
        # "forty two" is 42; "twenty twenty" and "twenty zero" are two groups.
        return (_TENS[word] + unit, ahead - index + 1) if unit not in ("", "0") else (_TENS[word] + "0", 1)
    found = _NUMBERS.get(word)
    return (found, 1) if found is not None else ("", 0)


def _signs_at(tokens: Sequence[Token], index: int) -> tuple[str, int]:
    digits, count = _digits_at(tokens, index)
    if count and tokens[index].word != "o":
        return digits, count
    token = tokens[index]
    is_beside_digits = any(
        0 <= near < len(tokens)
        and tokens[near].text.isdecimal()
        and (tokens[near].begin == token.end or tokens[near].end == token.begin)
        for near in (index - 1, index + 1)
    )
    if (
        token.text.isascii()
        and token.text.isalpha()
        and (len(token.text) == 1 or (is_beside_digits and len(token.text) <= 4))
    ):
        return token.text.upper(), 1
    if token.text.isascii() and token.text.isalpha() and len(token.text) <= 4 and token.text.isupper():
        return token.text, 1
    return "", 0


def _is_amount(text: str, run: Run, tokens: Sequence[Token]) -> bool:
    if run.groups > 3:
        return False
    if text[: run.begin].rstrip()[-1:] in _MONEY:
        return True
    after = next((token for token in tokens if token.begin >= run.end), None)
    return after is not None and (after.word in _UNITS or after.text in _MONEY)
