# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts with a unit, and the signs of arithmetic, in words. Steps for `agent.speakable`.

    "6 ft 2 in" > "six feet two inches"    "2 1/2 hrs" > "two and a half hours"    "$5/mo" > "$5 per month"    "3x4"

Numbers themselves stay digits here: a later step reads them, unless the unit decides how.
"""

import re

from agent.number_words import cardinal, decimal, ordinal

Match = re.Match[str]

_UNITS = {
    # length, area, volume
    **{"mm": "millimeter", "cm": "centimeter", "m": "meter", "km": "kilometer", "mi": "mile", "yd": "yard"},
    **{"ft": "foot", "ml": "milliliter", "mL": "milliliter", "L": "liter", "gal": "gallon"},
    # weight, temperature
    **{"mg": "milligram", "g": "gram", "kg": "kilogram", "lb": "pound", "lbs": "pound", "oz": "ounce"},
    # time
    **{"ms": "millisecond", "sec": "second", "secs": "second", "min": "minute", "mins": "minute"},
    **{"hr": "hour", "hrs": "hour", "wk": "week", "wks": "week", "mo": "month", "mos": "month"},
    **{"yr": "year", "yrs": "year"},
    # data, electricity
    **{"KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "Mbps": "megabit per second"},
    **{"Gbps": "gigabit per second", "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz"},
    **{"kW": "kilowatt", "kWh": "kilowatt hour", "mph": "mile per hour", "km/h": "kilometer per hour"},
    **{"kph": "kilometer per hour", "dB": "decibel", "sq ft": "square foot", "sq m": "square meter"},
    **{"sq km": "square kilometer", "sq mi": "square mile"},
}
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_PLURALS = {"foot": "feet", "inch": "inches", "hertz": "hertz", "kilohertz": "kilohertz", "megahertz": "megahertz"}
_PLURALS |= {"gigahertz": "gigahertz"}
_PER = {
    **{"hr": "hour", "h": "hour", "hour": "hour", "day": "day", "wk": "week", "week": "week", "mo": "month"},
    **{"month": "month", "yr": "year", "year": "year", "min": "minute", "minute": "minute", "night": "night"},
    **{"person": "person", "visit": "visit", "each": "each", "kg": "kilogram", "lb": "pound", "s": "second"},
}
_ROMAN = {"II": 2, "III": 3, "IV": 4, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "XI": 11, "XII": 12, "XIII": 13, "XIV": 14}
_PARTS = "Chapter|Part|War|Phase|Type|Act|Volume|Section|Level|Class|Title|Stage|Grade|Book|Bowl"
_DECADES = ("", "tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties")
_AMOUNT = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+"


def _plural(unit: str) -> str:
    head, space, rest = unit.partition(" per ")
    words = head.split(" ")
    words[-1] = _PLURALS.get(words[-1], f"{words[-1]}s")
    return " ".join(words) + space + rest


def _spell_unit(match: Match) -> str:
    unit = _UNITS[match["unit"]]
    return f"{match['amount']} {unit if match['amount'] == '1' else _plural(unit)}"


def _spell_height(match: Match) -> str:
    return f"{match['feet']} foot {match['inches']}"


def _spell_feet_and_inches(match: Match) -> str:
    feet = "foot" if match["feet"] == "1" else "feet"
    inches = "inch" if match["inches"] == "1" else "inches"
    return f"{match['feet']} {feet} {match['inches']} {inches}"


def _spell_mixed(match: Match) -> str:
    """ "1 1/2": a whole and a part."""
    above, below = int(match["above"]), int(match["below"])
    if above >= below:
        return match[0]
    part = {2: "half", 4: "quarter"}.get(below) or ordinal(below)
    article = "a" if above == 1 else cardinal(above)
    return f"{decimal(match['whole'])} and {article} {part if above == 1 else part + 's'}"


def _spell_decade(match: Match) -> str:
    century = f"{cardinal(int(match['century']))} " if match["century"] else ""
    tens = int(match["tens"])
    if not tens:
        return f"{century}hundreds" if match["century"] else match[0]
    return century + _DECADES[tens]


def _spell_roman(match: Match) -> str:
    number = _ROMAN[match["roman"]]
    counted = re.fullmatch(_PARTS, match["name"])
    return f"{match['name']} {cardinal(number) if counted else 'the ' + ordinal(number)}"


MIXED_FRACTIONS = (
    (re.compile(r"(?<![\d/.])(?P<whole>\d{1,3})[ -](?P<above>\d)/(?P<below>[2-9]|10)\b(?!/)"), _spell_mixed),
)
"""Before dates, whose slashes look alike."""

MEASURES = (
    (re.compile(r"(?<!\w)(?P<feet>\d)'(?P<inches>\d{1,2})(?:\"|''|\b)"), _spell_height),
    (re.compile(r"\b(?P<feet>\d+) ?ft\.? (?P<inches>\d{1,2}) ?in\b\.?"), _spell_feet_and_inches),
    (re.compile(rf"(?<=[\w%$€£])\s?/\s?(?P<per>{'|'.join(_PER)})\b(?!/)"), lambda m: f" per {_PER[m['per']]}"),
    (re.compile(rf"(?<![\w.,])(?P<amount>{_AMOUNT}) ?(?P<unit>{_UNIT})(?!\w)"), _spell_unit),
    (re.compile(r"(?<=\d)°(?!\s?[CF])"), " degrees"),
    (re.compile(r"\b(?P<amount>(?!401)\d{2,}|\d+\.\d+) ?[kK](?!\w)"), r"\g<amount> thousand"),
    (re.compile(r"(?<!\w)(?P<amount>\d+(?:\.\d+)?)M(?!\w)"), r"\g<amount> million"),
    (re.compile(r"'?\b(?P<century>1[1-9]|20)?(?P<tens>\d)0'?s\b"), _spell_decade),
    (
        re.compile(rf"\b(?P<name>[A-Z][a-z]+) (?P<roman>{'|'.join(sorted(_ROMAN, key=len, reverse=True))})\b"),
        _spell_roman,
    ),
)
"""After money, whose magnitudes look alike."""

ARITHMETIC = (
    (re.compile(r"(?<=\d) ?[x\u00d7] ?(?=\d+ ?=)|(?<=\d) [x\u00d7*] (?=\d)"), " times "),
    (re.compile(r"(?<=\d)[x\u00d7](?=\d)"), " by "),
    (re.compile(r"(?<=\d)[x\u00d7](?!\w)"), " times"),
    (re.compile(r"(?<=\d) [/\u00f7] (?=\d)"), " divided by "),
    (re.compile(r"(?<=\d) ?- ?(?=\d+(?:\.\d+)? ?=)"), " minus "),
    (re.compile(r"(?<=\w)\^(?=\d)"), " to the power of "),
    (re.compile(r"(?:<=|≤) ?(?=[$€£]?\d)"), "at most "),
    (re.compile(r"(?:>=|≥) ?(?=[$€£]?\d)"), "at least "),
    (re.compile(r"(?<![<\w])< ?(?=[$€£]?\d)"), "less than "),
    (re.compile(r"(?<![>\w])> ?(?=[$€£]?\d)"), "more than "),
    (re.compile(r"[~≈] ?(?=[$€£]?\d)"), "about "),
    (re.compile(r"± ?(?=\d)"), "plus or minus "),
    (re.compile(r"(?<=\d):(?=\d(?!\d))"), " to "),
)
"""Before ranges, of which a minus is one."""
