# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices behind each other. Here a voice's samples count up, so that what is lost or comes twice shows."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from agent.chains.events import ChainEvent, Failed, FellBack, Hedged
from agent.chains.tts import TextToSpeechChain
from agent.errors import ServiceError, ServiceUnavailable
from agent.services.tts import PLAIN, SpeechChunk, SpeechStyle, TextToSpeech
from media.frames import PcmSamples
from tests.agent.chains.chain import gone, members
from tests.fakes.services import STALL
from tests.fakes.virtual_time import in_virtual_time

CLAUSE = "We are open from nine to five."
HZ = 8_000


def ramp(seconds: float, rate_hz: int = HZ) -> PcmSamples:
    """A sound whose samples say which millisecond of the clause they belong to, from 1,000 on."""
    count = round(seconds * rate_hz)
    return (1_000 + np.arange(count) * 1_000 // rate_hz).astype(np.int16)


@dataclass
class Voice:
    """Speaks what the steps say: wait, speak, fail."""

    steps: Sequence[float | PcmSamples | ServiceError]
    rate_hz: int = HZ
    done: SpeechStyle = PLAIN
    voices: list[str | None] = field(default_factory=list)
    closed: int = 0

    async def synthesize(
        self, text: str, *, voice: str | None = None, style: SpeechStyle = PLAIN, sample_rate_hz: int | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.voices.append(voice)
        try:
            for step in self.steps:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, ServiceError):
                    raise step
                else:
                    yield SpeechChunk(step, self.rate_hz, self.done)
        finally:
            self.closed += 1

    async def aclose(self) -> None: ...


def chain(*voices: TextToSpeech, events: list[ChainEvent] | None = None, hedge_after_ms: int = 0) -> TextToSpeechChain:
    events = [] if events is None else events
    made = members("tts", *voices, events=events)
    return TextToSpeechChain("voices", made, hedge_after_ms=hedge_after_ms, on_event=events.append)


async def heard(tts: TextToSpeech, text: str = CLAUSE) -> list[int]:
    """The milliseconds of the clause that were heard, each once for each 8 samples of 8 kHz."""
    sound = [chunk.samples[:: chunk.sample_rate_hz // 1_000] async for chunk in tts.synthesize(text, voice="Ann")]
    return [int(sample) - 1_000 for chunk in sound for sample in chunk]


@in_virtual_time
async def test_the_first_speaks_and_the_second_is_not_asked() -> None:
    second = Voice([])
    assert await heard(chain(Voice([ramp(0.5)[:1000], 0.1, ramp(0.5)[1000:]]), second)) == list(range(500))
    assert second.voices == []


@in_virtual_time
async def test_the_second_speaks_the_clause_when_the_first_gives_no_sound_of_it() -> None:
    events: list[ChainEvent] = []
    assert await heard(chain(Voice([gone()]), Voice([ramp(0.5)]), events=events)) == list(range(500))
    assert events == [Failed("first", "tts", "unavailable"), FellBack("voices", "tts", "second")]


@in_virtual_time
async def test_the_second_goes_on_where_the_first_fell_silent() -> None:
    first, second = Voice([ramp(0.5)[:1600], 0.1, gone()]), Voice([ramp(0.5)[:900], ramp(0.5)[900:]])
    spoken = await heard(chain(first, second))
    assert spoken[:200] == list(range(200))
    assert spoken[206:] == list(range(206, 500))
    assert len(spoken) == 500
    assert first.closed == second.closed == 1


@in_virtual_time
async def test_it_begins_softly_there() -> None:
    first, second = Voice([ramp(0.2), gone()]), Voice([ramp(0.5)])
    sound = np.concatenate([chunk.samples async for chunk in chain(first, second).synthesize(CLAUSE)])
    joint = sound[1600:1640]
    assert abs(int(joint[0])) < 100
    assert np.all(np.diff(joint.astype(int)) >= 0)


@in_virtual_time
async def test_silence_before_the_first_sound_of_a_voice_does_not_count() -> None:
    silence = np.zeros(HZ // 4, np.int16)
    first, second = Voice([silence, ramp(0.2), gone()]), Voice([silence[:400], ramp(0.5)])
    spoken = await heard(chain(first, second))
    assert spoken[250:450] == list(range(200))
    assert spoken[456:] == list(range(206, 500))


@in_virtual_time
async def test_voices_of_different_rates_and_paces_are_matched_by_time() -> None:
    fast = SpeechStyle(rate=2.0)
    first = Voice([ramp(0.2), gone()], done=fast)  # 0.4 s of the clause at a plain pace
    second = Voice([ramp(1.0, 16_000)], rate_hz=16_000)
    spoken = await heard(chain(first, second))
    assert spoken[206:] == list(range(406, 1_000))


@in_virtual_time
async def test_a_second_that_speaks_faster_is_heard_from_earlier_on() -> None:
    first, second = Voice([ramp(0.4), gone()]), Voice([ramp(0.5)], done=SpeechStyle(rate=2.0))
    assert (await heard(chain(first, second)))[406:] == list(range(206, 500))


@in_virtual_time
async def test_a_second_that_is_shorter_than_what_was_heard_adds_nothing() -> None:
    assert await heard(chain(Voice([ramp(0.4), gone()]), Voice([ramp(0.3)]))) == list(range(400))


@in_virtual_time
async def test_a_voice_that_stalls_is_overtaken_in_mid_clause() -> None:
    first, second = Voice([ramp(0.2), STALL]), Voice([0.1, ramp(0.5)])
    events: list[ChainEvent] = []
    began_at = asyncio.get_running_loop().time()
    spoken = await heard(chain(first, second, events=events, hedge_after_ms=300))
    assert len(spoken) == 500
    assert asyncio.get_running_loop().time() - began_at == pytest.approx(0.4)
    assert first.closed == 1
    assert Hedged("voices", "tts", "second", won=True) in events


@in_virtual_time
async def test_a_voices_name_is_for_the_first_only() -> None:
    first, second = Voice([gone()]), Voice([ramp(0.1)])
    await heard(chain(first, second))
    assert (first.voices, second.voices) == (["Ann"], [None])


@in_virtual_time
async def test_words_without_any_sound_are_a_failure_and_marks_without_are_none() -> None:
    assert await heard(chain(Voice([]), Voice([ramp(0.1)]))) == list(range(100))
    second = Voice([ramp(0.1)])
    assert await heard(chain(Voice([]), second), "...") == []
    assert second.voices == []


@in_virtual_time
async def test_when_no_voice_is_left_the_failure_is_told() -> None:
    with pytest.raises(ServiceUnavailable, match="second: the connection failed"):
        await heard(chain(Voice([gone()]), Voice([gone("second")])))
