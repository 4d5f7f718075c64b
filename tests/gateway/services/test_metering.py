# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of the services, and that counting changes nothing."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.llm import Conversation, ReplyEvent, TextDelta
from gateway.services.metering import Meter, MeteredLlm, MeteredStt, MeteredTts
from gateway.telemetry import Metrics
from tests.fakes.services import SPEECH_LEVEL, ScriptedStt, ScriptedTts, Utterances
from tests.fakes.virtual_time import in_virtual_time


class Brain:
    """Says some words, then fails or not."""

    def __init__(self, *words: str, failure: Exception | None = None) -> None:
        self._words = words
        self._failure = failure
        self.closed = 0

    async def reply(self, _: Conversation) -> AsyncIterator[ReplyEvent]:
        try:
            for word in self._words:
                await asyncio.sleep(0.5)
                yield TextDelta(word)
            if self._failure is not None:
                raise self._failure
        finally:
            self.closed += 1

    async def aclose(self) -> None: ...


def counted(metrics: Metrics, role: str, outcome: str) -> float | None:
    labels = {"service": "s", "role": role, "outcome": outcome}
    return metrics.registry.get_sample_value("parley_service_requests_total", labels)


async def words_of(model: MeteredLlm, most: int = 100) -> list[str]:
    found = []
    reply = model.reply(Conversation(()))
    async for event in reply:
        assert isinstance(event, TextDelta)
        found.append(event.text)
        if len(found) == most:
            break
    await reply.aclose()
    return found


@in_virtual_time
async def test_an_answer_is_passed_on_and_counted_with_the_time_to_its_first_word() -> None:
    metrics = Metrics()
    loop = asyncio.get_running_loop()
    model = MeteredLlm(Brain("yes", "please"), Meter("s", "llm", metrics, loop.time))
    assert await words_of(model) == ["yes", "please"]
    assert counted(metrics, "llm", "ok") == 1
    labels = {"service": "s", "role": "llm"}
    assert metrics.registry.get_sample_value("parley_service_first_seconds_sum", labels) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (ServiceUnavailable("s", "is busy"), "failed"),
        (ServiceRejected("s", "wants another key"), "rejected"),
        (ValueError("a client that did not map what it met"), "failed"),
    ],
)
@in_virtual_time
async def test_a_failure_is_counted_by_its_blame_and_raised_as_it_is(failure: Exception, outcome: str) -> None:
    metrics = Metrics()
    model = MeteredLlm(Brain("yes", failure=failure), Meter("s", "llm", metrics))
    with pytest.raises(type(failure)):
        await words_of(model)
    assert counted(metrics, "llm", outcome) == 1
    assert counted(metrics, "llm", "ok") == 0


@in_virtual_time
async def test_what_nobody_wants_any_more_is_closed_in_the_service_too_and_counted_as_cancelled() -> None:
    metrics = Metrics()
    brain = Brain("one", "two", "three")
    assert await words_of(MeteredLlm(brain, Meter("s", "llm", metrics)), most=1) == ["one"]
    assert brain.closed == 1
    assert counted(metrics, "llm", "cancelled") == 1


@in_virtual_time
async def test_recognition_counts_its_audio_once_and_every_question_for_a_transcript() -> None:
    metrics = Metrics()
    utterances = Utterances()
    level = utterances.add("hello", 8000)
    inner = ScriptedStt(utterances, failures=[ServiceUnavailable("s", "is busy")])
    stt = MeteredStt(inner, Meter("s", "stt", metrics))
    stream = await stt.open(sample_rate_hz=8000, on_partial=lambda _: None)
    assert level == SPEECH_LEVEL
    stream.push(np.full(8000, level, np.int16))
    with pytest.raises(ServiceUnavailable):
        await stream.final()
    assert (await stream.final()).text == "hello"
    stream.next_turn(0)
    stream.push(np.full(4000, level, np.int16))
    await stream.aclose()
    audio = metrics.registry.get_sample_value("parley_service_audio_seconds_total", {"service": "s"})
    assert audio == pytest.approx(1.5)
    assert (counted(metrics, "stt", "failed"), counted(metrics, "stt", "ok")) == (1, 1)


@in_virtual_time
async def test_speech_counts_its_characters() -> None:
    metrics = Metrics()
    tts = MeteredTts(ScriptedTts(), Meter("s", "tts", metrics))
    assert [chunk async for chunk in tts.synthesize("Good morning.")]
    assert metrics.registry.get_sample_value("parley_service_characters_total", {"service": "s"}) == 13
    assert counted(metrics, "tts", "ok") == 1
