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
        wait_s = self.wait_s(now)
        if wait_s == 0.0:
            self._tokens -= 1.0
        return wait_s

    def give_back(self, now: float) -> None:
        """Undo a `take`."""
        self.wait_s(now)
        self._tokens = min(self._rate.burst, self._tokens + 1.0)

    def wait_s(self, now: float) -> float:
        """What `take` would return; nothing is taken."""
        self._tokens = min(self._rate.burst, self._tokens + (now - self._filled_at) * self._rate.per_s)
        self._filled_at = now
        return max(0.0, (1.0 - self._tokens) / self._rate.per_s)


class Buckets:
    """One for each client of many, at most 10,000: drops the one not used for longest."""

    def __init__(self, rate: Rate, most: int = 10_000) -> None:
        self._rate = rate
        self._most = most
        self._by_client: dict[str, TokenBucket] = {}

    def take(self, client: str, now: float) -> float:
        """See `TokenBucket.take`."""
        bucket = self._by_client.pop(client, None) or TokenBucket(self._rate, now)
        self._by_client[client] = bucket
        if len(self._by_client) > self._most:
            del self._by_client[next(iter(self._by_client))]
        return bucket.take(now)

    def give_back(self, client: str, now: float) -> None:
        """Undo a `take`."""
        bucket = self._by_client.get(client)
        if bucket is not None:
            bucket.give_back(now)

    def wait_s(self, client: str, now: float) -> float:
        """What `take` would return; nothing is taken."""
        bucket = self._by_client.get(client)
        return 0.0 if bucket is None else bucket.wait_s(now)
