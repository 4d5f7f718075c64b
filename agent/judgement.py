# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the end-of-turn model early: as soon as the caller falls silent, about the silence that is to come.

Models want to hear some of the pause (`turn.ask_after_ms`), and then take their time. If the caller stays silent, what
they will hear is known: more of the same. So they are asked at once, with the pause filled up, and the answer is there
when it is asked for. smart-turn came to another decision in one of 120 cases, filled up from 100, 120 or 150 ms to 200
on quiet and noisy lines; asked about the shorter pause itself it believed sentences that were not finished.
"""

import asyncio

import numpy as np

from agent.deadlines import in_time
from agent.errors import ServiceError
from agent.services.turn import TurnDetector
from media.frames import PcmSamples

_TILE_MS = 60
"""The newest of the pause, which is repeated: silence on this line sounds so."""


def filled(samples: PcmSamples, sample_rate_hz: int, silent_ms: float, wanted_ms: float) -> PcmSamples:
    """The audio of a turn whose last `silent_ms` are silent, as if they were `wanted_ms`."""
    tile = samples[-max(1, round(min(silent_ms, _TILE_MS) * sample_rate_hz / 1e3)) :]
    missing = round(max(0.0, wanted_ms - silent_ms) * sample_rate_hz / 1e3)
    return samples if not missing or not len(samples) else np.concatenate((samples, np.resize(tile, missing)))


class Judgement:
    """One pause's: made once, awaited when it is needed."""

    def __init__(self) -> None:
        self._outcome: asyncio.Future[float | ServiceError] = asyncio.get_running_loop().create_future()

    async def make(self, detector: TurnDetector, samples: PcmSamples, sample_rate_hz: int, timeout_ms: int) -> None:
        """Ask the model; its failure waits for whoever awaits `probability`."""
        outcome: float | ServiceError
        try:
            judging = detector.end_of_turn(samples, sample_rate_hz)
            outcome = await in_time(judging, "turn_detector", timeout_ms)
        except ServiceError as error:
            outcome = error
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def probability(self) -> float:
        """That the turn is over. Raises `ServiceError`."""
        outcome = await self._outcome
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome
