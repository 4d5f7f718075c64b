# SPDX-License-Identifier: GPL-3.0-or-later
"""Telephone numbers of lists: in one form, valid, and with the time zones that they tell."""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, timezone

from gateway.errors import BadAddress
from gateway.sip.uri import SipUri, UriError

_UNKNOWN_ZONE = "Etc/Unknown"
_LONGEST = 256
_FRACTION = re.compile(r"\d{6}[.,]0+$|\d[.,]?\d*[eE][+-]?\d+$")
"""What spreadsheets and data frames make of numbers, `4.93E+11` and `493012345678.0`; the latter would be dialled with
a digit too many."""
_BEGINS = re.compile(r"[\d+\uff0b(\[]")


def normalised(text: str, region: str | None) -> str:
    """E.164 (`+493012345678`); SIP URIs stay as they are. `region`: the country of numbers that are written without
    one. Raises `BadAddress`, whose message does not repeat the number."""
    written = text.strip()
    if not written:
        raise BadAddress("there is no number")
    if len(written) > _LONGEST:
        raise BadAddress("is longer than any number")
    if written.lower().startswith(("sip:", "sips:")):
        try:
            return str(SipUri.parse(written))
        except UriError as error:
            raise BadAddress("is no SIP URI like sip:user@host:5060") from error
    if _FRACTION.search(written):
        raise BadAddress("is a number that a spreadsheet has rounded: keep the column as text")
    if _BEGINS.match(_bare(written)) is None:  # the library would skip whatever stands before the digits
        raise BadAddress("is no telephone number")
    try:
        number = phonenumbers.parse(written, region)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE and not written.startswith(("+", "00")):
            raise BadAddress("has no country code: begin it with +, or name the policy's `region`") from error
        raise BadAddress("is no telephone number") from error
    if number.extension:
        raise BadAddress("has an extension, which cannot be dialled")
    if not phonenumbers.is_valid_number(number):
        raise BadAddress(_why(number))
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _bare(written: str) -> str:
    """Without what stands before numbers: RFC 3966's scheme, a spreadsheet's apostrophe, marks of direction."""
    plain = "".join(one for one in written if one.isprintable()).lstrip("' \u00a0")
    return plain[4:] if plain[:4].lower() == "tel:" else plain


def zones_of(number: str) -> str:
    """The time zones that a normalised number may be in, joined by blanks; empty: it does not tell."""
    if not number.startswith("+"):
        return ""
    zones = timezone.time_zones_for_number(phonenumbers.parse(number, None))
    return " ".join(zone for zone in zones if zone != _UNKNOWN_ZONE)


def _why(number: phonenumbers.PhoneNumber) -> str:
    match phonenumbers.is_possible_number_with_reason(number):
        case phonenumbers.ValidationResult.TOO_SHORT:
            return "is too short"
        case phonenumbers.ValidationResult.TOO_LONG:
            return "is too long"
        case phonenumbers.ValidationResult.INVALID_COUNTRY_CODE:
            return "has a country code that does not exist"
    return "is not given to anybody: its country has no such number"
