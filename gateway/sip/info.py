# SPDX-License-Identifier: GPL-3.0-or-later
"""DTMF in SIP INFO (RFC 6086 calls it legacy use; the bodies are Cisco's `application/dtmf-relay` and the older
`application/dtmf`). Nothing here raises: a body is a stranger's."""

import re
from dataclasses import dataclass, field

from media.keys import KEYS, MAX_KEY_MS

CONTENT_TYPE = "application/dtmf-relay"
DEFAULT_DURATION_MS = 250
"""What `dtmf-relay` means when it does not say."""

_SIGNAL = re.compile(r"^[ \t]*Signal[ \t]*[=:][ \t]*(\S{1,2})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^[ \t]*Duration[ \t]*[=:][ \t]*([0-9]{1,6})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_EVENT_CODES = {str(code): key for code, key in enumerate(KEYS)}


@dataclass(frozen=True, slots=True)
class InfoDigit:
    """What an INFO says was pressed."""

    digit: str = field(repr=False)
    duration_ms: int = DEFAULT_DURATION_MS

    @classmethod
    def parse(cls, subtype: str, body: str) -> "InfoDigit | None":
        """Read the body of an `application/SUBTYPE`; None when it names no key.

        `dtmf` holds the key alone, `dtmf-relay` lines `Signal=5` and `Duration=160`. Peers write the signal as the key
        or as its event code (10 is `*`, 11 is `#`), with or without blanks, and end lines as they like.
        """
        body = body.replace("\r\n", "\n").replace("\r", "\n").rstrip("\0")
        signal = body.strip() if subtype == "dtmf" else _first(_SIGNAL, body)
        signal = (signal or "").upper()
        digit = signal if len(signal) == 1 and signal in KEYS else _EVENT_CODES.get(signal, "")
        if not digit:
            return None
        # A single "1" is the key; "10" to "15" are codes.
        duration_ms = int(_first(_DURATION, body) or DEFAULT_DURATION_MS) if subtype != "dtmf" else DEFAULT_DURATION_MS
        return cls(digit, min(max(duration_ms, 1), MAX_KEY_MS * 5))

    def body(self) -> str:
        """The `application/dtmf-relay` that says this."""
        return f"Signal={self.digit}\r\nDuration={self.duration_ms}\r\n"


def _first(pattern: re.Pattern[str], body: str) -> str | None:
    found = pattern.search(body)
    return found[1] if found else None
