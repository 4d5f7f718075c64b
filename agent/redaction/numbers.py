# SPDX-License-Identifier: GPL-3.0-or-later
"""Cards, IBANs and other numbers in a text, written or read out."""

import re
from collections.abc import Iterator, Sequence

from agent.redaction.checksums import CARD_DIGITS, IBAN_SIGNS, is_card, is_iban
from agent.redaction.kinds import Span
from agent.redaction.spoken import Run, Token, number_runs, sign_runs

LEAST_DIGITS = 6
"""Of a number that nobody has announced."""
_LEAST_ANNOUNCED = 3
_MOST_BESIDE_CARD = 8
"""Expiry and security code, read out with the card."""
_ANNOUNCED_WITHIN = 48
"""Characters before the number."""
_ANNOUNCES = re.compile(
    r"\b(?:account|customer|member|membership|policy|passport|licen[cs]e|social security|insurance|tax|case|claim|order"
    r"|reference|confirmation|booking|phone|telephone|mobile|cell|fax|extension|pin|code|passcode|password|digits"
    r"|number|iban|sort code|routing|reach me|call me(?: back)? (?:at|on)|kontonummer|telefonnummer|rufnummer|nummer"
    r"|número|teléfono|cuenta|numéro|téléphone|compte)\b",
    re.I,
)
_OF_CARD = re.compile(
    r"\b(?:cvv2?|cvc|cvn|security code|expiry|expires?|expiration|valid (?:until|thru|through))\b", re.I
)
_DATE = re.compile(
    r"\b(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})|\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2}))\b"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?\b"
)


def dates_and_times(text: str) -> list[tuple[int, int]]:
    """Where they stand, written in digits."""
    return [found.span() for found in _DATE.finditer(text)]


def find_ibans(text: str, tokens: Sequence[Token]) -> Iterator[Span]:
    """By their checksum."""
    for run in sign_runs(text, tokens):
        begin = 0
        while begin + IBAN_SIGNS[0] <= len(run.signs):
            end = _end_of_iban(run, begin)
            if end:
                yield _span(run, begin, end, "iban")
            begin = end or begin + 1


def _end_of_iban(run: Run, begin: int) -> int:
    if not run.is_cut_at(begin) or not run.signs[begin : begin + 2].isalpha():
        return 0
    longest = min(len(run.signs), begin + IBAN_SIGNS[-1])
    for end in range(longest, begin + IBAN_SIGNS[0] - 1, -1):
        if run.is_cut_at(end) and is_iban(run.signs[begin:end]):
            return end
    return 0


def find_cards(text: str, tokens: Sequence[Token]) -> Iterator[Span]:
    """By Luhn's formula; with the few digits around them in the same breath, and what is said to be of a card."""
    for run in number_runs(text, tokens, dates_and_times(text)):
        found = list(_cards_in(run))
        for index, (first, end) in enumerate(found):
            begin = 0 if index == 0 and first <= _MOST_BESIDE_CARD else first
            is_last = index == len(found) - 1
            last = len(run.signs) if is_last and len(run.signs) - end <= _MOST_BESIDE_CARD else end
            yield _span(run, begin, last, "cards")
        if not found and len(run.signs) in range(3, 7) and _OF_CARD.search(text, max(0, run.begin - 32), run.begin):
            yield _span(run, 0, len(run.signs), "cards")


def _cards_in(run: Run) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin + CARD_DIGITS[0] <= len(run.signs):
        end = 0
        if run.is_cut_at(begin):
            ends = range(min(len(run.signs), begin + CARD_DIGITS[-1]), begin + CARD_DIGITS[0] - 1, -1)
            # Sixteen digits are by far the most usual.
            for one in sorted(ends, key=lambda end: end - begin != 16):
                if run.is_cut_at(one) and is_card(run.signs[begin:one]):
                    end = one
                    break
        if end:
            yield begin, end
        begin = end or begin + 1


def find_numbers(text: str, tokens: Sequence[Token], asked: str) -> Iterator[Span]:
    """Long ones; and shorter ones that were announced, or `asked` for by what the other said before."""
    is_asked = bool(_ANNOUNCES.search(asked[-2 * _ANNOUNCED_WITHIN :]))
    for run in number_runs(text, tokens, dates_and_times(text)):
        length = len(run.signs)
        if length < LEAST_DIGITS:
            is_announced = is_asked or _ANNOUNCES.search(text, max(0, run.begin - _ANNOUNCED_WITHIN), run.begin)
            if length < _LEAST_ANNOUNCED or not is_announced:
                continue
        yield _span(run, 0, length, "numbers")


def find_known(text: str, tokens: Sequence[Token], known: Sequence[Span], least: int) -> Iterator[Span]:
    """Parts of numbers that were found before: read back, or cut short."""
    for run in number_runs(text, tokens):
        if len(run.signs) < least:
            continue
        whole = next((one for one in known if run.signs in one.signs or one.signs in run.signs), None)
        if whole is not None:
            yield _span(run, 0, len(run.signs), whole.kind)


def _span(run: Run, begin: int, end: int, kind: str) -> Span:
    return Span(run.places[begin][0], run.places[end - 1][1], kind, run.signs[begin:end])  # type: ignore[arg-type]
