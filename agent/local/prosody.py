# SPDX-License-Identifier: GPL-3.0-or-later
"""A turn's sound, measured in the inference pool."""

from agent.local.inference import InferencePool, Priority
from agent.prosody import TurnSound, measure
from media.frames import PcmSamples


class PooledProsody:
    """A `ProsodyAnalyser`, shared by all calls. A turn costs some milliseconds, and nothing else waits for it."""

    def __init__(self, pool: InferencePool) -> None:
        self._pool = pool

    async def measure(self, samples: PcmSamples, sample_rate_hz: int) -> TurnSound:
        return await self._pool.run(Priority.PARTIAL, measure, samples, sample_rate_hz)
