# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers in words: cardinals, ordinals, years, digit by digit. For `agent.speakable`."""

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_LARGEST = 10**15
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """5 is "five", 1234 is "one thousand two hundred thirty-four"; what is too large is read digit by digit."""
    if number >= _LARGEST:
        return digit_by_digit(str(number))
    if number < 20:
        return _ONES[number]
    for scale, name in _SCALES:
        if number >= scale:
            head, rest = divmod(number, scale)
            return f"{cardinal(head)} {name}" + (f" {cardinal(rest)}" if rest else "")
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """21 is "twenty-first"."""
    words = cardinal(number)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    regular = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return words[:cut] + _ORDINALS.get(last, regular)


def year(number: int) -> str:
    """1905 is "nineteen oh five", 2007 "two thousand seven", 2026 "twenty twenty-six"."""
    century, rest = divmod(number, 100)
    if not 1000 <= number <= 9999 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} oh {cardinal(rest)}" if rest < 10 else f"{cardinal(century)} {cardinal(rest)}"


def digit_by_digit(digits: str) -> str:
    """ "0199" is "zero one nine nine"; what is no digit is left out."""
    return " ".join(_ONES[int(digit)] for digit in digits if digit.isdecimal())


def decimal(text: str) -> str:
    """ "1,250" is "one thousand two hundred fifty", "2.5" is "two point five", "007" is read digit by digit."""
    whole, point, fraction = text.replace(",", "").partition(".")
    words = digit_by_digit(whole) if len(whole) > 1 and whole.startswith("0") else cardinal(int(whole or "0"))
    return f"{words} point {digit_by_digit(fraction)}" if point and fraction else words
