# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ModelError, ServiceRejected
from agent.local.engines import OfflineEngines
from agent.local.piper import PhraseCache, PiperTextToSpeech, PiperVoiceModel
from agent.services.tts import SpeechChunk, SpeechStyle
from media.frames import PcmSamples
from media.resample import resample
from tests.wer import word_error_rate

SENTENCE = "We are open on Saturday from nine until noon."


@pytest.fixture(scope="module")
def voice(model_folder: Path) -> PiperVoiceModel:
    return PiperVoiceModel(model_folder / "piper/voice.onnx", model_folder / "piper/voice.onnx.json")


@pytest.fixture
def tts(voice: PiperVoiceModel, engines: OfflineEngines) -> PiperTextToSpeech:
    return PiperTextToSpeech(voice, engines.pool)


async def chunks(tts: PiperTextToSpeech, text: str, rate: float = 1.0) -> list[SpeechChunk]:
    return [chunk async for chunk in tts.synthesize(text, style=SpeechStyle(rate=rate))]


def seconds(spoken: list[SpeechChunk]) -> float:
    return sum(len(chunk.samples) / chunk.sample_rate_hz for chunk in spoken)


async def test_what_is_spoken_is_understood_at_the_far_end(tts: PiperTextToSpeech, engines: OfflineEngines) -> None:
    (chunk,) = await chunks(tts, SENTENCE)
    assert chunk.sample_rate_hz == 22050
    assert chunk.samples.dtype == np.int16
    stream = await engines.stt.open(sample_rate_hz=8000, on_partial=lambda _: None)
    stream.push(resample(chunk.samples, chunk.sample_rate_hz, 8000))
    assert (
        word_error_rate([SENTENCE], [(await stream.final()).text]) <= 0.35
    )  # Piper says it a little differently each time


async def test_every_sentence_is_a_chunk_of_its_own(tts: PiperTextToSpeech) -> None:
    assert len(await chunks(tts, "First. Second one. And a third.")) == 3
    assert await chunks(tts, " ") == []


async def test_twice_the_rate_takes_about_half_the_time(tts: PiperTextToSpeech) -> None:
    fast, slow, normal = [seconds(await chunks(tts, SENTENCE, rate)) for rate in (2.0, 0.8, 1.0)]
    assert 0.4 < fast / normal < 0.75
    assert slow > normal


async def test_a_phrase_is_rendered_once(tts: PiperTextToSpeech, engines: OfflineEngines) -> None:
    first = await chunks(tts, "Hello. Who is there?")
    rendered = engines.pool.completed
    second = await chunks(tts, "Hello. Who is there?")
    assert engines.pool.completed == rendered
    assert [chunk.samples.tobytes() for chunk in second] == [chunk.samples.tobytes() for chunk in first]


async def test_warm_phrases_cost_nothing_later(tts: PiperTextToSpeech, engines: OfflineEngines) -> None:
    await tts.warm(["Yes.", "No."])
    rendered = engines.pool.completed
    assert seconds(await chunks(tts, "No.")) > 0
    assert engines.pool.completed == rendered


async def test_a_phrase_that_was_interrupted_is_not_kept(tts: PiperTextToSpeech) -> None:
    speech = tts.synthesize("First. Second one. And a third.")
    await anext(speech)
    await speech.aclose()
    assert tts.cache.bytes == 0


async def test_cancelling_leaves_nothing_in_the_queue(tts: PiperTextToSpeech, engines: OfflineEngines) -> None:
    callers = [asyncio.ensure_future(chunks(tts, f"{SENTENCE} Number {n}.")) for n in range(20)]
    await asyncio.sleep(0)
    assert engines.pool.queued > 0
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    assert engines.pool.queued == 0


async def test_a_voice_that_does_not_exist_is_refused(tts: PiperTextToSpeech) -> None:
    with pytest.raises(ServiceRejected, match="no voice 'amy'"):
        await anext(tts.synthesize("Hello.", voice="amy"))


async def test_sentences_are_remembered_whatever_they_were_said_with(tts: PiperTextToSpeech) -> None:
    first = await chunks(tts, "We are open today. Come in.")
    again = await chunks(tts, "Come in. We are open today.")
    assert [len(chunk.samples) for chunk in again] == [len(chunk.samples) for chunk in reversed(first)]


async def test_a_sentence_that_is_known_at_another_pace_is_not_rendered_again_and_says_its_pace(
    tts: PiperTextToSpeech, engines: OfflineEngines
) -> None:
    (slow,) = await chunks(tts, "Come in at once.", rate=0.8)
    assert slow.done.rate == 0.8
    await chunks(tts, "Come in.")
    rendered = engines.pool.completed
    (known,) = await chunks(tts, "Come in.", rate=0.8)
    assert engines.pool.completed == rendered
    assert known.done.rate == 1.0


def test_a_voice_without_settings_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"voice\.onnx\.json"):
        PiperVoiceModel(tmp_path / "voice.onnx", tmp_path / "voice.onnx.json")


def phrase(samples: int) -> tuple[PcmSamples, ...]:
    return (np.ones(samples, np.int16),)


def test_a_full_cache_forgets_what_was_not_used_longest() -> None:
    cache = PhraseCache(max_bytes=800)
    cache.put("one", 1.0, phrase(200))
    cache.put("two", 1.0, phrase(200))
    assert cache.get("one", 1.0) is not None
    cache.put("three", 1.0, phrase(100))
    assert cache.get("two", 1.0) is None
    assert cache.get("one", 1.0) is not None
    assert cache.bytes == 600


def test_what_is_larger_than_the_cache_is_not_kept_and_drives_nothing_out() -> None:
    cache = PhraseCache(max_bytes=100)
    cache.put("small", 1.0, phrase(10))
    cache.put("large", 1.0, phrase(1000))
    assert cache.get("large", 1.0) is None
    assert cache.get("small", 1.0) is not None
