# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as Microsoft's "Speech service WebSocket protocol" and its users show them (data/azure_stt)."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.clients.azure_messages import AzureMessage, binary_message, text_message
from agent.clients.azure_stt import AzureDialect, AzureStt
from agent.clients.hosted_stt import Listening
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Answer, Failed, Flushed, Hypothesis, Segment, SttNews
from agent.errors import ServiceRejected
from agent.websocket import WireMessage

DATA = Path(__file__).parent / "data" / "azure_stt"
ID = "123e4567e89b12d3a456426655440000"
NOW = "2016-08-16T15:03:54.183Z"
CHUNK = b"\1\2" * 320
"""40 ms at 8 kHz."""


def shown(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((DATA / f"{name}.json").read_text())
    return found


def dialect(
    rate_hz: int = 8000, hints: tuple[str, ...] = (), ids: Sequence[str] = (ID,), **extra: object
) -> AzureDialect:
    settings = ServiceSettings(name="ears", api_key="k", region="westeurope", extra=extra)
    names = itertools.chain(ids, map("{:032x}".format, itertools.count(2)))
    return AzureDialect(settings, Listening(rate_hz, hints, "de"), new_id=lambda: next(names), wall_time=lambda: NOW)


def said(messages: Sequence[WireMessage]) -> list[tuple[str, str, bytes | str]]:
    parsed = [AzureMessage.parse(message) for message in messages]
    assert all(message.headers["x-timestamp"] == NOW for message in parsed)
    return [(message.path, message.request_id, message.body) for message in parsed]


def from_service(path: str, body: object = None, request_id: str = ID) -> str:
    head = f"X-RequestId:{request_id}\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}\r\n\r\n"
    return head + ("" if body is None else json.dumps(body))


def phrase(status: str, text: str = "", offset: int = 0, duration: int = 0) -> str:
    body = {"RecognitionStatus": status, "DisplayText": text, "Offset": offset, "Duration": duration}
    return from_service("speech.phrase", body)


def test_the_documented_turn_is_understood() -> None:
    talk = dialect()
    talk.audio(CHUNK)
    talk.flush()
    messages = shown("turn")["messages"]
    assert isinstance(messages, list)
    news: list[SttNews] = [one for message in messages for one in talk.receive(message)]
    assert news == [
        Hypothesis("this is a speech hypothesis"),
        Segment("Remind me to buy 5 pencils."),
        Flushed(),
    ]


def test_the_best_of_several_readings_is_taken() -> None:
    talk = dialect()
    talk.audio(CHUNK)
    (segment,) = talk.receive(str(shown("detailed_phrase")["message"]))
    assert segment == Segment("This is a test of the emergency broadcast system.", 0.9719818830490112)


def test_words_are_timed_from_the_connections_first_sample() -> None:
    talk = dialect()
    talk.audio(CHUNK)
    (segment,) = talk.receive(str(shown("word_timings")["message"]))
    assert isinstance(segment, Segment)
    assert [(word.text, word.started_ms, word.ended_ms) for word in segment.words] == [
        ("i", 15460, 15650),
        ("bet", 15660, 15870),
    ]
    talk.flush()
    talk.receive(from_service("turn.end"))
    talk.audio(CHUNK)  # 40 ms after the first
    (segment,) = talk.receive(str(shown("word_timings")["message"]).replace(ID, f"{2:032x}"))
    assert isinstance(segment, Segment)
    assert segment.words[0].started_ms == 15500


def test_the_spoken_language_is_told_where_the_service_tells_it() -> None:
    talk = dialect()
    talk.audio(CHUNK)
    body = {"RecognitionStatus": "Success", "DisplayText": "Ja.", "PrimaryLanguage": {"Language": "de-CH"}}
    (segment,) = talk.receive(from_service("speech.phrase", body))
    assert isinstance(segment, Segment)
    assert segment.language == "de"


def test_a_turn_begins_with_its_context_and_a_wav_header_and_ends_with_no_audio() -> None:
    talk = dialect(hints=("Zürich", "Dr. Lee"))
    context, header, audio = said(talk.audio(CHUNK))
    assert context[:2] == ("speech.context", ID)
    assert json.loads(context[2]) == {
        "phraseOutput": {"format": "Detailed", "detailed": {"options": ["WordTimings"]}},
        "dgi": {
            "groups": [{"type": "Generic", "items": [{"text": "Zürich"}, {"text": "Dr. Lee"}]}],
            "bias": 1.0,
        },
    }
    assert header[:2] == ("audio", ID)
    assert isinstance(header[2], bytes)
    assert (header[2][:4], header[2][8:16], header[2][24:28]) == (b"RIFF", b"WAVEfmt ", (8000).to_bytes(4, "little"))
    assert audio == ("audio", ID, CHUNK)
    assert said(talk.audio(CHUNK)) == [("audio", ID, CHUNK)]
    assert said(talk.flush()) == [("audio", ID, b"")]


def test_what_is_said_before_a_turn_has_ended_waits_for_the_next_one() -> None:
    talk = dialect()
    talk.audio(CHUNK)
    talk.flush()
    assert talk.audio(CHUNK) == talk.flush() == talk.audio(CHUNK) == ()
    flushed, answer = talk.receive(from_service("turn.end"))
    assert flushed == Flushed()
    assert isinstance(answer, Answer)
    second = f"{2:032x}"
    assert said(answer.messages)[2:] == [("audio", second, CHUNK), ("audio", second, b"")]
    flushed, answer = talk.receive(from_service("turn.end", request_id=second))
    assert flushed == Flushed()
    assert isinstance(answer, Answer)
    assert said(answer.messages)[2:] == [("audio", f"{3:032x}", CHUNK)]


def test_flushes_without_anything_new_are_answered_together() -> None:
    talk = dialect()
    talk.audio(CHUNK)
    talk.flush()
    assert talk.flush() == ()
    assert talk.receive(from_service("turn.end")) == (Flushed(), Flushed())


def test_a_flush_of_nothing_is_a_turn_of_silence() -> None:
    talk = dialect()
    assert said(talk.flush())[2:] == [("audio", ID, bytes(1600)), ("audio", ID, b"")]
    assert talk.added_bytes == 1600
    assert talk.receive(from_service("turn.end")) == (Flushed(),)


def test_a_turn_that_the_service_ends_is_gone_on_with_where_no_phrase_has_covered_it() -> None:
    talk = dialect()
    for _ in range(5):
        talk.audio(CHUNK)
    talk.receive(phrase("Success", "Hello.", 200_000, 400_000))  # up to 60 ms of 200
    assert talk.receive(from_service("turn.end")) == ()
    messages = said(talk.flush())
    assert messages[0][:2] == ("speech.context", f"{2:032x}")
    assert b"".join(body for _, _, body in messages[2:] if isinstance(body, bytes)) == (CHUNK * 5)[960:]
    assert talk.receive(from_service("turn.end", request_id=f"{2:032x}")) == (Flushed(),)


@pytest.mark.parametrize("status", ["NoMatch", "InitialSilenceTimeout", "BabbleTimeout", "EndOfDictation"])
def test_sound_without_words_is_nothing_said(status: str) -> None:
    talk = dialect()
    talk.audio(CHUNK)
    assert talk.receive(phrase(status)) == (Segment(""),)


@pytest.mark.parametrize(
    ("status", "retryable"), [("Error", True), ("TooManyRequests", True), ("BadRequest", False), ("Forbidden", False)]
)
def test_faults_are_told_apart(status: str, retryable: bool) -> None:
    talk = dialect()
    talk.audio(CHUNK)
    (failed,) = talk.receive(phrase(status, "the caller said hello"))
    assert isinstance(failed, Failed)
    assert failed.error.retryable is retryable
    assert "hello" not in str(failed.error)
    assert not talk.closed(1007, "").retryable
    assert talk.closed(1011, "").retryable


def test_messages_of_another_turn_or_of_no_sense_are_left_aside() -> None:
    talk = dialect()
    assert talk.receive(phrase("Success", "Hello.")) == ()  # no turn has begun
    talk.audio(CHUNK)
    assert talk.receive(from_service("turn.end", request_id="f" * 32)) == ()
    for nonsense in ("", "\r\n\r\n", "Path", b"", b"\0", b"\xff\xff", b"\0\1\xff", "Path:x\r\n\r\n{"):
        assert talk.receive(nonsense) == ()


def test_a_silent_moment_keeps_a_connection_and_asks_for_nothing() -> None:
    talk = dialect()
    assert said(talk.keep_alive())[2:] == [("audio", ID, bytes(1600)), ("audio", ID, b"")]
    assert talk.keep_alive() == ()
    assert talk.receive(from_service("turn.end")) == ()
    talk.audio(CHUNK)
    assert said(talk.keep_alive()) == [("audio", f"{2:032x}", bytes(1600))]


def test_the_connection_is_asked_for_with_what_the_service_wants_to_know() -> None:
    talk = dialect(profanity="raw")
    address = urlsplit(talk.url())
    assert (address.netloc, address.path) == (
        "westeurope.stt.speech.microsoft.com",
        "/speech/recognition/conversation/cognitiveservices/v1",
    )
    assert parse_qs(address.query) == {
        "language": ["de-DE"],
        "format": ["detailed"],
        "wordLevelTimestamps": ["true"],
        "wordLevelConfidence": ["true"],
        "profanity": ["raw"],
    }
    assert talk.headers() == {"X-ConnectionId": ID, "Ocp-Apim-Subscription-Key": "k"}
    (config,) = said(dialect().opening())
    assert config[0] == "speech.config"
    assert isinstance(config[2], str)
    assert json.loads(config[2])["context"]["system"]["version"]


@pytest.mark.parametrize(("leg_hz", "rate_hz"), [(8000, 8000), (16000, 16000), (24000, 16000), (48000, 16000)])
def test_audio_is_taken_at_the_telephones_rates(leg_hz: int, rate_hz: int) -> None:
    assert dialect(leg_hz).sample_rate_hz == rate_hz


def test_a_service_without_a_place_is_refused() -> None:
    with pytest.raises(ServiceRejected, match="region"):
        AzureStt(ServiceSettings(name="ears", api_key="k"))


def test_messages_come_back_as_they_were_written() -> None:
    headers = {"Path": "audio", "X-RequestId": ID}
    assert binary_message(headers, b"ab") == b"\0\x3c" + f"Path: audio\r\nX-RequestId: {ID}\r\n".encode() + b"ab"
    assert AzureMessage.parse(binary_message(headers, b"\r\n\r\n")) == AzureMessage(
        {"path": "audio", "x-requestid": ID}, b"\r\n\r\n"
    )
    text = AzureMessage.parse(text_message(headers, "Grüezi\r\n\r\n"))
    assert (text.path, text.body) == ("audio", "Grüezi\r\n\r\n")
