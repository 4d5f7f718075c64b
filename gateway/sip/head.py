# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of a SIP message as it was on the wire: start line and headers (RFC 3261 section 7)."""

from collections.abc import Iterator
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]
"""In their order, names as they were written."""

_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
"""Short names of headers (RFC 3261 section 7.3.3 and IANA's registry)."""


@dataclass(frozen=True, slots=True)
class MessageHead:
    """PJSIP has parsed the message before it comes here: what is no header line is left out, and nothing raises."""

    start_line: str
    headers: Headers

    @classmethod
    def parse(cls, text: str) -> "MessageHead":
        lines = text.split("\n")
        headers: list[tuple[str, str]] = []
        for line in lines[1:]:
            line = line.rstrip("\r")
            if line[:1] in (" ", "\t"):  # a folded header goes on (section 7.3.1)
                if headers:
                    name, value = headers[-1]
                    headers[-1] = name, f"{value} {line.strip()}".strip()
                continue
            name, colon, value = line.partition(":")
            if colon and name.strip():
                headers.append((name.strip(), value.strip()))
        return cls(lines[0].rstrip("\r"), tuple(headers))

    @property
    def request_uri(self) -> str:
        """Empty in a response."""
        parts = self.start_line.split()
        return parts[1] if len(parts) == 3 else ""

    def all(self, name: str) -> Iterator[str]:
        """The values of every header of this (long) name, whichever way it is written."""
        wanted = name.lower()
        for given, value in self.headers:
            lower = given.lower()
            if _COMPACT.get(lower, lower) == wanted:
                yield value

    def first(self, name: str) -> str:
        """Empty when there is none."""
        return next(self.all(name), "")
