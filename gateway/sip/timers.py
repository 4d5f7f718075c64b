# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SIP thread is to do later."""

import heapq
import itertools
from collections.abc import Callable


class Timers:
    """Work and when it is due, in monotonic seconds: of calls that were told to wait, and what comes again."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def add(self, due: float, work: Callable[[], None]) -> None:
        """`work` must not fail."""
        heapq.heappush(self._waiting, (due, next(self._numbers), work))

    def run(self, now: float) -> None:
        """Do what is due."""
        while self._waiting and self._waiting[0][0] <= now:
            heapq.heappop(self._waiting)[2]()
