# SPDX-License-Identifier: GPL-3.0-or-later
"""Page tokens: with one, a page opens calls to one agent until it expires, one at a time. No clock of its own.

A token is 256 random bits and kept as its SHA-256, as stream tokens are (`gateway.streams.tokens`); unlike those it
stays good for the call it opened: for its candidates, its events, its end.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import TokenRefused, TooManyTokens

PREFIX = "pct_"
MAX_TTL_S = 86_400
_MAX_TOKENS = 10_000


@dataclass(slots=True)
class PageGrant:
    """What a token is good for."""

    agent: str | None
    """None: the only one there is."""
    expires_at: float
    """Monotonic seconds. The call that stands then goes on."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the calls it opens."""
    origins: tuple[str, ...] = ()
    """Pages that may use it besides our own; none: only ours."""
    site: str | None = None
    """Of whom got it without a key (`gateway.sites`); None: who has a key vouches for it."""
    call_id: str | None = None
    """The call it opened last."""
    is_opening: bool = False
    """Another one is on its way."""


class PageTokens:
    """One for the process: tokens do not outlive it."""

    def __init__(self) -> None:
        self._grants: dict[bytes, PageGrant] = {}

    def __len__(self) -> int:
        return len(self._grants)

    def issue(self, grant: PageGrant, now: float) -> str:
        """A new token. Raises `TooManyTokens`."""
        if len(self._grants) >= _MAX_TOKENS:
            self._grants = {digest: one for digest, one in self._grants.items() if one.expires_at > now}
            if len(self._grants) >= _MAX_TOKENS:
                raise TooManyTokens(f"{_MAX_TOKENS} page tokens are outstanding")
        token = PREFIX + secrets.token_urlsafe(32)
        self._grants[_digest(token)] = grant
        return token

    def find(self, token: str, now: float, *, for_call: str | None = None) -> PageGrant:
        """What it is good for. `for_call`: a call that it opened, which it may outlive. Raises `TokenRefused`."""
        grant = self._grants.get(_digest(token))
        if grant is None:
            raise TokenRefused("the page token is not known: ask for a new one")
        if for_call is not None and grant.call_id == for_call:
            return grant
        if grant.expires_at <= now:
            raise TokenRefused("the page token has expired: ask for a new one")
        if for_call is not None:
            raise TokenRefused("the page token is for another call")
        return grant

    def of_site(self, site: str) -> list[PageGrant]:
        """Of those who got their tokens without a key, from there."""
        return [one for one in self._grants.values() if one.site == site]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
