# SPDX-License-Identifier: GPL-3.0-or-later
"""Ephemeral tokens: with one, a backend attaches itself to a call, once. No clock of its own.

A token is 256 random bits, is shown once and kept as its SHA-256. It is good for one attempt, for its call (any call
when it names none), for what its scope allows, until it expires or its call ends. Ten thousand may be outstanding.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from gateway.errors import TokenRefused, TooManyTokens

TokenScope = Literal["stream", "listen"]
"""stream: hear the caller, speak and act on the call. listen: hear the call, nothing else."""

MAX_TTL_S = 3600
_MAX_TOKENS = 10_000
"""More are refused until some are used or have expired."""
_PREFIX = "ptk_"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is good for."""

    scope: TokenScope
    call_id: str | None
    """None: any call."""
    expires_at: float
    """Monotonic seconds."""


class StreamTokens:
    """One for the process: tokens do not outlive it."""

    def __init__(self) -> None:
        self._grants: dict[bytes, Grant] = {}

    def __len__(self) -> int:
        return len(self._grants)

    def issue(self, scope: TokenScope, call_id: str | None, ttl_s: float, now: float) -> str:
        """A new token. Raises `TooManyTokens`."""
        if len(self._grants) >= _MAX_TOKENS:
            self._grants = {digest: grant for digest, grant in self._grants.items() if grant.expires_at > now}
            if len(self._grants) >= _MAX_TOKENS:
                raise TooManyTokens(f"{_MAX_TOKENS} tokens are outstanding")
        token = _PREFIX + secrets.token_urlsafe(32)
        self._grants[_digest(token)] = Grant(scope, call_id, now + ttl_s)
        return token

    def redeem(self, token: str, call_id: str, now: float) -> Grant:
        """What it is good for, and never again. Raises `TokenRefused`, after which it is used up as well."""
        grant = self._grants.pop(_digest(token), None)
        if grant is None:
            raise TokenRefused("the token is unknown, was used before, or its call is over")
        if grant.expires_at <= now:
            raise TokenRefused("the token has expired")
        if grant.call_id not in (None, call_id):
            raise TokenRefused("the token is for another call")
        return grant

    def forget_call(self, call_id: str) -> None:
        """The call is over: its tokens are worth nothing."""
        self._grants = {digest: grant for digest, grant in self._grants.items() if grant.call_id != call_id}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
