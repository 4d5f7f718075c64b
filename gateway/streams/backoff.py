# SPDX-License-Identifier: GPL-3.0-or-later
"""When to try again to reach a backend. Sync and clockless."""

_FIRST_S = 0.1
_FACTOR = 2.0
_LONGEST_S = 4.0
_LASTING_S = 5.0
"""A connection that breaks sooner was none: the waits and the window go on as if it had not been."""


class Backoff:
    """One stream's attempts: each wait is twice as long as the one before, up to 4 s, inside a window."""

    def __init__(self, window_s: float, now: float) -> None:
        """The first attempt is made at once."""
        self._deadline = now + window_s
        self._wait_s = 0.0
        self._connected_at: float | None = None
        self._was_lost = False

    @property
    def deadline(self) -> float:
        """When the backend is given up."""
        return self._deadline

    def next_attempt(self, now: float) -> float | None:
        """When to try next; None: the window ends before."""
        at = now + self._wait_s
        self._wait_s = min(_LONGEST_S, self._wait_s * _FACTOR) if self._wait_s else _FIRST_S
        return at if at < self._deadline else None

    def connected(self, now: float) -> None:
        self._connected_at = now

    def lost(self, window_s: float, now: float) -> None:
        """The connection broke; a window begins, unless it had hardly stood."""
        lasted_s = 0.0 if self._connected_at is None else now - self._connected_at
        if lasted_s >= _LASTING_S:
            self._wait_s = 0.0
        if lasted_s >= _LASTING_S or not self._was_lost:
            self._deadline = now + window_s
        self._was_lost = True
