# SPDX-License-Identifier: GPL-3.0-or-later
"""When INVITEs may go out, so that a rate of calls holds over any second, not on the average only."""

import math
from collections import deque

_WINDOW_S = 1.02
"""A second, and what two INVITEs may be nearer together where they arrive than where they left."""


def gap_s(cps: float) -> float:
    """Between two INVITEs of all gateways: then no second has more than `cps` of them.

    Of 2.5 a second two fit into each second, of 0.5 one into every other.
    """
    return _WINDOW_S / math.floor(cps) if cps >= 1 else _WINDOW_S / cps


class SendWindow:
    """This gateway's INVITEs of the last second: after a stall of the machine, those that have waited must not leave
    together."""

    def __init__(self, cps: float) -> None:
        self._window_s = _WINDOW_S if cps >= 1 else gap_s(cps)
        self._sent: deque[float] = deque(maxlen=max(1, math.floor(cps)))

    def next_at(self, now: float) -> float:
        """When the next one may leave, monotonic seconds; `now`: at once."""
        if len(self._sent) < (self._sent.maxlen or 1):
            return now
        return max(now, self._sent[0] + self._window_s)

    def receive_sent(self, at: float) -> None:
        """One leaves then."""
        self._sent.append(at)
