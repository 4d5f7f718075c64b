# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as assemblyai.com/docs/streaming/message-sequence and the Streaming API reference have them."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.clients.assemblyai import AssemblyAiDialect
from agent.clients.hosted_stt import Listening
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Failed, Flushed, Hypothesis, Ready, Segment

BEGIN = {"type": "Begin", "id": "3207b601-6054-4ad1-9f7e-84bb4ba39ffb", "expires_at": 1759796682}
TURN = {
    "type": "Turn",
    "turn_order": 0,
    "turn_is_formatted": False,
    "end_of_turn": False,
    "transcript": "hi my name",
    "end_of_turn_confidence": 0.4,
    "words": [
        {"text": "hi", "start": 1440, "end": 1520, "confidence": 0.97, "word_is_final": True},
        {"text": "my", "start": 1600, "end": 1680, "confidence": 0.91, "word_is_final": True},
        {"text": "name", "start": 1680, "end": 1840, "confidence": 0.94, "word_is_final": True},
        {"text": "is", "start": 1920, "end": 2000, "confidence": 0.66, "word_is_final": False},
    ],
}


def dialect(language: str = "en", **extra: object) -> AssemblyAiDialect:
    settings = ServiceSettings(name="ears", api_key="k", extra=extra)
    return AssemblyAiDialect(settings, Listening(8000, ("Zürich",), language))


def test_a_turn_in_progress_has_its_unsure_words_too() -> None:
    assert dialect().receive(json.dumps(BEGIN)) == (Ready(),)
    assert dialect().receive(json.dumps(TURN)) == (Hypothesis("hi my name is"),)


def test_a_turn_is_over_once_it_is_written_out() -> None:
    over = {**TURN, "end_of_turn": True, "transcript": "hi my name is sonny"}
    assert dialect().receive(json.dumps(over)) == (Hypothesis("hi my name is sonny"),)
    segment, flushed = dialect().receive(
        json.dumps({**over, "turn_is_formatted": True, "transcript": "Hi, my name is Sonny."})
    )
    assert flushed == Flushed()
    assert isinstance(segment, Segment)
    assert (segment.text, segment.words[0].started_ms) == ("Hi, my name is Sonny.", 1440)
    assert segment.confidence == pytest.approx(0.87)


def test_without_writing_out_the_end_of_the_turn_is_enough() -> None:
    over = {**TURN, "end_of_turn": True}
    assert dialect(format_turns=False).receive(json.dumps(over))[1:] == (Flushed(),)


def test_the_connection_is_asked_for_with_what_the_service_wants_to_know() -> None:
    address = urlsplit(dialect("de", redact_pii=True).url())
    assert (address.scheme, address.netloc, address.path) == ("wss", "streaming.assemblyai.com", "/v3/ws")
    assert parse_qs(address.query) == {
        "sample_rate": ["8000"],
        "encoding": ["pcm_s16le"],
        "speech_model": ["universal-streaming-multilingual"],
        "format_turns": ["true"],
        "end_of_turn_confidence_threshold": ["1.0"],
        "max_turn_silence": ["10000"],
        "keyterms_prompt": ['["Zürich"]'],
        "redact_pii": ["true"],
    }
    assert dialect().headers() == {"Authorization": "k"}


def test_no_chunk_is_shorter_than_the_service_takes() -> None:
    talk = dialect()
    (chunk,) = talk.audio(bytes(100))
    assert len(chunk) == 50 * 8 * 2
    assert talk.added_bytes == 700


def test_what_we_say_is_what_the_service_knows() -> None:
    talk = dialect()
    assert [json.loads(text) for text in (*talk.flush(), *talk.keep_alive(), *talk.closing())] == [
        {"type": "ForceEndpoint"},
        {"type": "KeepAlive"},
        {"type": "Terminate"},
    ]


def test_faults_are_told_apart() -> None:
    (failed,) = dialect().receive('{"type": "Error", "error_code": 3005, "error": "the caller said hello"}')
    assert isinstance(failed, Failed)
    assert "hello" not in str(failed.error)
    assert failed.error.retryable
    (unauthorised,) = dialect().receive('{"type": "Error", "error_code": 1008, "error": "Unauthorized Connection"}')
    assert isinstance(unauthorised, Failed)
    assert not unauthorised.error.retryable
    assert not dialect().closed(4001, "").retryable
    assert not dialect().closed(1008, "").retryable
    assert dialect().closed(3008, "").retryable
