# SPDX-License-Identifier: GPL-3.0-or-later
"""Against the simulator of OpenAI's Realtime protocol over a real socket, and messages as its reference has them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from agent.clients.hosted_realtime import HostedTalk, Talking
from agent.clients.openai_realtime import OpenAiRealtime, OpenAiRealtimeDialect
from agent.clients.realtime_dialect import SpokenMessage, TalkFailed, TalkReady
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.llm import ToolCall, ToolSpec
from agent.services.realtime import (
    AnswerBegun,
    AnswerEnded,
    AnswerFailed,
    AnswerSound,
    AnswerWords,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    TalkLost,
    TalkNews,
    TalkOrder,
    ToolWanted,
)
from media.g711 import mu_law
from tests.simulators.realtime import RealtimeModel

TOOL = ToolSpec("get_order", "Look an order up.", {"type": "object", "properties": {"id": {"type": "string"}}})
LOUD = np.tile(np.array([3000, -3000], np.int16), 4000)
"""A second at 8 kHz."""


def order(rate_hz: int = 8000, **changes: Any) -> TalkOrder:
    return TalkOrder(rate_hz, "Be brief.", **changes)


async def until(true: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def talking(model: RealtimeModel, given: TalkOrder) -> AsyncIterator[tuple[HostedTalk, list[TalkNews]]]:
    async with model.running() as url:
        service = OpenAiRealtime(settings(url))
        news: list[TalkNews] = []
        try:
            yield await service.open(given, news.append), news
        finally:
            await service.aclose()


def settings(url: str, **changes: Any) -> ServiceSettings:
    """The simulator's address names the whole path, ours does not."""
    return ServiceSettings(name="voice", url=url.partition("/realtime")[0], api_key="test-key", timeout_s=5, **changes)


def speak(talk: HostedTalk, samples: "np.ndarray[Any, np.dtype[np.int16]]" = LOUD, rate_hz: int = 8000) -> None:
    """And then half a second of silence."""
    for begin in range(0, len(samples), rate_hz // 50):
        talk.push(samples[begin : begin + rate_hz // 50])
    talk.push(np.zeros(rate_hz // 2, np.int16))


def sound_ms(news: list[TalkNews]) -> float:
    return sum(len(one.samples) * 1e3 / one.sample_rate_hz for one in news if isinstance(one, AnswerSound))


@pytest.mark.parametrize("rate_hz", [8000, 16000])
async def test_a_turn_is_answered_with_sound_and_words(rate_hz: int) -> None:
    model = RealtimeModel(answer_ms=500, answer_text="We open at nine.", caller_text="When do you open?")
    async with talking(model, order(rate_hz)) as (talk, news):
        speak(talk, np.repeat(LOUD, rate_hz // 8000), rate_hz)
        await until(lambda: any(isinstance(one, AnswerEnded) for one in news))
        await until(lambda: CallerSaid("When do you open?") in news)
        assert [type(one) for one in news][:2] == [CallerStarted, CallerStopped]
        assert sound_ms(news) == pytest.approx(500)
        assert "".join(one.text for one in news if isinstance(one, AnswerWords)).strip() == "We open at nine."
        assert not model.errors


async def test_telephone_audio_goes_through_as_it_is() -> None:
    model = RealtimeModel(answer_ms=100)
    async with talking(model, order(8000)) as (talk, _):
        spoken = mu_law().decode(bytes(range(256)) * 32)
        speak(talk, spoken)
        await until(lambda: len(model.heard) >= len(spoken))
        assert bytes(model.heard[: len(spoken)]).replace(b"\x7f", b"\xff") == (
            (bytes(range(256)) * 32).replace(b"\x7f", b"\xff")  # the two zeros of mu-law
        )
        assert model.sessions[-1]["audio"]["input"]["format"] == {"type": "audio/pcmu"}


async def test_a_greeting_is_asked_for_in_its_words() -> None:
    async with talking(RealtimeModel(answer_ms=200), order()) as (talk, news):
        talk.say("Green Lane Garage, how can I help?")
        await until(lambda: any(isinstance(one, AnswerEnded) for one in news))
        words = "".join(one.text for one in news if isinstance(one, AnswerWords)).strip()
        assert words == "Green Lane Garage, how can I help?"


async def test_the_service_is_told_how_much_of_an_answer_was_heard() -> None:
    model = RealtimeModel(answer_ms=1000)
    async with talking(model, order()) as (talk, news):
        talk.say("A long story.")
        await until(lambda: any(isinstance(one, AnswerEnded) for one in news))
        answer_id = next(one.answer_id for one in news if isinstance(one, AnswerBegun))
        talk.heard(answer_id, 437)
        await until(lambda: model.truncations)
        assert (model.truncations[0].item_id, model.truncations[0].audio_end_ms) == (answer_id, 437)
        talk.heard(answer_id, 99_999)  # never beyond what there is: that would be an error
        await until(lambda: len(model.truncations) == 2)
        assert model.truncations[1].audio_end_ms == 1000
        assert not model.errors


async def test_tools_are_wanted_and_their_results_are_answered_once_all_are_there() -> None:
    wanted = [{"name": "get_order", "arguments": '{"id": "17"}', "call_id": "c1"}]
    model = RealtimeModel(answer_ms=100, wanted=wanted)
    async with talking(model, order(tools=(TOOL,))) as (talk, news):
        speak(talk)
        await until(lambda: any(isinstance(one, ToolWanted) for one in news))
        assert ToolWanted(ToolCall("get_order", {"id": "17"}, "c1")) in news
        talk.tool_result("c1", "get_order", "It left today.")
        await until(lambda: any(isinstance(one, AnswerEnded) for one in news))
        result = next(event for event in model.events if event["type"] == "conversation.item.create")
        assert result["item"] == {"type": "function_call_output", "call_id": "c1", "output": "It left today."}
        assert model.sessions[-1]["tools"][0]["name"] == "get_order"
        assert not model.errors


async def test_what_the_caller_does_besides_talking_is_told() -> None:
    model = RealtimeModel(answer_ms=100)
    async with talking(model, order()) as (talk, news):
        talk.tell("[pressed 12#]")
        await until(lambda: any(isinstance(one, AnswerEnded) for one in news))
        item = next(event["item"] for event in model.events if event["type"] == "conversation.item.create")
        assert item["content"] == [{"type": "input_text", "text": "[pressed 12#]"}]


async def test_a_session_that_ends_is_gone_on_with_in_another_and_nothing_is_lost() -> None:
    model = RealtimeModel(answer_ms=100, answer_text="At nine.", caller_text="When?", limit_s=0.5)
    async with talking(model, order()) as (talk, news):
        speak(talk)
        await until(lambda: any(isinstance(one, AnswerEnded) for one in news) and CallerSaid("When?") in news)
        await until(lambda: model.connections == 2)
        model.limit_s = None
        await until(lambda: len([one for one in model.events if one["type"] == "conversation.item.create"]) >= 2)
        told = [one["item"] for one in model.events if one["type"] == "conversation.item.create"][-2:]
        assert {(item["role"], item["content"][0]["text"]) for item in told} == {
            ("user", "When?"),
            ("assistant", "At nine."),
        }
        before = sound_ms(news)
        speak(talk)
        await until(lambda: sound_ms(news) > before)
        assert not any(isinstance(one, TalkLost) for one in news)


async def test_a_session_is_replaced_before_it_ends_between_two_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAiRealtimeDialect, "max_age_s", 0.3)
    model = RealtimeModel(answer_ms=200, answer_text="At nine.")
    async with talking(model, order()) as (talk, news):
        await until(lambda: model.connections >= 2)
        monkeypatch.setattr(OpenAiRealtimeDialect, "max_age_s", 300)
        speak(talk)
        await until(lambda: any(isinstance(one, AnswerEnded) for one in news))
        assert sound_ms(news) == pytest.approx(200)


async def test_a_service_that_does_not_let_us_in_again_is_lost() -> None:
    model = RealtimeModel(limit_s=0.2)
    async with talking(model, order()) as (_, news):
        model.key = "another"
        await until(lambda: any(isinstance(one, TalkLost) for one in news))
        (lost,) = (one for one in news if isinstance(one, TalkLost))
        assert not lost.error.retryable


async def test_a_wrong_key_is_refused_for_good() -> None:
    async with RealtimeModel(key="other").running() as url:
        service = OpenAiRealtime(settings(url))
        with pytest.raises(ServiceRejected) as refused:
            await service.open(order(), lambda _: None)
        assert "test-key" not in str(refused.value)
        await service.aclose()


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    service = OpenAiRealtime(settings("ws://127.0.0.1:9/v1/realtime"))
    with pytest.raises(ServiceUnavailable):
        await service.open(order(), lambda _: None)


def dialect(*said: SpokenMessage, **extra: object) -> OpenAiRealtimeDialect:
    given = ServiceSettings(name="voice", api_key="k", extra=extra)
    return OpenAiRealtimeDialect(given, Talking(order(voice="marin", tools=(TOOL,)), said=said))


def test_the_session_is_configured_as_the_reference_has_it() -> None:
    talk = dialect(SpokenMessage(True, "Hello?"), turn_detection={"type": "semantic_vad"}, max_output_tokens=200)
    update, item = map(json.loads, map(str, talk.opening()))
    assert update == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"},
                    "turn_detection": {"type": "semantic_vad"},
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
            },
            "tools": [
                {
                    "type": "function",
                    "name": "get_order",
                    "description": "Look an order up.",
                    "parameters": dict(TOOL.parameters),
                }
            ],
            "max_output_tokens": 200,
        },
    }
    assert item["item"] == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hello?"}],
    }
    assert talk.url() == "wss://api.openai.com/v1/realtime?model=gpt-realtime"
    assert talk.headers() == {"Authorization": "Bearer k"}


def test_an_answer_that_is_owed_is_asked_for_when_the_present_one_is_over() -> None:
    talk = dialect()
    talk.receive('{"type": "session.updated"}')
    talk.receive('{"type": "response.created", "response": {}}')
    assert [json.loads(str(one))["type"] for one in talk.tell("[pressed 1]")] == ["conversation.item.create"]
    (back,) = talk.receive('{"type": "response.done", "response": {"status": "completed"}}')
    assert back.messages == ('{"type":"response.create"}',)  # type: ignore[union-attr]


def test_faults_are_told_apart_and_quote_nothing() -> None:
    talk = dialect()
    assert talk.receive('{"type": "session.updated"}') == (TalkReady(),)
    assert talk.receive('{"type": "error", "error": {"type": "invalid_request_error", "code": "x"}}') == ()
    (failed,) = talk.receive('{"type": "error", "error": {"type": "server_error", "message": "hello"}}')
    assert isinstance(failed, AnswerFailed)
    assert "hello" not in str(failed.error)
    (failed,) = talk.receive('{"type": "error", "error": {"type": "authentication_error", "code": "invalid_api_key"}}')
    assert isinstance(failed, TalkFailed)
    assert not failed.error.retryable
    done = {"status": "failed", "status_details": {"error": {"type": "server_error", "code": "overloaded"}}}
    (failed,) = talk.receive(json.dumps({"type": "response.done", "response": done}))
    assert isinstance(failed, AnswerFailed)


@pytest.mark.parametrize("message", ["", "[]", "7", "{" * 50_000, b"\xff\x00", '{"type": []}', '{"type": "error"}'])
def test_what_makes_no_sense_harms_nothing(message: str | bytes) -> None:
    talk = dialect()
    talk.receive('{"type": "session.updated"}')
    for news in talk.receive(message):
        assert isinstance(news, AnswerFailed)


def test_sound_that_is_no_base64_is_left_out() -> None:
    assert dialect().receive('{"type": "response.output_audio.delta", "item_id": "i", "delta": "%%%"}') == ()
