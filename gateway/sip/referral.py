# SPDX-License-Identifier: GPL-3.0-or-later
"""What REFER, Replaces and 3xx say: where to call, and whose place to take (RFC 3515, 3891, 3261)."""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.sip.uri import SipUri, UriError, wire_text

_LONGEST = 500
_MOST_CONTACTS = 10
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~()<>:\\\"/\[\]?{}@-]+")
"""A word of RFC 3261 section 25.1, which a Call-ID and a tag are made of."""
_REFERRED_BY = re.compile(r"[\x20-\x7e]{1,500}")


class ReferralError(ValueError):
    """Text of a peer that is no such header; the message names the part."""


@dataclass(frozen=True, slots=True)
class Replaces:
    """`call-id;to-tag=...;from-tag=...` (RFC 3891 section 6.1)."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> "Replaces":
        """Raises `ReferralError`."""
        call_id, *parameters = (part.strip() for part in text.split(";"))
        found: dict[str, str] = {}
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            name = name.strip().lower()
            if name in found:
                raise ReferralError(f"Replaces: {name} stands twice")
            found[name] = value.strip()
        for name in ("call-id", "to-tag", "from-tag"):
            value = found.get(name, "") if name != "call-id" else call_id
            if not value or len(value) > _LONGEST or not _TOKEN.fullmatch(value):
                raise ReferralError(f"Replaces: {name} is missing or malformed")
        return cls(call_id, found["to-tag"], found["from-tag"], "early-only" in found)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


@dataclass(frozen=True, slots=True)
class ReferTo:
    """A Refer-To: whom to call, and in whose place."""

    uri: str
    """`sip:`, `sips:` or `tel:`, without its headers: of those a peer may name, only Replaces is heeded."""
    replaces: Replaces | None = None

    @classmethod
    def parse(cls, text: str) -> "ReferTo":
        """Read a name-addr or addr-spec. Raises `ReferralError`."""
        text = wire_text(text)
        inner = text[text.rfind("<") + 1 :].partition(">")[0] if "<" in text else text.partition(";")[0]
        address, _, headers = inner.strip().partition("?")
        try:
            uri = SipUri.parse(address)
        except UriError as fault:
            raise ReferralError("Refer-To: no SIP URI") from fault
        named = [header.partition("=") for header in headers.split("&") if header]
        values = [unquote(value) for name, _, value in named if name.lower() == "replaces"]
        method = re.search(r";method=([^;]+)", uri.parameters, re.IGNORECASE)
        if len(values) > 1 or (method is not None and method[1].upper() != "INVITE"):
            raise ReferralError("Refer-To: no INVITE, or to replace several calls")
        return cls(re.sub(r"(?i);method=invite", "", str(uri)), Replaces.parse(values[0]) if values else None)


def referred_by(text: str) -> str:
    """A Referred-By (RFC 3892) that may be handed on; empty for none, or one that is not fit."""
    return text if _REFERRED_BY.fullmatch(text) else ""


_CONTACT = re.compile(r'\s*((?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^",<])+)')
_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def contacts_of(values: Iterable[str]) -> tuple[str, ...]:
    """Where the Contacts of a 3xx say to call, the best first (RFC 3261 section 20.10); at most ten."""
    found: list[tuple[float, str]] = []
    for one in (contact[1] for value in values for contact in _CONTACT.finditer(value[: _MOST_CONTACTS * _LONGEST])):
        quality = _QUALITY.search(one.rpartition(">")[2])
        with contextlib.suppress(UriError):  # mailto: and the like
            found.append(
                (
                    float(quality[1]) if quality else 1.0,
                    str(SipUri.parse(wire_text(one if "<" in one else one.partition(";")[0]))),
                )
            )
    return tuple(uri for _, uri in sorted(found, key=lambda one: -one[0])[:_MOST_CONTACTS])
