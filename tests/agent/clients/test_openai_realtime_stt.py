# SPDX-License-Identifier: GPL-3.0-or-later
"""Events as OpenAI's reference and guide show them (data/openai_realtime_stt); items completed out of order."""

import base64
import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from agent.clients.hosted_stt import Listening
from agent.clients.openai_realtime_stt import OpenAiRealtimeDialect, OpenAiRealtimeStt
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Failed, Flushed, Hypothesis, Ready, Segment
from tests.simulators.openai_realtime_stt import OpenAiRealtimeSttServer

DATA = Path(__file__).parent / "data" / "openai_realtime_stt"
EVENTS = json.loads((DATA / "events.json").read_text())


def dialect(
    rate_hz: int = 24_000, model: str = "", hints: tuple[str, ...] = (), **extra: object
) -> OpenAiRealtimeDialect:
    settings = ServiceSettings(name="ears", api_key="k", model=model, extra=extra)
    return OpenAiRealtimeDialect(settings, Listening(rate_hz, hints, "de-CH"))


def event(kind: str, item: str = "", **fields: object) -> str:
    return json.dumps({"type": kind, "event_id": "event_1", "item_id": item, **fields})


def committed(item: str) -> str:
    return json.dumps({**EVENTS["committed"], "item_id": item})


def completed(item: str, text: str) -> str:
    return json.dumps({**EVENTS["completed"], "item_id": item, "transcript": text})


def delta(item: str, text: str) -> str:
    return json.dumps({**EVENTS["delta"], "item_id": item, "delta": text})


def test_the_documented_events_are_understood() -> None:
    talk = dialect()
    assert talk.receive(event("session.updated", session={})) == (Ready(),)
    assert talk.receive(json.dumps(EVENTS["delta"])) == (Hypothesis("Hello,"),)
    assert talk.receive(committed("msg_003")) == (Hypothesis("Hello,"),)
    assert talk.receive(json.dumps(EVENTS["completed"])) == (Segment("Hello, how are you?"), Flushed())


def test_the_documented_session_is_asked_for() -> None:
    (opening,) = dialect().opening()
    expected = json.loads((DATA / "session_update.json").read_text())["message"]
    expected["session"]["audio"]["input"]["transcription"]["languages"] = ["de"]
    assert json.loads(opening) == expected
    address = urlsplit(dialect().url())
    assert (address.netloc, address.path, address.query) == ("api.openai.com", "/v1/realtime", "intent=transcription")
    assert dialect().headers() == {"Authorization": "Bearer k"}


def test_models_of_before_are_asked_in_their_own_terms() -> None:
    (opening,) = dialect(8000, "gpt-4o-transcribe", ("Zürich", "Dr. Lee"), prompt="Names:").opening()
    session = json.loads(opening)["session"]
    assert session["include"] == ["item.input_audio_transcription.logprobs"]
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["input"]["transcription"] == {
        "model": "gpt-4o-transcribe",
        "language": "de",
        "prompt": "Names:",
    }
    (opening,) = dialect(hints=("Zürich",)).opening()
    assert json.loads(opening)["session"]["audio"]["input"]["transcription"]["keywords"] == ["Zürich"]


def test_items_are_told_in_the_order_of_what_was_said() -> None:
    talk = dialect()
    for item in ("a", "b", "c"):
        assert talk.receive(committed(item)) == ()
    assert talk.receive(completed("b", "second")) == (Hypothesis("second"),)
    assert talk.receive(completed("a", "first")) == (Segment("first"), Flushed(), Segment("second"), Flushed())
    assert talk.receive(completed("c", "third")) == (Segment("third"), Flushed())


def test_an_item_may_be_complete_before_it_is_known_to_be_committed() -> None:
    talk = dialect()
    talk.receive(delta("b", "second"))
    talk.receive(completed("b", "second"))
    talk.receive(committed("a"))
    assert talk.receive(committed("b")) == (Hypothesis("second"),)
    assert talk.receive(completed("a", "first")) == (Segment("first"), Flushed(), Segment("second"), Flushed())


def test_what_is_said_next_is_guessed_behind_what_is_not_sure_yet() -> None:
    talk = dialect()
    talk.receive(delta("a", "What are"))
    talk.receive(delta("a", " your"))
    talk.receive(committed("a"))
    assert talk.receive(delta("b", "hours")) == (Hypothesis("What are your hours"),)
    assert talk.receive(completed("a", "What are your")) == (
        Segment("What are your"),
        Flushed(),
        Hypothesis("hours"),
    )


def test_confidence_is_that_of_the_tokens() -> None:
    talk = dialect()
    talk.receive(committed("a"))
    logprobs = [{"token": "Yes", "logprob": -0.1, "bytes": []}, {"token": ".", "logprob": -0.3, "bytes": []}]
    segment, _ = talk.receive(json.dumps({**json.loads(completed("a", "Yes.")), "logprobs": logprobs}))
    assert isinstance(segment, Segment)
    assert segment.confidence == pytest.approx(np.exp(-0.2))


def test_sound_that_is_no_speech_is_nothing_said_and_other_failures_are_failures() -> None:
    talk = dialect()
    talk.receive(committed("msg_003"))
    assert talk.receive(json.dumps(EVENTS["failed"])) == (Segment(""), Flushed())
    other = {**EVENTS["failed"], "error": {"code": "server_error", "message": "the caller said hello"}}
    (failed,) = talk.receive(json.dumps(other))
    assert isinstance(failed, Failed)
    assert failed.error.retryable
    assert "hello" not in str(failed.error)


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        ("invalid_request_error", "invalid_api_key", False),
        ("invalid_request_error", "invalid_value", False),
        ("server_error", "server_error", True),
        ("rate_limit_error", "rate_limit_exceeded", True),
    ],
)
def test_faults_are_told_apart(kind: str, code: str, retryable: bool) -> None:
    error = {"type": kind, "code": code, "message": "the caller said hello", "param": None}
    (failed,) = dialect().receive(event("error", error=error))
    assert isinstance(failed, Failed)
    assert failed.error.retryable is retryable
    assert "hello" not in str(failed.error)
    assert not dialect().closed(3000, "").retryable
    assert dialect().closed(1011, "").retryable


def test_a_commit_of_nothing_is_answered_all_the_same() -> None:
    error = {"type": "invalid_request_error", "code": "input_audio_buffer_commit_empty", "message": "too small"}
    assert dialect().receive(event("error", error=error)) == (Flushed(),)


def test_less_than_can_be_committed_is_followed_by_silence() -> None:
    talk = dialect()
    (append,) = talk.audio(b"\1\2" * 1200)  # 50 ms
    assert json.loads(append) == {
        "type": "input_audio_buffer.append",
        "audio": base64.b64encode(b"\1\2" * 1200).decode(),
    }
    silence, commit = (json.loads(message) for message in talk.flush())
    assert base64.b64decode(silence["audio"]) == bytes(2400)
    assert commit == {"type": "input_audio_buffer.commit"}
    assert talk.added_bytes == 2400
    talk.audio(bytes(4800))
    assert len(talk.flush()) == 1


def test_a_telephones_audio_goes_as_g711() -> None:
    talk = dialect(8000)
    assert talk.sample_rate_hz == 8000
    (append,) = talk.audio(np.array([0, 32635, -32635], "<i2").tobytes())
    assert base64.b64decode(json.loads(append)["audio"]) == b"\xff\x80\x00"


async def test_a_session_whose_items_are_completed_out_of_order_is_understood() -> None:
    async with OpenAiRealtimeSttServer(["What", "are", "your", "opening", "hours"]) as server:
        server.swaps = True
        settings = ServiceSettings(name="ears", url=server.url, api_key="test-key")
        client = OpenAiRealtimeStt(settings)
        stream = await client.open(sample_rate_hz=8000, on_partial=lambda _: None)
        stream.push(np.full(3200, 1000, np.int16))
        stream.next_turn(0)  # this one's words are completed last, and are not the next one's
        stream.push(np.full(4800, 1000, np.int16))
        assert (await stream.final()).text == "your opening hours"
        await client.aclose()
