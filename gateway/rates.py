# SPDX-License-Identifier: GPL-3.0-or-later
"""How often somebody may do something: a token bucket. No clock of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a second in the long run, and `burst` at once after a rest."""

    per_s: float
    burst: int


class TokenBucket:
    """Of one client. Starts full."""

    def __init__(self, rate: Rate, now: float) -> None:
        """`now`: monotonic seconds, as everywhere here."""
        self._rate = rate
        self._tokens = float(rate.burst)
        self._filled_at = now

    def take(self, now: float) -> float:
        """0.0: go on. Otherwise the seconds to wait until this would succeed; nothing is taken then."""
        self._tokens = min(self._rate.burst, self._tokens + (now - self._filled_at) * self._rate.per_s)
        self._filled_at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self._rate.per_s
        self._tokens -= 1.0
        return 0.0
