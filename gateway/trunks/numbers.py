# SPDX-License-Identifier: GPL-3.0-or-later
"""Telephone numbers as a trunk writes them, and as they are everywhere else: +441632960123 (ITU-T E.164). Pure.

What is no telephone number passes as it is: extensions (`100`), emergency and service numbers (`112`), names (`agent`).
"""

import re
from dataclasses import dataclass
from typing import Literal

SentNumber = Literal["e164_plus", "e164", "national", "as_is"]
ReceivedNumber = Literal["e164", "national", "as_is"]

_SEPARATORS = re.compile(r"[().\- ]")
_SHORTEST = 7
"""What has fewer digits is a service, an emergency or an extension, and not to be rewritten."""
_LONGEST = 15
"""E.164 section 6.2.1: country code included."""
_LONGEST_NATIONAL = 10
"""Of countries without a national prefix: North America has ten digits, Spain nine, Norway eight."""


@dataclass(frozen=True, slots=True)
class NumberPlan:
    """One trunk's way of writing numbers."""

    sent: SentNumber = "as_is"
    received: ReceivedNumber = "as_is"
    prefix: str = ""
    strip: str = ""
    country_code: str = ""
    national_prefix: str = "0"
    international_prefix: str = "00"

    def dialled(self, number: str) -> str:
        """The number as the request URI has to have it."""
        return f"{self.prefix}{self.written(number)}"

    def written(self, number: str) -> str:
        """The number as the trunk wants it, without what is put before dialled ones."""
        if self.sent == "as_is":
            return number
        full = self._from_home(number)
        if full is None:
            return number
        match self.sent:
            case "e164_plus":
                return f"+{full}"
            case "e164":
                return full
            case "national":
                code = self.country_code
                if code and full.startswith(code):
                    return f"{self.national_prefix}{full.removeprefix(code)}"
                return f"{self.international_prefix}{full}"

    def called(self, number: str) -> str:
        """The dialled number of a call that came in, as routes are to see it."""
        return self.received_number(number.removeprefix(self.strip))

    def received_number(self, number: str) -> str:
        """A number that came in, of a caller for example: +441632960123 when it can be told."""
        match self.received:
            case "as_is":
                return number
            case "e164":
                full = _full(number)
            case "national":
                full = self._from_home(number)
        return number if full is None else f"+{full}"

    def _from_home(self, number: str) -> str | None:
        """Country code and the rest of a number as people here dial it; None when it is no such number."""
        digits = _digits(number)
        if digits is None:
            return None
        if digits.startswith("+"):
            return digits[1:]
        if self.international_prefix and digits.startswith(self.international_prefix):
            return digits.removeprefix(self.international_prefix)
        if not self.country_code:
            return _full(number)
        if self.national_prefix:
            if digits.startswith(self.national_prefix):
                return self.country_code + digits.removeprefix(self.national_prefix)
            return digits
        return digits if len(digits) > _LONGEST_NATIONAL else self.country_code + digits


def _full(number: str) -> str | None:
    """Country code and the rest of a number that has both, with its plus or without."""
    digits = _digits(number)
    # No country code begins with 0 (E.164, annex B).
    return None if digits is None or digits.startswith("0") else digits.removeprefix("+")


def _digits(number: str) -> str | None:
    """The number without what people write between its digits; None for what is no telephone number."""
    bare = _SEPARATORS.sub("", number)
    digits = bare.removeprefix("+")
    # Longer by a prefix for other countries, if it is not written with a plus.
    if not digits.isascii() or not digits.isdecimal() or not _SHORTEST <= len(digits) <= _LONGEST + 4:
        return None
    return bare
