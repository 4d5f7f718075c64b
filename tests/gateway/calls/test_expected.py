# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices that are warm when a call is answered, whatever its rate turns out to be."""

import asyncio

from gateway.calls.expected import Expected
from tests.fakes.virtual_time import in_virtual_time


class Voice:
    def __init__(self) -> None:
        self.warmed: list[int] = []

    async def warm(self, sample_rate_hz: int) -> None:
        await asyncio.sleep(0.2)
        self.warmed.append(sample_rate_hz)


@in_virtual_time
async def test_the_voice_is_warm_while_it_rings_and_again_when_the_leg_has_another_rate() -> None:
    voice, over = Voice(), asyncio.Event()
    expected = Expected("clerk", None, voice.warm, 8000)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(expected.run(over.wait))
        await asyncio.sleep(1.0)
        assert voice.warmed == [8000]
        expected.answered(48000)
    assert voice.warmed == [8000, 48000]


@in_virtual_time
async def test_a_leg_with_the_usual_rate_and_a_caller_who_gives_up_cost_no_second_connection() -> None:
    for ending in ("answered", "over"):
        voice, over = Voice(), asyncio.Event()
        expected = Expected("clerk", None, voice.warm, 8000)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(expected.run(over.wait))
            await asyncio.sleep(1.0)
            if ending == "answered":
                expected.answered(8000)
            else:
                over.set()
        assert voice.warmed == [8000]
