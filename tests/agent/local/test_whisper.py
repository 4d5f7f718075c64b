# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from agent.errors import AgentMisuse, ServiceRejected
from agent.local.inference import InferencePool, Job, Priority
from agent.local.whisper import WhisperSpeechToText, WhisperStream
from agent.local.whisper_model import WhisperModel
from agent.services.stt import Transcript
from media.frames import PcmSamples
from media.resample import resample
from tests.agent.local.recordings import RATE_HZ, TWO_SENTENCES, noise, prompt, silence
from tests.agent.local.test_inference import Gate
from tests.wer import word_error_rate

T = TypeVar("T")


class WatchedPool(InferencePool):
    """The pool, with a way to wait until nothing is left to do."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._results: set[asyncio.Future[Any]] = set()
        self.longest_s = 0.0
        """Of all audio that was to be decoded."""
        self.on_result: Callable[[], None] = lambda: None
        """Called before the one who submitted the job hears of its result."""

    def submit(self, priority: Priority, function: Callable[..., T], *arguments: object) -> Job[T]:
        job = super().submit(priority, function, *arguments)
        self._results.add(job.result)
        job.result.add_done_callback(self._results.discard)
        job.result.add_done_callback(lambda _: self.on_result())
        if arguments and isinstance(arguments[0], np.ndarray):
            self.longest_s = max(self.longest_s, len(arguments[0]) / 16000)
        return job

    async def settle(self) -> None:
        while self._results:
            await asyncio.wait(self._results)


class Caller:
    """Speaks into a stream in frames of 20 ms, as fast as the engine can follow."""

    def __init__(self, model: WhisperModel, pool: WatchedPool, *, partials_up_to_callers: int = 4) -> None:
        self.engine = WhisperSpeechToText(model, pool, partials_up_to_callers=partials_up_to_callers)
        self.partials: list[Transcript] = []
        self.pool = pool

    async def open(self, rate_hz: int = RATE_HZ) -> WhisperStream:
        self.rate_hz = rate_hz
        self.stream = await self.engine.open(sample_rate_hz=rate_hz, on_partial=self.partials.append)
        return self.stream

    async def say(self, samples: PcmSamples) -> None:
        """Push, giving the decodes that are due the time they would have had."""
        for frame in np.array_split(samples, max(1, len(samples) * 50 // self.rate_hz)):
            self.stream.push(frame)
            await self.pool.settle()


@pytest.fixture(scope="module")
def model(model_folder: Path) -> WhisperModel:
    return WhisperModel(model_folder / "whisper", parallel=2)


@pytest.fixture
def pool() -> Iterator[WatchedPool]:
    pool = WatchedPool(workers=2)
    yield pool
    asyncio.run(pool.aclose())


@pytest.fixture
def caller(model: WhisperModel, pool: WatchedPool) -> Caller:
    return Caller(model, pool)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000])
async def test_what_was_said_is_understood_at_every_rate(caller: Caller, rate_hz: int) -> None:
    samples, words = prompt(TWO_SENTENCES)
    stream = await caller.open(rate_hz)
    stream.push(resample(samples, RATE_HZ, rate_hz))
    final = await stream.final()
    assert final.is_final
    assert word_error_rate([words], [final.text]) == 0
    assert final.confidence > 0.5


async def test_partials_grow_while_the_caller_speaks_and_end_in_the_final_text(caller: Caller) -> None:
    samples, _ = prompt(TWO_SENTENCES)
    stream = await caller.open()
    await caller.say(samples)
    await caller.say(silence(200))
    assert len(caller.partials) >= 4
    assert not any(partial.is_final for partial in caller.partials)
    lengths = [len(partial.text) for partial in caller.partials]
    assert lengths[len(lengths) // 2] < lengths[-1]
    assert (await stream.final()).text == caller.partials[-1].text


async def test_after_a_pause_the_final_is_ready_and_costs_no_decode(caller: Caller, pool: WatchedPool) -> None:
    samples, words = prompt(TWO_SENTENCES)
    stream = await caller.open()
    await caller.say(samples)
    await caller.say(silence(200))
    decodes = pool.completed
    final = await stream.final()
    assert pool.completed == decodes
    assert word_error_rate([words], [final.text]) == 0


async def test_a_decode_that_is_under_way_is_waited_for_not_repeated(caller: Caller, pool: WatchedPool) -> None:
    samples, words = prompt(TWO_SENTENCES)
    stream = await caller.open()
    stream.push(np.concatenate((samples, silence(200))))
    while not pool.running:  # noqa: ASYNC110 - a worker thread takes the job, and tells nobody
        await asyncio.sleep(0.001)
    final = await stream.final()
    await caller.pool.settle()
    assert pool.completed == 1
    assert word_error_rate([words], [final.text]) == 0


async def test_final_may_be_asked_again_after_more_speech(caller: Caller) -> None:
    samples, words = prompt(TWO_SENTENCES)
    more, more_words = prompt("agent-alreadyon")
    stream = await caller.open()
    stream.push(samples)
    first = await stream.final()
    stream.push(np.concatenate((silence(300), more)))
    both = await stream.final()
    assert word_error_rate([words], [first.text]) == 0
    assert word_error_rate([f"{words} {more_words}"], [both.text]) <= 0.1


async def test_the_next_turn_forgets_the_last_one_but_for_what_is_kept(caller: Caller) -> None:
    samples, words = prompt(TWO_SENTENCES)
    other, _ = prompt("agent-alreadyon")
    stream = await caller.open()
    stream.push(other)
    stream.next_turn(keep_ms=0)
    assert await stream.final() == Transcript("", True, 0.0)
    stream.push(np.concatenate((other, silence(300), samples)))
    stream.next_turn(keep_ms=200 + len(samples) * 1000 // RATE_HZ)
    assert word_error_rate([words], [(await stream.final()).text]) == 0


async def test_a_transcript_that_comes_in_the_moment_its_turn_ends_is_nobodys(
    caller: Caller, pool: WatchedPool
) -> None:
    stream = await caller.open()
    pool.on_result = lambda: stream.next_turn(0)
    stream.push(np.concatenate((prompt(TWO_SENTENCES)[0], silence(200))))
    await pool.settle()
    assert caller.partials == []
    assert await stream.final() == Transcript("", True, 0.0)


async def test_silence_has_no_words_and_costs_no_decode(caller: Caller, pool: WatchedPool) -> None:
    stream = await caller.open()
    await caller.say(silence(1000))
    assert await stream.final() == Transcript("", True, 0.0)
    assert pool.completed == 0


LONG_TURN = ("tt-allbusy", "demo-thanks", "vm-newuser", "dir-instr", "queue-youarenext")


async def test_nothing_is_lost_of_a_turn_longer_than_whisper_can_hear(model: WhisperModel, pool: WatchedPool) -> None:
    caller = Caller(model, pool, partials_up_to_callers=0)
    stream = await caller.open()
    for name in LONG_TURN:
        await caller.say(prompt(name)[0])
        await caller.say(silence(250))
    final = await stream.final()
    words = " ".join(prompt(name)[1] for name in LONG_TURN)
    assert stream.dropped_samples == 0
    assert sum(len(prompt(name)[0]) for name in LONG_TURN) > 32 * RATE_HZ
    assert pool.longest_s < 20
    assert word_error_rate([words], [final.text]) <= 0.08
    assert word_error_rate([words], [caller.partials[-1].text]) <= 0.08
    stream.next_turn(0)
    assert (await stream.final()).text == ""


async def test_a_long_turn_without_a_pause_is_cut_where_it_is_quietest(model: WhisperModel, pool: WatchedPool) -> None:
    caller = Caller(model, pool, partials_up_to_callers=0)
    stream = await caller.open()
    speech = np.concatenate([prompt(name)[0] for name in LONG_TURN])
    await caller.say(speech + noise(len(speech) / RATE_HZ, 400)[: len(speech)])  # a hiss that fills every pause
    final = await stream.final()
    words = " ".join(prompt(name)[1] for name in LONG_TURN)
    assert stream.dropped_samples == 0
    assert word_error_rate([words], [final.text]) <= 0.15


async def test_while_the_pool_is_busy_nobody_gets_partials_but_the_final_comes(
    caller: Caller, pool: WatchedPool
) -> None:
    samples, words = prompt(TWO_SENTENCES)
    stream = await caller.open()
    gates = [Gate(pool), Gate(pool)]
    for gate in gates:
        await gate.entered()
    waiting = pool.submit(Priority.SPEECH, len, "")
    for frame in np.array_split(np.concatenate((samples, silence(200))), 200):
        stream.push(frame)
    assert pool.queued == 1
    final = asyncio.ensure_future(stream.final())
    await asyncio.sleep(0)
    assert pool.queued == 2
    for gate in gates:
        await gate.open()
    assert word_error_rate([words], [(await final).text]) == 0
    await waiting.result
    assert caller.partials == []


async def test_with_too_many_callers_talking_nobody_gets_partials(model: WhisperModel, pool: WatchedPool) -> None:
    crowd = Caller(model, pool, partials_up_to_callers=1)
    samples, _ = prompt(TWO_SENTENCES)
    first = await crowd.open()
    await crowd.open()
    first.push(samples[: RATE_HZ // 4])
    await crowd.pool.settle()
    assert crowd.engine.talking == 1
    crowd.partials.clear()
    await crowd.say(samples[:RATE_HZ])
    assert crowd.engine.talking == 2
    assert crowd.partials == []
    first.next_turn(0)
    assert crowd.engine.talking == 1
    await crowd.say(samples[RATE_HZ : 2 * RATE_HZ])
    assert crowd.partials != []


async def test_cancelling_final_takes_its_decode_out_of_the_queue(caller: Caller, pool: WatchedPool) -> None:
    stream = await caller.open()
    gates = [Gate(pool), Gate(pool)]
    for gate in gates:
        await gate.entered()
    waiting = pool.submit(Priority.FINAL, len, "")
    stream.push(prompt(TWO_SENTENCES)[0])
    final = asyncio.ensure_future(stream.final())
    await asyncio.sleep(0)
    assert pool.queued == 2
    final.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pool.queued == 1
    for gate in gates:
        await gate.open()
    await waiting.result


async def test_closing_ends_the_stream(caller: Caller) -> None:
    stream = await caller.open()
    stream.push(prompt(TWO_SENTENCES)[0])
    await stream.aclose()
    assert caller.engine.talking == 0
    with pytest.raises(AgentMisuse):
        stream.push(silence(20))


async def test_a_language_the_model_does_not_know_is_rejected(caller: Caller) -> None:
    with pytest.raises(ServiceRejected, match="does not know the language 'fr'"):
        await caller.engine.open(sample_rate_hz=8000, on_partial=print, language="fr")
