# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait before a service is tried again: twice as long each time, and no two of us at the same moment."""

import random


class Backoff:
    """Half of each wait is chance, so that a service that comes back is not met by everybody at once."""

    def __init__(self, first_s: float = 0.5, longest_s: float = 30.0, *, chance: random.Random | None = None) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance or random.Random()
        self._wait_s = first_s

    def next_s(self) -> float:
        """The next wait: half to all of `first_s`, then of twice that, and so on up to `longest_s`."""
        wait_s = self._wait_s
        self._wait_s = min(self._longest_s, 2 * wait_s)
        return wait_s * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It went well: begin with `first_s` again."""
        self._wait_s = self._first_s
