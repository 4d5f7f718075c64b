# SPDX-License-Identifier: GPL-3.0-or-later
"""How long this caller pauses inside a turn: what the waits of `agent.endpointing` adapt to.

    a turn that ends without a pause ──> the wait for a statement falls towards the fluent one, a third of the way
    a pause that the caller went on from ──> the wait for a statement rises, to a quarter above it
    a false cut-off ──> the least wait rises, too, to just above that pause
    a turn answered without one ──> the least wait falls back, a third of the way

A false cut-off is a turn that we took and the caller went on with, before our answer or into its first word.
"""

_PAUSE_FROM_S = 0.2
"""Shorter silences belong to the words."""
_MARGIN_S = 0.1
"""A caller's next pause may be so much longer than the last."""
_REACH = 1.25
"""And so many times as long."""
_FORGET = 0.85
"""A pause counts so much of itself after every turn."""
_FALL = 1 / 3


class CallerPauses:
    """One caller's habit. Seconds throughout."""

    def __init__(self, least_s: float, fluent_s: float, sure_s: float, longest_s: float) -> None:
        """The waits as configured: the least, the one for a statement with its two bounds."""
        self.least_s = self._configured_least_s = least_s
        """No wait is shorter, but for what is a whole turn by its form."""
        self.sure_s = self._cautious_s = sure_s
        """The wait for a statement of which the model is sure."""
        self._fluent_s = fluent_s
        self._longest_s = longest_s
        self._long_pause_s = 0.0
        """The longest of late."""

    def receive_pause(self, pause_s: float) -> None:
        """The caller went on after so much silence."""
        if pause_s >= _PAUSE_FROM_S:
            self._long_pause_s = max(self._long_pause_s, pause_s)
            self.sure_s = max(self.sure_s, self._wanted_s)

    def receive_cut_off(self, pause_s: float) -> None:
        """The caller went on after so much silence, and we had taken the turn."""
        self.receive_pause(pause_s)
        self.least_s = max(self.least_s, min(pause_s + _MARGIN_S, self._cautious_s))

    def receive_turn(self) -> None:
        """A turn was answered, and the caller did not go on with it."""
        self.least_s -= (self.least_s - self._configured_least_s) * _FALL
        self.sure_s -= (self.sure_s - self._wanted_s) * _FALL
        self._long_pause_s *= _FORGET

    @property
    def _wanted_s(self) -> float:
        """The wait for a statement that fits the pauses of late."""
        return min(max(self._long_pause_s * _REACH + _MARGIN_S, self._fluent_s), self._longest_s)
