# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as Deepgram documents them: developers.deepgram.com/reference/speech-to-text/listen-streaming (v1),
.../listen-flux (v2), and the types of its SDK (app.unpkg.com/@deepgram/sdk, LiveTranscriptionEvent)."""

import json
from urllib.parse import parse_qs, urlsplit

from agent.clients.deepgram_stt import FluxDialect, NovaDialect
from agent.clients.hosted_stt import Listening
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Failed, Flushed, Hypothesis, Ready, Segment

RESULTS = {
    "type": "Results",
    "channel_index": [0, 1],
    "duration": 1.98,
    "start": 5.99,
    "is_final": True,
    "speech_final": True,
    "channel": {
        "alternatives": [
            {
                "transcript": "Tell me more about this.",
                "confidence": 0.99964225,
                "languages": ["en"],
                "words": [
                    {
                        "word": "tell",
                        "start": 6.0699997,
                        "end": 6.35,
                        "confidence": 0.99782443,
                        "punctuated_word": "Tell",
                    },
                    {
                        "word": "me",
                        "start": 6.35,
                        "end": 6.63,
                        "confidence": 0.9998,
                        "punctuated_word": "me",
                    },
                ],
            }
        ]
    },
    "metadata": {
        "request_id": "52cc0efe-fa77-4aa7-b79c-0dda09de2f14",
        "model_info": {"name": "2-general-nova", "version": "2024-01-18.26916", "arch": "nova-2"},
        "model_uuid": "c0d1a568-ce81-4fea-97e7-bd45cb1fdf3c",
    },
    "from_finalize": False,
}
TURN = {
    "type": "TurnInfo",
    "request_id": "b4a8e0f0-0000-4000-8000-000000000000",
    "event": "EndOfTurn",
    "turn_index": 0,
    "audio_window_start": 0.0,
    "audio_window_end": 1.54,
    "transcript": "Hello, how are you?",
    "words": [{"word": "Hello,", "confidence": 0.9}, {"word": "how", "confidence": 0.7}],
    "end_of_turn_confidence": 0.86,
    "sequence_id": 11,
}


def nova(**changes: object) -> NovaDialect:
    given = {"name": "ears", "api_key": "k", **changes}
    return NovaDialect(ServiceSettings(**given), Listening(8000, ("Dr. Lee", "Zürich"), "de"))  # type: ignore[arg-type]


def flux() -> FluxDialect:
    return FluxDialect(ServiceSettings(name="ears", model="flux-general-en"), Listening(16000))


def test_final_results_are_a_segment_with_timed_words() -> None:
    (segment,) = nova().receive(json.dumps(RESULTS))
    assert isinstance(segment, Segment)
    assert segment.text == "Tell me more about this."
    assert segment.language == "en"
    first, second = segment.words
    assert (first.text, round(first.started_ms), round(first.ended_ms)) == ("Tell", 6070, 6350)
    assert (second.text, round(second.started_ms), round(second.ended_ms)) == ("me", 6350, 6630)
    assert second.confidence == 0.9998


def test_results_of_a_finalize_are_all_there_is() -> None:
    found = nova().receive(json.dumps({**RESULTS, "from_finalize": True}))
    assert found[1:] == [Flushed()]


def test_interim_results_may_change() -> None:
    assert nova().receive(json.dumps({**RESULTS, "is_final": False})) == [
        Hypothesis("Tell me more about this.", 0.99964225)
    ]


def test_the_connection_is_asked_for_with_what_the_service_wants_to_know() -> None:
    address = urlsplit(nova(extra={"mip_opt_out": True, "smart_format": False}).url())
    assert (address.scheme, address.netloc, address.path) == ("wss", "api.deepgram.com", "/v1/listen")
    assert parse_qs(address.query) == {
        "model": ["nova-3"],
        "language": ["de"],
        "encoding": ["linear16"],
        "sample_rate": ["8000"],
        "interim_results": ["true"],
        "punctuate": ["true"],
        "smart_format": ["false"],
        "endpointing": ["false"],
        "keyterm": ["Dr. Lee", "Zürich"],
        "mip_opt_out": ["true"],
    }
    assert nova().headers() == {"Authorization": "Token k"}
    assert parse_qs(urlsplit(nova(model="nova-2").url()).query)["keywords"] == ["Dr. Lee", "Zürich"]


def test_what_we_say_is_what_the_service_knows() -> None:
    dialect = nova()
    assert [json.loads(text) for text in (*dialect.flush(), *dialect.keep_alive(), *dialect.closing())] == [
        {"type": "Finalize"},
        {"type": "KeepAlive"},
        {"type": "CloseStream"},
    ]


def test_a_turn_of_flux_is_a_segment_once_it_is_over() -> None:
    dialect = flux()
    assert dialect.receive('{"type": "Connected", "request_id": "r", "sequence_id": 0}') == (Ready(),)
    (update,) = dialect.receive(json.dumps({**TURN, "event": "Update"}))
    assert update == Hypothesis("Hello, how are you?", 0.8)
    assert dialect.receive(json.dumps(TURN)) == (Segment("Hello, how are you?", 0.8), Flushed())


def test_flux_is_told_when_the_turn_is_over_and_hears_silence_before_it() -> None:
    dialect = flux()
    silence, order = dialect.flush()
    assert silence == bytes(len(silence))
    assert dialect.added_bytes == len(silence) == 240 * 16 * 2
    assert order == '{"type":"ForceEndTurn"}'
    query = parse_qs(urlsplit(dialect.url()).query)
    assert (query["eot_threshold"], query["eot_timeout_ms"]) == (["1.0"], ["30000"])


def test_a_fault_of_flux_ends_the_connection_and_quotes_nothing() -> None:
    (failed,) = flux().receive('{"type": "Error", "code": "NET-0000", "description": "the caller said hello"}')
    assert isinstance(failed, Failed)
    assert failed.error.retryable
    assert "hello" not in str(failed.error)


def test_only_wrong_requests_are_refused_for_good() -> None:
    assert not nova().closed(1008, "DATA-0000").retryable
    assert nova().closed(1011, "NET-0001").retryable
