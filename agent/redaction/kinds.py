# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be redacted, and what stands in its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["cards", "iban", "emails", "birthdates", "numbers", "names"]
"""cards: payment cards (Luhn), with what follows of expiry and security code. iban: account numbers with a checksum.
emails: written or spoken ("anna dot smith at example dot com"). birthdates: dates after "born" and the like. numbers:
telephone, account and other numbers of six digits and more; shorter ones when they were asked for. names: after cues
("my name is"), then wherever they come again in the call."""

ALL_KINDS: frozenset[Kind] = frozenset(get_args(Kind))

LABELS: Mapping[Kind, str] = {
    "cards": "[card]",
    "iban": "[iban]",
    "emails": "[email]",
    "birthdates": "[birthdate]",
    "numbers": "[number]",
    "names": "[name]",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text."""

    begin: int
    end: int
    kind: Kind
    signs: str = ""
    """Of numbers: the digits (and letters) themselves."""

    def overlaps(self, other: "Span") -> bool:
        return self.begin < other.end and other.begin < self.end
