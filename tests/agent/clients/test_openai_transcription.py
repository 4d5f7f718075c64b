# SPDX-License-Identifier: GPL-3.0-or-later
"""Transcripts of uploaded turns, over a real socket (the simulator: tests/simulators/openai_transcription.py)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from agent.clients.openai_transcription import OpenAiTranscription, UploadedStream
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.stt import Transcript
from media.frames import PcmSamples
from tests.simulators.openai_transcription import OpenAiTranscriptionServer

DATA = Path(__file__).parent / "data" / "openai_transcription"
RATE_HZ = 8000
SCRIPT = ["What", "are", "your", "opening", "hours", "on", "Monday?"]


def sound(words: float) -> PcmSamples:
    return np.full(round(words * 0.2 * RATE_HZ), 1000, np.int16)


async def until(true: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.005)


@dataclass
class Scene:
    server: OpenAiTranscriptionServer
    client: OpenAiTranscription
    stream: UploadedStream
    seconds: list[float]


@asynccontextmanager
async def scene(model: str = "", **changes: object) -> AsyncIterator[Scene]:
    hints, language = changes.pop("hints", ()), changes.pop("language", "en")
    async with OpenAiTranscriptionServer(SCRIPT) as server:
        settings = ServiceSettings(name="ears", url=server.url, api_key="test-key", model=model)
        seconds: list[float] = []
        client = OpenAiTranscription(replace(settings, **changes), on_usage=seconds.append)  # type: ignore[arg-type]
        await client.warm()
        stream = await client.open(
            sample_rate_hz=RATE_HZ,
            on_partial=lambda _: None,
            hints=hints,  # type: ignore[arg-type]
            language=str(language),
        )
        try:
            yield Scene(server, client, stream, seconds)
        finally:
            await stream.aclose()
            await client.aclose()


async def test_what_was_said_comes_as_one_final_transcript() -> None:
    async with scene() as s:
        s.stream.push(sound(2))
        s.stream.push(sound(3))
        transcript = await s.stream.final()
        assert transcript == Transcript("What are your opening hours", is_final=True, confidence=transcript.confidence)
        assert transcript.confidence == pytest.approx(0.9)
        assert s.seconds == pytest.approx([1.0])
        (upload,) = s.server.uploads
        assert upload.pcm == sound(5).tobytes()
        assert upload.fields == {
            "model": ["gpt-4o-transcribe"],
            "language": ["en"],
            "response_format": ["json"],
            "include[]": ["logprobs"],
        }


async def test_whisper_models_time_the_words_in_the_stream() -> None:
    async with scene("whisper-large-v3", hints=("Zürich", "Dr. Lee"), language="de-CH", temperature=0.2) as s:
        s.stream.push(sound(2))
        first = await s.stream.final()
        s.stream.next_turn(0)
        s.stream.push(sound(2))
        second = await s.stream.final()
        assert [(word.text, word.started_ms) for word in first.words] == [("What", 0), ("are", 200)]
        assert [word.started_ms for word in second.words] == [400, 600]
        assert first.language == "en"
        assert first.confidence == pytest.approx(np.exp(-0.1))
        assert s.server.uploads[0].fields == {
            "model": ["whisper-large-v3"],
            "language": ["de"],
            "prompt": ["Zürich, Dr. Lee"],
            "temperature": ["0.2"],
            "response_format": ["verbose_json"],
            "timestamp_granularities[]": ["word", "segment"],
        }


async def test_more_fields_can_be_given_and_ours_replaced() -> None:
    async with scene("whisper-1", extra={"response_format": "json", "vad_filter": True}) as s:
        s.stream.push(sound(1))
        assert (await s.stream.final()).text == "What"
        fields = s.server.uploads[0].fields
        assert (fields["response_format"], fields["vad_filter"]) == (["json"], ["true"])


async def test_more_speech_after_a_question_is_heard_with_what_came_before() -> None:
    async with scene() as s:
        s.stream.push(sound(3))
        assert (await s.stream.final()).text == "What are your"
        s.stream.push(sound(2))
        assert (await s.stream.final()).text == "What are your opening hours"


async def test_asking_twice_without_more_speech_uploads_once() -> None:
    async with scene() as s:
        s.stream.push(sound(3))
        assert await s.stream.final() == await s.stream.final()
        assert len(s.server.uploads) == 1


async def test_a_forgotten_turn_is_not_uploaded_except_what_was_kept() -> None:
    async with scene() as s:
        s.stream.push(sound(4))
        s.stream.next_turn(200)
        s.stream.push(sound(1))
        await s.stream.final()
        assert s.server.uploads[0].pcm == sound(2).tobytes()


async def test_nothing_that_was_heard_is_nothing_that_was_said() -> None:
    async with scene() as s:
        assert (await s.stream.final()).text == ""
        assert s.server.uploads == []
        s.stream.push(sound(0.1))  # less than may be uploaded
        assert (await s.stream.final()).text == ""
        assert len(s.server.uploads) == 1


async def test_the_oldest_of_a_turn_without_an_end_is_dropped() -> None:
    async with scene("whisper-1") as s:
        for _ in range(31):
            s.stream.push(np.zeros(10 * RATE_HZ, np.int16))
        s.stream.push(sound(1))
        transcript = await s.stream.final()
        assert len(s.server.uploads[0].pcm) == 300 * RATE_HZ * 2
        assert transcript.words[0].started_ms == pytest.approx(10_200)


async def test_a_withdrawn_question_ends_the_request() -> None:
    async with scene() as s:
        s.server.slow_s = 60
        s.stream.push(sound(2))
        asking = asyncio.create_task(s.stream.final())
        await until(lambda: len(s.server.uploads) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: s.server.given_up == 1)
        s.server.slow_s = 0
        s.stream.push(sound(1))
        assert (await s.stream.final()).text == "What are your"


async def test_a_wrong_key_is_refused_for_good_and_not_told() -> None:
    async with scene(api_key="wrong-secret") as s:
        s.stream.push(sound(1))
        with pytest.raises(ServiceRejected) as refused:
            await s.stream.final()
        assert "wrong-secret" not in str(refused.value)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_that_has_no_room_may_be_asked_again(status: int) -> None:
    async with scene() as s:
        s.server.faults.refuse.append((status, {"Retry-After": "7"}))
        s.stream.push(sound(1))
        with pytest.raises(ServiceUnavailable) as refused:
            await s.stream.final()
        assert refused.value.retry_after_s == 7
        assert "here is why" not in str(refused.value)
        assert (await s.stream.final()).text == "What"


@pytest.mark.parametrize(
    "body",
    [b"no JSON", b"[]", b"null", b'{"text": 7}', b"{" * 50_000, b"\x00\xff", b"", b'{"error": {"message": "hello"}}'],
    ids=["text", "list", "null", "number", "nested", "binary", "empty", "error"],
)
async def test_an_answer_that_makes_no_sense_is_an_error_that_quotes_nothing(body: bytes) -> None:
    async with scene() as s:
        s.server.raw.append(body)
        s.stream.push(sound(1))
        with pytest.raises(ServiceUnavailable) as refused:
            await s.stream.final()
        assert "hello" not in str(refused.value)
        assert (await s.stream.final()).text == "What"


async def test_parts_of_an_answer_that_make_no_sense_are_left_out() -> None:
    async with scene("whisper-1") as s:
        s.server.raw.append(b'{"text": "What", "words": [7, {"word": "What", "start": null}], "segments": {}}')
        s.stream.push(sound(1))
        transcript = await s.stream.final()
        assert [(word.text, word.started_ms) for word in transcript.words] == [("What", 0)]
        assert transcript.confidence == 0


@pytest.mark.parametrize("length", [0, 1, 9])
async def test_an_answer_that_breaks_off_is_asked_for_once_more(length: int) -> None:
    async with scene() as s:
        s.server.cut_after.append(length)
        s.stream.push(sound(1))
        assert (await s.stream.final()).text == "What"
        assert len(s.server.uploads) == 2


async def test_an_answer_that_breaks_off_again_is_an_error() -> None:
    async with scene() as s:
        s.server.cut_after += [3, 3]
        s.stream.push(sound(1))
        with pytest.raises(ServiceUnavailable):
            await s.stream.final()


async def test_a_connection_is_there_before_the_first_turn_and_is_kept() -> None:
    async with scene() as s:
        await s.client.warm()
        assert [request.path for request in s.server.requests] == ["/v1/models"]
        for _ in range(3):
            s.stream.push(sound(1))
            await s.stream.final()
        uploads = [request for request in s.server.requests if request.method == "POST"]
        assert uploads[0].connection == 1
        assert s.server.connections <= 2  # one more than are needed


async def test_connections_that_the_server_has_dropped_do_not_matter() -> None:
    async with scene() as s:
        s.server.drop_connections()
        s.stream.push(sound(1))
        assert (await s.stream.final()).text == "What"


async def test_a_service_that_does_not_answer_is_given_up() -> None:
    async with scene(timeout_s=0.2) as s:
        s.server.slow_s = 60
        s.stream.push(sound(1))
        with pytest.raises(ServiceUnavailable):
            await s.stream.final()


async def test_a_service_that_is_not_there_is_unavailable_and_warming_it_raises_nothing() -> None:
    client = OpenAiTranscription(ServiceSettings(name="ears", url="http://127.0.0.1:9/v1"))
    await client.warm()
    stream = await client.open(sample_rate_hz=RATE_HZ, on_partial=lambda _: None)
    stream.push(sound(1))
    with pytest.raises(ServiceUnavailable):
        await stream.final()
    await client.aclose()


async def test_two_callers_do_not_hear_each_other() -> None:
    async with scene() as s:
        other = await s.client.open(sample_rate_hz=16_000, on_partial=lambda _: None)
        s.stream.push(sound(2))
        other.push(np.full(9600, 1000, np.int16))
        texts = await asyncio.gather(s.stream.final(), other.final())
        assert [transcript.text for transcript in texts] == ["What are", "What are your"]


@pytest.mark.parametrize(
    ("name", "confidence", "words"),
    [("words", 0.0, [("The", 0.0), ("volleyball", 7400.0)]), ("segments", 0.7512, []), ("logprobs", 0.7482, [])],
)
async def test_documented_answers_are_understood(name: str, confidence: float, words: list[tuple[str, float]]) -> None:
    shown = json.loads((DATA / f"{name}.json").read_text())
    assert shown["source"].startswith("https://")
    async with scene() as s:
        s.server.raw.append(json.dumps(shown["body"]).encode())
        s.stream.push(sound(1))
        transcript = await s.stream.final()
        assert transcript.text == shown["body"]["text"]
        assert transcript.language == ("en" if "language" in shown["body"] else "")
        assert transcript.confidence == pytest.approx(confidence, abs=1e-4)
        assert [word.text for word in transcript.words] == [text for text, _ in words]
        assert [word.started_ms for word in transcript.words] == pytest.approx([at for _, at in words], abs=0.01)
