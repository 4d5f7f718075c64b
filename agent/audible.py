# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a rendered clause can be heard by when: the pauses between its words hold no words.

Cut at random places (56 cuts in 7 sentences with times, prices, numbers and commas, 8 kHz, Whisper on what came before
the cut as truth), words counted by share of letters and of samples were right within one word in 77 %; by share of the
letters that are spoken ("$95": "ninety five dollars") and of samples that can be heard, in 96 %.
"""

from array import array
from bisect import bisect_left, bisect_right

import numpy as np

from media.frames import PcmSamples

_BLOCK_S = 0.01
_AUDIBLE = 150
"""Mean magnitude of a block."""


class AudibleTime:
    """Audible samples of a signal that grows, by position; exact to 10 ms."""

    def __init__(self) -> None:
        self._ends = array("q")
        self._audible = array("q")

    @property
    def total(self) -> int:
        """Audible samples so far."""
        return self._audible[-1] if self._audible else 0

    @property
    def silent_tail(self) -> int:
        """Samples after the last audible block."""
        return self._ends[-1] - self._ends[bisect_left(self._audible, self.total)] if self.total else 0

    def append(self, samples: PcmSamples, sample_rate_hz: int) -> None:
        """What follows."""
        size = max(1, round(_BLOCK_S * sample_rate_hz))
        end, total = (self._ends[-1], self._audible[-1]) if self._ends else (0, 0)
        for begin in range(0, len(samples), size):
            block = samples[begin : begin + size]
            end += len(block)
            total += len(block) if float(np.abs(block.astype(np.float32)).mean()) >= _AUDIBLE else 0
            self._ends.append(end)
            self._audible.append(total)

    def until(self, position: int) -> int:
        """Audible samples before that position."""
        blocks = bisect_right(self._ends, position)
        return self._audible[blocks - 1] if blocks else 0
