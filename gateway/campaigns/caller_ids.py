# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of our numbers a call shows: by turns, and near the number that is called, if the policy wants that."""

import hashlib

from gateway.campaigns.policy import Policy


class CallerIds:
    """One policy's pool."""

    def __init__(self, policy: Policy) -> None:
        self._pool = policy.caller_ids
        self._by_attempt = policy.caller_id_rotation == "attempt"
        self._is_local = policy.local_presence

    def choose(self, number: str, attempt_index: int) -> str | None:
        """For the contact's attempt of this index, from 1; None: the trunk's number.

        Over many contacts all that fit are used alike. Which one a contact gets hangs on its number alone, so that all
        gateways agree, and people who call back know it.
        """
        fitting = self._nearest(number) if self._is_local else self._pool
        if not fitting:
            return None
        first = int.from_bytes(hashlib.sha256(number.encode()).digest()[:8], "big")
        turn = attempt_index - 1 if self._by_attempt else 0
        return fitting[(first + turn) % len(fitting)]

    def _nearest(self, number: str) -> tuple[str, ...]:
        """Those that share the longest beginning with the number."""
        shared = [_shared(number, one) for one in self._pool]
        longest = max(shared, default=0)
        return tuple(one for one, length in zip(self._pool, shared, strict=True) if length == longest)


def _shared(number: str, other: str) -> int:
    for index, (one, two) in enumerate(zip(number, other, strict=False)):
        if one != two:
            return index
    return min(len(number), len(other))
