# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring how a turn sounded, as the agent sees it."""

from typing import Protocol

from agent.prosody import TurnSound
from media.frames import PcmSamples


class ProsodyAnalyser(Protocol):
    """One for all calls."""

    async def measure(self, samples: PcmSamples, sample_rate_hz: int) -> TurnSound:
        """Measure a turn's audio, int16, shape (n,), off the event loop. Raises `ServiceError`."""
        ...
