# SPDX-License-Identifier: GPL-3.0-or-later
"""Text as it is read aloud: "$95" becomes "ninety-five dollars". Pure; stands before any text-to-speech engine.

    markdown off > addresses > dates > telephone numbers > money > ranges > times > abbreviations > numbers > signs off

The order matters: each step spells out what it knows, so that a later one cannot take it for something simpler (a date
for a subtraction, an hour for a decimal). American English: dates with slashes are month first.
"""

import re
import unicodedata
from collections.abc import Callable

from agent.number_words import cardinal, decimal, digit_by_digit, ordinal, year

_Match = re.Match[str]
_Step = tuple[re.Pattern[str], Callable[[_Match], str] | str]

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH = "|".join(rf"{month}|{month[:3]}\.?" for month in _MONTHS) + r"|Sept\.?"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_HALF_DAY = r"[ap]\.? ?m\b\.?"
_PLAIN = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2010: "-", 0x2011: "-", 0x2212: "-", 0x2044: "/"}
_LINE_MARK = re.compile(r"^\s*(?:(?:#{1,6}|>|[-*+]|\d+[.)])\s+)+")
_DAY = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?\b"
_CURRENCIES = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny"), "¥": ("yen", "")}
_MAGNITUDES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion"}
_MAGNITUDE = "thousand|million|billion|trillion|bn|k|m|b"
_DOMAINS = "com|org|net|io|dev|edu|gov|info|biz"
_TH = "(?:st|nd|rd|th)?"
_SPELLED_SIGNS = {
    **{"-": "dash", ".": "dot", "/": "slash", "@": "at", "_": "underscore", "+": "plus", "#": "hash", "*": "star"},
    **{"&": "and", "=": "equals", ":": "colon"},
}
_YEAR = r"(?:,? (?P<year>[12]\d{3})\b)?"


def speakable(text: str) -> str:
    """The text in words only: no digits, no markup, no symbol that an engine would read in its own way."""
    text = _plain_signs(text)
    for pattern, spoken in _STEPS:
        text = pattern.sub(spoken, text)
    text = "".join(sign for sign in text if unicodedata.category(sign)[0] not in "SC" and not sign.isdigit())
    text = re.sub(r"\s*([,.;:!?])", r"\1", re.sub(r"\s+", " ", text))
    text = re.sub(r"[,;:]*([.!?]+)[,;:]*|([,;:])[,;:]*", r"\1\2", text)
    return re.sub(r"([,.;:!?])(?=\w)", r"\1 ", text).strip(" ,;:")


def spelled(text: str) -> str:
    """ "AB-12" sign by sign: "A, B, dash, one, two"."""
    spoken: list[str] = []
    for sign in unicodedata.normalize("NFKC", text).translate(_PLAIN):
        if sign.isdecimal():
            spoken.append(cardinal(int(sign)))
        elif sign.isalpha():
            spoken.append(sign.upper())
        elif sign in _SPELLED_SIGNS:
            spoken.append(_SPELLED_SIGNS[sign])
    return ", ".join(spoken)


def _plain_signs(text: str) -> str:
    """Quotes, dashes and spaces as on a keyboard, and lines (headings, list items) as sentences."""
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    text = re.sub(r"(?<=[\dm])\s*[\u2012-\u2015]\s*(?=[\d$])|(?<=\w)\u2013(?=\w)", "-", text)  # a dash in a range
    text = re.sub(r"\s*[\u2012-\u2015]\s*", ", ", text)
    lines = (_LINE_MARK.sub("", line).strip() for line in text.splitlines())
    joined = ""
    for line in filter(None, lines):
        if joined and joined[-1] not in ".,;:!?":
            joined += "."
        joined += f" {line}"
    return joined


def _spell_link(match: _Match) -> str:
    return match["label"] or match["target"] or ""


def _spell_address(match: _Match) -> str:
    """ "anna@example.com" as one dictates it."""
    address = re.sub(r"^(?:mailto:|https?://)?(?:www\.)?", "", match[0], flags=re.IGNORECASE).rstrip("/")
    for sign, spoken in (("@", "at"), (".", "dot"), ("/", "slash"), ("-", "dash"), ("_", "underscore"), ("+", "plus")):
        address = address.replace(sign, f" {spoken} ")
    address = re.sub(r"\d+", lambda digits: f" {digit_by_digit(digits[0])} ", address)
    return re.sub(r"[^\w\s]+", " ", address).strip()


def _spell_date(match: _Match) -> str:
    """Month and day as words, and the year if there is one; impossible dates stay as they are."""
    groups = match.groupdict()
    name, month = groups.get("name"), groups.get("month")
    number = int(month) if month else _month_number(name or "")
    day = int(match["day"])
    if not 1 <= number <= 12 or not 1 <= day <= 31:
        return match[0]
    spoken = f"{_MONTHS[number - 1]} {ordinal(day)}"
    return f"{spoken}, {year(int(groups['year']))}" if groups.get("year") else spoken


def _month_number(name: str) -> int:
    return next(index for index, month in enumerate(_MONTHS, start=1) if month.lower().startswith(name[:3].lower()))


def _spell_telephone(match: _Match) -> str:
    """Group by group, with a pause between the groups."""
    groups = re.findall(r"\d+", match[0])
    return ", ".join(digit_by_digit(group) for group in groups)


def _spell_range(match: _Match) -> str:
    return f"{match[1] or ''}{match[2] or ''} to "


def _spell_time(match: _Match) -> str:
    groups = match.groupdict()
    hour, minute = int(match["hour"]), int(groups.get("minute") or 0)
    if hour > 24 or minute > 59:
        return match[0]
    half = (match["half"] or "").upper()[:1]
    if not half and (hour > 12 or hour == 0):
        half = "P" if 12 < hour < 24 else "A"
    spoken = cardinal(hour % 12 or 12)
    if minute:
        spoken += f" oh {cardinal(minute)}" if minute < 10 else f" {cardinal(minute)}"
    elif not half:
        spoken += " o'clock"
    return spoken + (f" {half}M" if half else "") + _full_stop(match)


def _full_stop(match: _Match) -> str:
    """The full stop of "p.m." or "Ave." when it seems to have ended the sentence too."""
    ends = match[0].endswith(".") and re.match(r"\s+[A-Z]|\s*$", match.string[match.end() :])
    return "." if ends else ""


def _spell_money(match: _Match) -> str:
    groups = match.groupdict()
    unit, hundredth = _CURRENCIES[match["sign"]]
    amount = match["amount"]
    if magnitude := groups.get("magnitude"):
        return f"{decimal(amount)} {_MAGNITUDES.get(magnitude.lower(), magnitude)} {_plural(unit, 2)}"
    if to := groups.get("to"):
        return f"{decimal(amount)} to {decimal(to)} {_plural(unit, 2)}"
    whole, _, fraction = amount.replace(",", "").partition(".")
    units, hundredths = int(whole), int(fraction[:2].ljust(2, "0"))
    spoken = [f"{cardinal(units)} {_plural(unit, units)}"] if units or not hundredths else []
    if hundredths:
        spoken.append(f"{cardinal(hundredths)} {_plural(hundredth, hundredths)}")
    return " and ".join(spoken)


def _plural(unit: str, count: int) -> str:
    if count == 1 or unit == "yen":
        return unit
    return "pence" if unit == "penny" else f"{unit}s"


def _spell_number(match: _Match) -> str:
    text = match[0]
    if re.fullmatch(r"(?:19|20)\d\d", text):
        spoken = year(int(text))
    elif re.fullmatch(r"\d{7,}", text):
        spoken = digit_by_digit(text)
    else:
        spoken = decimal(text)
    # "B12" and "12B" fall apart into a letter and a number.
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return f"{' ' if before.isalpha() else ''}{spoken}{' ' if after.isalpha() else ''}"


def _spell_fraction(match: _Match) -> str:
    above, below = int(match["above"]), int(match["below"])
    part = {2: "half", 4: "quarter"}.get(below) or ordinal(below)
    plural = "halves" if part == "half" else f"{part}s"
    return f"{cardinal(above)} {part if above == 1 else plural}"


def _spell_abbreviation(match: _Match) -> str:
    short = match[0].lower()
    return _ABBREVIATIONS[short] + ("" if short in _TITLES else _full_stop(match))


_TITLES = ("mr.", "mrs.", "ms.", "prof.")
_ABBREVIATIONS = {
    "mr.": "Mister",
    "mrs.": "Missus",
    "ms.": "Miz",
    "prof.": "Professor",
    "jr.": "Junior",
    "sr.": "Senior",
    "ave.": "Avenue",
    "blvd.": "Boulevard",
    "rd.": "Road",
    "apt.": "apartment",
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "about",
    "a.m.": "AM",
    "p.m.": "PM",
}
_SIGNS = {
    "°C": " degrees Celsius",
    "°F": " degrees Fahrenheit",
    "°": " degrees",
    "&": " and ",
    "@": " at ",
    "+": " plus ",
    "=": " equals ",
    "%": " percent",
    "/": " ",
    "|": ", ",
    "_": " ",
}

_STEPS: tuple[_Step, ...] = (
    # Markdown: code, links and images, emphasis.
    (re.compile(r"```\w*|`"), " "),
    (re.compile(r"!?\[(?P<label>[^\]]*)\]\((?P<target>[^)\s]*)[^)]*\)"), _spell_link),
    (re.compile(r"(\*{1,3}|~~)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),
    # Addresses: mail, web, bare domain.
    (re.compile(r"(?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE), _spell_address),
    (re.compile(r"(?:https?://|www\.)[^\s<>\"')\]]*[\w/]", re.IGNORECASE), _spell_address),
    (re.compile(rf"\b[a-z][\w-]*(?:\.[\w-]+)*\.(?:{_DOMAINS})\b(?:/[\w./-]*\w)?", re.IGNORECASE), _spell_address),
    # Dates: 2026-03-14, 03/14/2026, March 14(, 2026), 14 March (2026).
    (re.compile(r"\b(?P<year>[12]\d{3})-(?P<month>\d{2})-(?P<day>\d{2})\b"), _spell_date),
    (re.compile(r"\b(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>[12]\d{3})\b"), _spell_date),
    (re.compile(rf"\b(?P<name>{_MONTH}) (?P<day>\d{{1,2}}){_TH}\b(?![:,.]\d){_YEAR}"), _spell_date),
    (re.compile(rf"\b(?P<day>\d{{1,2}}){_TH} (?:of )?(?P<name>{_MONTH})(?!\w){_YEAR}"), _spell_date),
    # Telephone numbers: with country code, ten digits, seven digits.
    (re.compile(r"\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}(?!\d)"), _spell_telephone),
    (re.compile(r"(?:\b1[ .-])?(?:\(\d{3}\) ?|\b\d{3}[ .-])\d{3}[ .-]\d{4}\b"), _spell_telephone),
    (re.compile(r"(?<![\d-])\d{3}-\d{4}(?![\d-])"), _spell_telephone),
    # Money before ranges, because "$5-10" has its unit in front.
    (re.compile(rf"(?P<sign>[$€£¥]) ?(?P<amount>{_NUMBER}) ?- ?[$€£¥]?(?P<to>{_NUMBER})"), _spell_money),
    (
        re.compile(rf"(?P<sign>[$€£¥]) ?(?P<amount>{_NUMBER}) ?(?P<magnitude>{_MAGNITUDE})\b", re.IGNORECASE),
        _spell_money,
    ),
    (re.compile(rf"(?P<sign>[$€£¥]) ?(?P<amount>{_NUMBER})"), _spell_money),
    (re.compile(rf"(?P<amount>{_NUMBER}) ?(?P<sign>[€£¥])"), _spell_money),
    # Ranges: 9-5, 9:00-17:00, 9 am - 5 pm.
    (re.compile(rf"(?<=\d)(:\d\d)?( ?{_HALF_DAY})?(?: - |-)(?=\d)", re.IGNORECASE), _spell_range),
    (re.compile(rf"\b({_DAY}) ?- ?(?={_DAY})"), r"\1 to "),
    # Times: 9:30, 17:00, 9:30 am; 9 am.
    (re.compile(rf"\b(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?::\d\d)?\b(?: ?(?P<half>{_HALF_DAY}))?", re.I), _spell_time),
    (re.compile(rf"\b(?P<hour>\d{{1,2}}) ?(?P<half>{_HALF_DAY})", re.IGNORECASE), _spell_time),
    # Abbreviations. "St." is Saint in front of a name, unless a name stands in front of it.
    (re.compile(r"\bDr\.(?= ?[A-Z])"), "Doctor"),
    (re.compile(r"\b([A-Z]\w*) St\."), lambda match: f"{match[1]} Street{_full_stop(match)}"),
    (re.compile(r"\bSt\.(?= [A-Z])"), "Saint"),
    (re.compile(r"\bNo\. ?(?=\d)|#(?=\d)"), "number "),
    (re.compile("|".join(rf"\b{re.escape(short)}" for short in _ABBREVIATIONS), re.IGNORECASE), _spell_abbreviation),
    # Numbers: 24/7, fractions, ordinals, all others; a minus only where nothing stands in front of it.
    (re.compile(r"\b24/7\b"), "twenty-four seven"),
    (re.compile(r"\b(?P<above>\d)/(?P<below>[2-9]|10)\b(?!/)"), _spell_fraction),
    (re.compile(r"\b(\d{1,15})(?:st|nd|rd|th)\b", re.IGNORECASE), lambda match: ordinal(int(match[1]))),
    (re.compile(r"\b\d+(?:\.\d+){2,}\b"), lambda match: " dot ".join(map(decimal, match[0].split(".")))),
    (re.compile(r"(?<!\S)-(?=\d)"), "minus "),
    (re.compile(_NUMBER), _spell_number),
    # What is left of signs.
    (re.compile(r"(?<=\w)\.(?=\w)"), " dot "),
    (re.compile("|".join(map(re.escape, _SIGNS))), lambda match: _SIGNS[match[0]]),
    (re.compile(r"[][(){}<>\\^~*#\"]| - |--+"), " "),
)
