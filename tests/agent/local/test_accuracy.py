# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio

import numpy as np

from agent.local.engines import OfflineEngines
from media.frames import PcmSamples
from tests.agent.local.recordings import RATE_HZ, over_the_line, prompts, silence
from tests.wer import word_error_rate

_AT_ONCE = 8


async def test_of_a_hundred_real_prompts_over_mu_law_at_most_6_percent_of_the_words_are_wrong(
    engines: OfflineEngines,
) -> None:
    chosen = list(prompts().values())[::2][:100]
    assert len(chosen) == 100
    limit = asyncio.Semaphore(_AT_ONCE)

    async def transcribe(samples: PcmSamples) -> str:
        async with limit:
            stream = await engines.stt.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
            stream.push(np.concatenate((silence(200), samples, silence(200))))
            text = (await stream.final()).text
            await stream.aclose()
            return text

    heard = await asyncio.gather(*(transcribe(over_the_line(path)) for path, _ in chosen))
    assert word_error_rate([words for _, words in chosen], heard) <= 0.06
