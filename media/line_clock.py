# SPDX-License-Identifier: GPL-3.0-or-later
"""The relation between a leg's timeline and our clock."""


class LineClock:
    """Positions on the leg's timeline as times on our clock, free of the network's jitter.

    The fastest frame tells how far apart the two clocks are; it is forgotten slowly, since they drift.
    """

    _DRIFT = 1e-4
    """Seconds per second: more than two sound cards differ by."""
    _JUMP_S = 2.0
    """A frame later than this belongs to a timeline that began anew."""

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._seen_at = 0.0

    def receive(self, position_s: float, arrived_at: float) -> None:
        """The sample at `position_s` (and all before it) was here at `arrived_at`."""
        offset_s = arrived_at - position_s
        if self._offset_s is None or offset_s - self._offset_s > self._JUMP_S:
            self._offset_s = offset_s
        else:
            self._offset_s = min(offset_s, self._offset_s + (arrived_at - self._seen_at) * self._DRIFT)
        self._seen_at = arrived_at

    def spoken_at(self, position_s: float) -> float:
        """When the sample at `position_s` would have been here had nothing delayed it."""
        return position_s + (self._offset_s or 0.0)
