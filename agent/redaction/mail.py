# SPDX-License-Identifier: GPL-3.0-or-later
"""E-mail addresses in a text: written, or read out ("a n n a underscore smith at example dot com")."""

import re
from collections.abc import Iterator

from agent.redaction.kinds import Span

_WRITTEN = re.compile(r"[\w.+-]+ ?@ ?[\w-]+(?:\.[\w-]+)+")
_JOINT = r"(?:dot|point|punkt|punto|underscore|dash|hyphen|minus|plus|tiret)"
_WORD = r"[a-z0-9äöüßéèàñ]+"
_AT = r"(?:at(?: sign)?|@|arroba|arobase|ät)"
_DOT = r"(?:dot|point|punkt|punto|\.)"
_PART = rf"(?:[a-z0-9](?:[ ,-]+[a-z0-9]\b)+(?:[ ,-]+{_WORD})??|{_WORD})"
"""A word, or letters that are spelled one by one."""
_SPOKEN = re.compile(
    rf"\b{_PART}(?:[ ,]+{_JOINT}[ ,]+{_PART}|\.{_WORD})*[ ,]+{_AT}[ ,]+"
    rf"(?:[a-z0-9]\b[ -]+)?{_PART}(?:[ ,](?:dash|hyphen|minus) {_WORD}|-{_WORD})*(?: ?{_DOT} ?[a-z]{{2,}}\b)+",
    re.I,
)
_SAID_FIRST = re.compile(
    r"\be-?mail(?:[ -]address)?(?: (?:is|would be|to|at|it's))?(?: (?:it's|is))?[:,]? +"
    r"((?!is\b|it\b|to\b|at\b|would\b)(?:[\w.]+ +){1,6})$",
    re.I,
)
_OPEN = re.compile(rf"\b(?:{_JOINT}|{_AT})\W*$", re.I)


def find_emails(text: str) -> Iterator[Span]:
    """Each with all of its words, as far as that can be told."""
    for found in _WRITTEN.finditer(text):
        yield Span(*found.span(), "emails")
    for found in _SPOKEN.finditer(text):
        begin = found.start()
        # "my email is anna smith at example dot com": all that follows the announcement is the name.
        before = _SAID_FIRST.search(text[:begin])
        yield Span(before.start(1) if before else begin, found.end(), "emails")


def breaks_off(text: str) -> bool:
    """Whether an address goes on in what is said next."""
    return bool(_OPEN.search(text))
