# SPDX-License-Identifier: GPL-3.0-or-later
"""Against the simulator of Gemini's Live protocol over a real socket, and messages as its reference has them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from agent.clients.gemini_live import GeminiLive, GeminiLiveDialect
from agent.clients.hosted_realtime import HostedTalk, Talking
from agent.clients.realtime_dialect import Resumption, TalkEnding, TalkReady
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.llm import ToolCall, ToolSpec
from agent.services.realtime import (
    AnswerBegun,
    AnswerEnded,
    AnswerSound,
    AnswerWords,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    TalkLost,
    TalkNews,
    TalkOrder,
    ToolsDropped,
    ToolWanted,
)
from tests.simulators.gemini_live import LiveModel

TOOL = ToolSpec("get_order", "Look an order up.", {"type": "object", "properties": {"id": {"type": "string"}}})
LOUD = np.tile(np.array([3000, 3000, -3000, -3000], np.int16), 2000)
"""A second at 8 kHz, of 2 kHz: higher ones do not pass the conversion."""


async def until(true: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.005)


def settings(url: str, **changes: Any) -> ServiceSettings:
    return ServiceSettings(name="voice", url=url, api_key="test-key", timeout_s=5, **changes)


@asynccontextmanager
async def talking(model: LiveModel, **order: Any) -> AsyncIterator[tuple[HostedTalk, list[TalkNews]]]:
    async with model.running() as url:
        service = GeminiLive(settings(url))
        news: list[TalkNews] = []
        try:
            yield await service.open(TalkOrder(8000, "Be brief.", **order), news.append), news
        finally:
            await service.aclose()


def speak(talk: HostedTalk) -> None:
    """A second, and then half a second of silence."""
    for begin in range(0, len(LOUD), 160):
        talk.push(LOUD[begin : begin + 160])
    talk.push(np.zeros(4000, np.int16))


def count(news: list[TalkNews], kind: type[object]) -> int:
    return sum(isinstance(one, kind) for one in news)


def sound_ms(news: list[TalkNews]) -> float:
    return sum(len(one.samples) * 1e3 / one.sample_rate_hz for one in news if isinstance(one, AnswerSound))


async def test_a_turn_is_answered_with_sound_and_words() -> None:
    model = LiveModel(answer_ms=400, answer_text="We open at nine.", caller_text="When do you open?")
    async with talking(model) as (talk, news):
        speak(talk)
        await until(lambda: count(news, AnswerEnded))
        assert [type(one) for one in news][:4] == [CallerStarted, CallerStopped, CallerSaid, AnswerBegun]
        assert CallerSaid("When do you open?") in news
        assert sound_ms(news) == pytest.approx(400)
        assert "".join(one.text for one in news if isinstance(one, AnswerWords)).strip() == "We open at nine."
        assert model.heard_samples == pytest.approx(1.5 * 16_000, abs=640)
        assert not model.errors


async def test_the_opening_is_said_at_once() -> None:
    async with talking(LiveModel(), opening="Green Lane Garage, hello.") as (_, news):
        await until(lambda: count(news, AnswerEnded))
        assert "".join(one.text for one in news if isinstance(one, AnswerWords)).strip() == "Green Lane Garage, hello."


async def test_what_still_comes_of_an_answer_that_was_broken_off_is_dropped() -> None:
    model = LiveModel(answer_ms=2000, is_paced=True)
    async with talking(model) as (talk, news):
        talk.say("A long story.")
        await until(lambda: sound_ms(news) >= 200)
        answer_id = next(one.answer_id for one in news if isinstance(one, AnswerBegun))
        talk.heard(answer_id, 150)
        before = sound_ms(news)
        speak(talk)
        await until(lambda: model.interruptions)
        await until(lambda: count(news, AnswerBegun) == 2)
        later = [one for one in news if isinstance(one, AnswerSound) and one.answer_id == answer_id]
        assert sum(len(one.samples) for one in later) / 24 == pytest.approx(before)
        assert not model.errors


async def test_tools_are_wanted_answered_and_dropped() -> None:
    wanted = [{"id": f"c{number}", "name": "get_order", "args": {"id": "17"}} for number in (1, 2)]
    model = LiveModel(answer_ms=100, wanted=wanted)
    async with talking(model, tools=(TOOL,)) as (talk, news):
        speak(talk)
        await until(lambda: ToolWanted(ToolCall("get_order", {"id": "17"}, "c1")) in news)
        talk.tool_result("c1", "get_order", "It left today.")
        await until(lambda: count(news, AnswerEnded))
        assert model.tool_results == [{"id": "c1", "name": "get_order", "response": {"output": "It left today."}}]
        speak(talk)
        await until(lambda: count(news, ToolWanted) == 2)
        speak(talk)
        await until(lambda: ToolsDropped(("c2",)) in news)
        assert not model.errors


async def test_a_connection_that_ends_is_gone_on_with_by_its_handle_and_no_sound_is_lost() -> None:
    model = LiveModel(answer_ms=1200, is_paced=True, limit_s=1.5, notice_s=1.2)
    async with talking(model) as (talk, news):
        model.limit_s = None  # of the next one
        speak(talk)
        await until(lambda: len(model.setups) == 2)
        await until(lambda: count(news, AnswerEnded))
        assert sound_ms(news) == pytest.approx(1200), "the answer that was being said was cut"
        speak(talk)
        await until(lambda: count(news, AnswerEnded) == 2)
        assert model.setups[0]["sessionResumption"] == {}
        assert model.setups[1]["sessionResumption"]["handle"] in model.said
        assert not count(news, TalkLost)
        assert not model.errors


async def test_the_next_connection_remembers_what_was_said() -> None:
    model = LiveModel(answer_ms=100)
    async with talking(model) as (talk, news):
        speak(talk)
        await until(lambda: count(news, AnswerEnded))
        await until(lambda: any(model.said.values()))
        await asyncio.sleep(0.05)
        talk._begin_renewal()
        await until(lambda: len(model.setups) == 2)
        assert model.remembered == ["When do you open?"]


async def test_a_wrong_key_is_refused_for_good() -> None:
    async with LiveModel(key="other").running() as url:
        service = GeminiLive(settings(url))
        with pytest.raises(ServiceRejected) as refused:
            await service.open(TalkOrder(8000, ""), lambda _: None)
        assert "test-key" not in str(refused.value)
        await service.aclose()


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    service = GeminiLive(settings("ws://127.0.0.1:9"))
    with pytest.raises(ServiceUnavailable):
        await service.open(TalkOrder(8000, ""), lambda _: None)


def dialect(handle: str = "", **extra: object) -> GeminiLiveDialect:
    given = ServiceSettings(name="voice", api_key="k", extra=extra)
    return GeminiLiveDialect(given, Talking(TalkOrder(8000, "Be brief.", voice="Puck", tools=(TOOL,)), handle))


def test_the_setup_is_as_the_reference_has_it() -> None:
    (message,) = dialect("h-1", realtimeInputConfig={"activityHandling": "NO_INTERRUPTION"}).opening()
    assert json.loads(str(message)) == {
        "setup": {
            "model": "models/gemini-2.5-flash-native-audio-preview-09-2025",
            "generationConfig": {
                "responseModalities": ["AUDIO"],
                "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}},
            },
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "name": "get_order",
                            "description": "Look an order up.",
                            "parametersJsonSchema": dict(TOOL.parameters),
                        }
                    ]
                }
            ],
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
            "sessionResumption": {"handle": "h-1"},
            "contextWindowCompression": {"slidingWindow": {}},
            "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"},
        }
    }


def test_what_the_service_says_of_the_connection_is_understood() -> None:
    talk = dialect()
    assert talk.receive(b'{"setupComplete": {}}') == (TalkReady(),)
    assert talk.receive('{"goAway": {"timeLeft": "50s"}}') == (TalkEnding(),)
    assert talk.receive('{"sessionResumptionUpdate": {"newHandle": "h", "resumable": true}}') == (Resumption("h"),)
    assert talk.receive('{"sessionResumptionUpdate": {"resumable": false}}') == ()


@pytest.mark.parametrize(
    "message",
    ["", "[]", "{" * 50_000, b"\xff\x00", '{"serverContent": 7}', '{"toolCall": {"functionCalls": [3]}}', '{"a": 1}'],
)
def test_what_makes_no_sense_harms_nothing(message: str | bytes) -> None:
    assert dialect().receive(message) == ()
