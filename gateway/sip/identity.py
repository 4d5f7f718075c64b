# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a caller is, as far as a From header tells: what must be equal for two calls to be of the same person.

Nobody vouches for a From header but the trunk it came through. Withheld numbers (RFC 3323 section 4.1, and what
exchanges write in practice) are nobody, and so is an address without a user part.
"""

import re
from typing import Literal

from gateway.sip.uri import SipUri, UriError

Match = Literal["uri", "number"]

_WITHHELD = frozenset(
    ("anonymous", "unknown", "restricted", "private", "unavailable", "withheld", "unidentified", "invalid", "nobody")
)
_NUMBER = re.compile(r"\+?[\d().\- ]*\d[\d().\- ]*")


def caller_identity(address: str, match: Match) -> str:
    """`sip:user@host`, or `tel:user` when the user part alone counts; empty for nobody."""
    try:
        uri = SipUri.parse(address)
    except UriError:
        return ""
    user = re.sub(r"[().\- ]", "", uri.user) if _NUMBER.fullmatch(uri.user) else uri.user
    if not user or user.lower() in _WITHHELD or uri.host.rpartition(".")[2] == "invalid":
        return ""
    return f"sip:{user}@{uri.host}" if uri.host and match == "uri" else f"tel:{user}"


def named_caller(caller: str) -> tuple[frozenset[str], str]:
    """All that a caller whom somebody names may be known by, and the bare number, if no address was named.

    `sip:anna@192.0.2.7`, `anna@192.0.2.7` or `+15550100`.
    """
    address = caller.strip()
    is_bare = "@" not in address
    if not re.match(r"(?i)(?:sips?|tel):|.*<", address):
        address = f"tel:{address}" if is_bare else f"sip:{address}"
    known = frozenset(filter(None, (caller_identity(address, "uri"), caller_identity(address, "number"))))
    return known, caller.strip().removeprefix("tel:") if is_bare and known else ""
