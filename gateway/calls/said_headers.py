# SPDX-License-Identifier: GPL-3.0-or-later
"""What an INVITE says beyond who calls whom, as metadata of its call: headers of its sender's own, how it came here,
and who vouches for the caller. Metadata is a stranger's word; only `verstat` of a trusted trunk is more.
"""

import re
from collections.abc import Iterable

_TOLD = frozenset(
    ("user-to-user", "diversion", "history-info", "identity", "referred-by", "p-asserted-identity", "p-charge-info")
)
"""RFC 7433, 5806, 7044, 8224, 3892, 3325."""
_MOST = 30
_LONGEST = 1024
_VERSTAT = re.compile(r";\s*verstat\s*=\s*([A-Za-z-]{1,40})", re.IGNORECASE)
_IDENTITY_SOURCES = frozenset(("from", "p-asserted-identity"))


def metadata_of(headers: Iterable[tuple[str, str]], *, trusted: bool) -> dict[str, str]:
    """`sip.x-customer`, `sip.user-to-user`...: names in lower case, repeated ones with commas between them.

    `sip.verstat` is what a trusted trunk says of the caller's number (`TN-Validation-Passed-A`; 3GPP TS 24.229,
    ATIS-1000074); of others it is left out, and so is who they assert calls. At most 30 are kept, of 1,024 characters.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        lower = {"y": "identity", "b": "referred-by", "f": "from"}.get(lower, lower)
        if trusted and lower in _IDENTITY_SOURCES and (verstat := _VERSTAT.search(value)):
            found["sip.verstat"] = verstat[1]
        if not lower.startswith("x-") and lower not in _TOLD:
            continue
        if lower.startswith("p-") and not trusted:
            continue
        key = f"sip.{lower[:60]}"
        if key in found:
            found[key] = f"{found[key]}, {value}"[:_LONGEST]
        elif len(found) < _MOST:
            found[key] = value[:_LONGEST]
    return found
