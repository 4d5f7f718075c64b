# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys a caller presses (RFC 4733), gathered until they are a turn. Clockless; `agent.turn` feeds it."""

_MOST_KEYS = 64


class Keypad:
    """Keys pressed, until the caller has finished: `#`, as many as were expected, or a while without a key."""

    def __init__(self, wait_s: float) -> None:
        self.length: int | None = None
        """So many keys are a whole answer; None: unknown."""
        self.pressed_at = 0.0
        self._wait_s = wait_s
        self._digits = ""
        self._due = 0.0

    @property
    def is_waiting(self) -> bool:
        return bool(self._digits)

    def receive_digit(self, digit: str, now: float) -> None:
        """Beyond 64 keys the oldest are dropped."""
        if digit == "#" and self._digits:
            self._due = now
        else:
            self._digits = (self._digits + digit)[-_MOST_KEYS:]
            self._due = now if len(self._digits) == self.length else now + self._wait_s
        self.pressed_at = now

    def next_timeout(self) -> float | None:
        return self._due if self._digits else None

    def is_due(self, now: float) -> bool:
        return bool(self._digits) and now >= self._due

    def take(self) -> str:
        """The keys, which are thereby answered."""
        digits, self._digits = self._digits, ""
        return digits
