# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that count nothing, and codes: read sign by sign. Steps for `agent.speakable`.

"PIN 4821" > "PIN four eight two one"    "KX7-39Q" > "K X seven, three nine Q"    "room 204" > "room two oh four"
"""

import re

from agent.number_words import cardinal, digit_by_digit, year

Match = re.Match[str]

_READ_OUT = (
    "pin|code|password|passcode|account|confirmation|reference|ref|booking|order|ticket|case|claim|policy|invoice"
    "|member|customer|tracking|serial|zip|postcode|zip code|postal code|id|extension|ext"
)
_CALLED = "dial|call|press|text|ring|enter|key in"
_PLACES = "room|suite|apartment|apt|unit|flight|gate|bus|route|highway|channel|interstate|building|desk|bay"
_HOUR = re.compile(r"\d[AP]M\b")
_CODE = re.compile(r"[A-Z]+|\d+")


def _groups(text: str) -> str:
    """Groups with a pause between them: letters one by one, digits one by one."""
    groups = (re.findall(r"[A-Za-z]|\d", group) for group in re.split(r"[ -]+", text))
    return ", ".join(
        " ".join(cardinal(int(sign)) if sign.isdigit() else sign.upper() for sign in g) for g in groups if g
    )


def _spell_code(match: Match) -> str:
    if _HOUR.search(match[0]):
        return match[0]
    parts = _CODE.findall(match[0])
    signs = sum(map(len, parts))
    longest_word = max((len(part) for part in parts if part.isalpha()), default=0)
    return _groups(match[0]) if signs >= 4 and longest_word <= 3 else match[0]


def _spell_place(match: Match) -> str:
    """A room as one says it: 204 "two oh four", 1905 "nineteen oh five", 2490 "twenty-four ninety"."""
    number = match["number"]
    if len(number) == 3 and not number.endswith("00"):
        rest = int(number[1:])
        spoken = f"{cardinal(int(number[0]))} {'oh ' if rest < 10 else ''}{cardinal(rest)}"
    elif len(number) == 4 and not number.endswith("00"):
        spoken = year(int(number))
    else:
        spoken = cardinal(int(number))
    return f"{match['place']} {spoken}"


def _spell_vanity(match: Match) -> str:
    return f"{_groups(match['digits'])}, {match['word']}"


CODES = (
    # Thousands parted by spaces.
    (
        re.compile(r"(?<![\w,.])(?P<head>[1-9]\d{0,2})(?P<rest>(?: \d{3}){2,})(?![\d ]*\d)"),
        lambda m: m[0].replace(" ", ","),
    ),
    # An account number as banks print it (IBAN, ISO 13616), and a card's.
    (re.compile(r"\b[A-Z]{2}\d{2}(?: [A-Z\d]{4}){2,7}(?: [A-Z\d]{1,4})?\b"), lambda m: _groups(m[0])),
    (re.compile(r"\b\d{4}([ -])\d{4}\1\d{4}\1\d{4}\b"), lambda m: _groups(m[0])),
    # Telephone numbers with letters, and national ones that begin with 0.
    (re.compile(r"\b(?P<digits>(?:1-)?\d{3})-(?P<word>[A-Z]{4,7})\b"), _spell_vanity),
    (
        re.compile(r"(?<![\d+])0\d{1,4}(?: \d{2,4}){1,4}\b|(?<![\d+])\(0\d{1,4}\) ?\d{2,4}(?: \d{2,4}){1,3}"),
        lambda m: _groups(m[0]),
    ),
    (re.compile(r"(?<![\d-])\d(?:-\d){2,}(?![\d-])"), lambda m: digit_by_digit(m[0])),
    (re.compile(r"\b911\b"), "nine one one"),
    (re.compile(r"(?<![\w.])(?:(?i:ext)\.?(?= ?\d{1,6}\b)|[xX](?=\d{2,6}\b))"), "extension"),
    (
        re.compile(
            rf"\b(?P<what>(?:{_READ_OUT})(?: (?:number|code|is|id|no\.?|#))*:?) ?#?"
            r"(?P<number>\d{2,12}(?:-\d{2,12})*)(?![\w:/.,%]*\w)",
            re.IGNORECASE,
        ),
        lambda m: f"{m['what']} {_groups(m['number'])}",
    ),
    (
        re.compile(rf"\b(?P<what>{_CALLED}) (?P<number>\d{{3,6}})(?![\w:/.,%-]*\w)", re.IGNORECASE),
        lambda m: f"{m['what']} {digit_by_digit(m['number'])}",
    ),
    (
        re.compile(rf"\b(?P<place>{_PLACES})\.? (?:number )?(?P<number>\d{{1,4}})\b(?![.,:]\d)", re.IGNORECASE),
        _spell_place,
    ),
    (re.compile(r"\b(?=[A-Z\d-]*\d)(?=[A-Z\d-]*[A-Z])[A-Z\d]+(?:-[A-Z\d]+)*\b"), _spell_code),
)
"""After dates, telephone numbers, money and measures; before ranges, whose dashes look alike."""

_INITIALS = re.compile(r"\b(?:[A-Z]\. ?){2,}(?=\W|$)|\b(?:[A-Z]\.)+[A-Z]\b(?!\.)")
INITIALS = (
    (re.compile(r"\bPh\.? ?D\b\.?"), "P H D"),
    (_INITIALS, lambda m: " ".join(re.findall(r"[A-Z]", m[0])) + (" " if m[0].endswith(" ") else "")),
)
