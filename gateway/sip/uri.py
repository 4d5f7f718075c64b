# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP URIs, as far as routing and dialling need them (RFC 3261 section 19.1)."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

_URI = re.compile(
    r"(?P<scheme>sips?|tel):(?:(?P<user>[^@;?>\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:;?>@\s\x00-\x1f\x7f]+)"
    # An @ behind a semicolon: PJSIP takes all before it for the user, and what follows for the host.
    r"(?::(?P<port>\d{1,5}))?(?P<parameters>(?:;[^?>@\s\x00-\x1f\x7f]*)?)",
    re.IGNORECASE,
)
_UNESCAPED = "-_.!~*'()&=+$,?/"
"""What a user part may hold as it is, besides letters and digits (section 25.1)."""


class UriError(ValueError):
    """Text that is no SIP URI; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class SipUri:
    """`sip:user@host:port;parameters`; display names and header parts are left behind by `parse`."""

    scheme: str
    user: str
    """Without its percent escapes (section 19.1.4). Empty when the URI names a host only; for `tel:` the number."""
    host: str
    """Empty for `tel:`."""
    port: int | None = None
    parameters: str = ""
    """With its leading semicolon, or empty."""

    @classmethod
    def parse(cls, text: str) -> "SipUri":
        """Read an addr-spec or the one inside a name-addr. Raises `UriError`."""
        inner = text[text.rfind("<") + 1 :].partition(">")[0] if "<" in text else text
        found = _URI.fullmatch(inner.strip().partition("?")[0])
        if found is None:
            raise UriError(f"{text!r} is not a SIP URI like sip:user@host:5060")
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 0 < port < 65536:
            raise UriError(f"{text!r}: port {port} is not between 1 and 65535")
        scheme = found["scheme"].lower()
        if scheme == "tel":
            return cls("tel", found["host"], "", None, found["parameters"])
        user = unquote((found["user"] or "").partition(":")[0])
        return cls(scheme, user, found["host"].lower(), port, found["parameters"])

    def __str__(self) -> str:
        if self.scheme == "tel":
            return f"tel:{self.user}{self.parameters}"
        user = f"{quote(self.user, safe=_UNESCAPED)}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}:{user}{self.host}{port}{self.parameters}"


def request_uri_user(message: str) -> str:
    """User part of a request's Request-URI, empty when there is none: `INVITE sip:agent@host SIP/2.0` gives `agent`."""
    line = message.partition("\n")[0].split()
    try:
        return SipUri.parse(line[1]).user if len(line) == 3 else ""
    except UriError:
        return ""


def wire_text(text: str) -> str:
    """Text of a SIP message as it may be stored and shown: bytes that are no UTF-8 and control characters replaced."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in valid)
