# SPDX-License-Identifier: GPL-3.0-or-later
"""Dates of birth: dates, in digits or words, near a word that says so. Other dates are nobody's secret."""

import re
from collections.abc import Iterator

from agent.redaction.kinds import Span

_CUE = re.compile(
    r"\b(?:born|birth ?day|birth ?date|date of birth|d\.?o\.?b\b\.?|geboren|geburtsdatum|nacido|nacida|nacimiento|née?"
    r"|naissance)",
    re.I,
)
_WITHIN = 60
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?|januar|februar|märz|mai|juni|juli|oktober|dezember)\.?"
)
_ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th|\.)?|(?:twenty|thirty)[ -](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
    r"|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth"
    r"|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth)"
)
_UNIT = r"(?:oh |o )?(?:one|two|three|four|five|six|seven|eight|nine)"
_TENS = r"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_TEENS = r"(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
_TWO_DIGITS = rf"(?:{_TENS}(?:[ -]{_UNIT})?|{_TEENS}|{_UNIT})"
_YEAR = (
    rf"(?:\d{{4}}|'?\d{{2}}|nineteen(?: hundred)?(?: and)? {_TWO_DIGITS}|two thousand(?: and)?(?: {_TWO_DIGITS})?"
    rf"|twenty {_TWO_DIGITS}|{_TWO_DIGITS})\b"
)
_DATE = re.compile(
    r"\b(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
    rf"|(?:the )?{_ORDINAL}(?: of)? {_MONTH}(?:,? (?:in )?{_YEAR})?"
    rf"|{_MONTH} (?:the )?{_ORDINAL}(?:,? (?:in )?{_YEAR})?"
    rf"|{_MONTH} {_TWO_DIGITS}(?:,? (?:in )?{_YEAR})?"
    r"|\d{1,2} \d{1,2} \d{2,4}|(?:19|20)\d{2}"
    rf"|nineteen(?: hundred)?(?: and)? {_TWO_DIGITS})",
    re.I,
)


def find_birthdates(text: str, asked: str) -> Iterator[Span]:
    """`asked`: what the other said before: an answer needs no cue of its own."""
    is_asked = bool(_CUE.search(asked))
    for found in _DATE.finditer(text):
        near = _CUE.search(text, max(0, found.start() - _WITHIN), found.start())
        after = _CUE.search(text, found.end(), found.end() + _WITHIN // 2)
        if is_asked or near or after:
            yield Span(*found.span(), "birthdates")
