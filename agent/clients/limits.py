# SPDX-License-Identifier: GPL-3.0-or-later
"""How much one service is asked at a time and per second, as its plan allows. A clockless engine.

Nobody waits for a place: a caller would hear it. Who finds no room asks the next service, or says so.
"""


class Limits:
    """One service's, for all calls."""

    def __init__(self, max_concurrent: int = 0, per_second: float = 0.0, burst: int = 0) -> None:
        """0: as many as come. `burst` requests may come at a stroke where `per_second` is the rule on the average; 0:
        those of one second, at least one."""
        self._max_concurrent = max_concurrent
        self._per_second = per_second
        self._burst = float(burst or max(1.0, per_second))
        self.concurrent = 0
        """Requests under way."""
        self._left = self._burst
        """Requests that may come at a stroke."""
        self._counted_at: float | None = None

    def enter(self, now: float) -> bool:
        """Take a place, if there is room; it is given back with `leave`."""
        if self._max_concurrent and self.concurrent >= self._max_concurrent:
            return False
        if self._per_second:
            passed_s = 0.0 if self._counted_at is None else now - self._counted_at
            self._counted_at = now
            self._left = min(self._burst, self._left + passed_s * self._per_second)
            if self._left < 1.0:
                return False
            self._left -= 1.0
        self.concurrent += 1
        return True

    def leave(self) -> None:
        """The request is over."""
        assert self.concurrent, "nobody is inside"
        self.concurrent -= 1
