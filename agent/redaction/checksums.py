# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells a card's number and an IBAN from other numbers."""

CARD_DIGITS = range(12, 20)
"""ISO/IEC 7812-1."""
IBAN_SIGNS = range(15, 35)
"""ISO 13616-1."""


def is_card(digits: str) -> bool:
    """Luhn's formula, and a first digit of banks, shops, travel or fuel."""
    if len(digits) not in CARD_DIGITS or digits[0] not in "23456" or len(set(digits)) == 1:
        return False
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_iban(signs: str) -> bool:
    """A country, two check digits, and the remainder of ISO 7064 (mod 97-10)."""
    if len(signs) not in IBAN_SIGNS or not (signs[:2].isalpha() and signs[2:4].isdecimal() and signs.isalnum()):
        return False
    moved = (signs[4:] + signs[:4]).upper()
    return signs.isascii() and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1
