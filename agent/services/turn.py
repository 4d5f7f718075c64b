# SPDX-License-Identifier: GPL-3.0-or-later
"""The end-of-turn model, as the agent sees it."""

from typing import Protocol

from media.frames import PcmSamples


class TurnDetector(Protocol):
    """Judges from the sound whether a caller has finished, or only paused."""

    async def end_of_turn(self, samples: PcmSamples, sample_rate_hz: int) -> float:
        """Probability 0 to 1 that the turn is over, given its audio with the pause at its end, int16, shape (n,)."""
        ...

    async def aclose(self) -> None: ...
