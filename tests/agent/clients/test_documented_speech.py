# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices against messages that their vendors document (tests/agent/clients/data, each with its source)."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.clients.cartesia import CartesiaDialect
from agent.clients.deepgram_tts import AuraDialect
from agent.clients.elevenlabs import ElevenLabsDialect, ElevenLabsHttp
from agent.clients.openai_speech import OpenAiVoices
from agent.clients.settings import ServiceSettings
from agent.clients.tts_dialect import Answer, Broken, Said, Sound, Speaking
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.tts import PLAIN, SpeechStyle
from agent.websocket import WireMessage

DATA = Path(__file__).parent / "data"
SETTINGS = ServiceSettings(name="voice", api_key="k")
TELEPHONE = Speaking("nova", 8_000)
WIDE = Speaking("nova", 16_000)


def documented(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def read(message: WireMessage) -> Any:
    return json.loads(message)


class TestCartesia:
    found = documented("cartesia/websocket.json")

    def dialect(self, context: str, model: str = "sonic-3") -> CartesiaDialect:
        dialect = CartesiaDialect(ServiceSettings(name="voice", api_key="k", model=model, language="en"), WIDE)
        dialect.say(context, "Hello", PLAIN)
        return dialect

    def test_a_request_has_the_documented_shape(self) -> None:
        example = self.found["request"]
        settings = ServiceSettings(name="voice", model="sonic-3.5", language="en", extra={"add_timestamps": True})
        dialect = CartesiaDialect(settings, Speaking(example["voice"]["id"], 8_000))
        (message,), _ = dialect.say(example["context_id"], example["transcript"], PLAIN)
        example["output_format"]["encoding"] = "pcm_mulaw"  # what we ask for in the place of the example's PCM
        assert read(message) == example

    def test_its_connection_names_the_version_and_the_key(self) -> None:
        dialect = self.dialect("c")
        assert dialect.url() == "wss://api.cartesia.ai/tts/websocket"
        assert dialect.headers()["Authorization"] == "Bearer k"
        assert "Cartesia-Version" in dialect.headers()

    def test_the_documented_sound_is_read(self) -> None:
        chunk = self.found["chunk"]
        news = self.dialect(chunk["context_id"]).receive(json.dumps(chunk))
        assert isinstance(news[0], Sound)
        assert news[0].utterance == chunk["context_id"]
        assert len(news[0].samples) == 8  # of 17 bytes: the last one is half a sample

    def test_the_end_is_told_and_the_rest_is_left_aside(self) -> None:
        done = self.found["done"]
        dialect = self.dialect(done["context_id"])
        assert dialect.receive(json.dumps(self.found["flush_done"])) == ()
        assert dialect.receive(json.dumps(self.found["timestamps"])) == ()
        assert dialect.receive(json.dumps(done)) == (Said(done["context_id"]),)

    def test_an_error_is_of_its_clause(self) -> None:
        error = self.found["error"]
        (news,) = self.dialect(error["context_id"]).receive(json.dumps(error))
        assert isinstance(news, Broken)
        assert news.utterance == error["context_id"]
        assert isinstance(news.error, ServiceRejected)
        assert "model" not in str(news.error)

    def test_giving_up_has_the_documented_shape(self) -> None:
        cancel = self.found["cancel"]
        (message,) = self.dialect(cancel["context_id"]).cancel(cancel["context_id"])
        assert read(message) == cancel

    def test_a_style_is_asked_for_as_far_as_the_model_has_controls(self) -> None:
        style = SpeechStyle(rate=2.0, volume_db=6.0, emotion="apologetic")
        (message,), done = self.dialect("a").say("b", "Sorry.", style)
        assert read(message)["generation_config"] == {"speed": 1.5, "volume": 1.995, "emotion": "apologetic"}
        assert done == SpeechStyle(rate=1.5, volume_db=6.0, emotion="apologetic")
        (message,), done = self.dialect("a", "sonic-3.5").say("b", "Sorry.", style)
        assert "generation_config" not in read(message)
        assert done == PLAIN


class TestElevenLabs:
    found = documented("elevenlabs/multi_context.json")

    def dialect(self, speaking: Speaking = WIDE) -> ElevenLabsDialect:
        dialect = ElevenLabsDialect(SETTINGS, speaking)
        dialect.say("conversation_1", "Hello", PLAIN)
        return dialect

    def test_its_url_has_the_documented_parameters(self) -> None:
        url = self.dialect(TELEPHONE).url()
        assert url.startswith("https://api.elevenlabs.io/v1/text-to-speech/nova/multi-stream-input?")
        assert "output_format=ulaw_8000" in url
        assert "model_id=eleven_flash_v2_5" in url
        assert "output_format=pcm_16000" in self.dialect(WIDE).url()

    def test_what_is_sent_has_documented_fields_only(self) -> None:
        fields = self.found["client_fields"]
        dialect = self.dialect()
        (begin, words), done = dialect.say("c", "Hello.", SpeechStyle(rate=1.1))
        assert set(read(begin)) <= set(fields["InitialiseContext"])
        assert read(begin)["text"] == " "
        assert read(begin)["voice_settings"] == {"speed": 1.1}
        assert done == SpeechStyle(rate=1.1)
        assert read(words) == {"text": "Hello. ", "context_id": "c", "flush": True}
        assert set(read(words)) == set(fields["SendTextMulti"])
        (closing,) = dialect.cancel("c")
        assert set(read(closing)) == set(fields["CloseContextClient"])
        (goodbye,) = dialect.closing()
        assert set(read(goodbye)) == set(fields["CloseSocketClient"])

    def test_a_context_is_closed_with_its_first_sound_and_once(self) -> None:
        dialect = self.dialect()
        sound, answer = dialect.receive(json.dumps(self.found["audio"]))
        assert isinstance(sound, Sound)
        assert list(sound.samples) == [256, 256]
        assert isinstance(answer, Answer)
        assert read(answer.messages[0]) == {"context_id": "conversation_1", "close_context": True}
        assert len(dialect.receive(json.dumps(self.found["audio"]))) == 1
        assert dialect.cancel("conversation_1") == ()

    @pytest.mark.parametrize("name", ["final", "final_of_the_guide"])
    def test_its_end_is_told_in_either_spelling(self, name: str) -> None:
        assert self.dialect().receive(json.dumps(self.found[name])) == [Said("conversation_1")]

    def test_an_error_without_a_context_is_the_connections(self) -> None:
        (news,) = self.dialect().receive(json.dumps(self.found["error"]))
        assert isinstance(news, Broken)
        assert news.utterance == ""
        assert isinstance(news.error, ServiceUnavailable)

    def test_a_quota_that_is_used_up_is_final(self) -> None:
        error = self.dialect().closed(1008, "This request exceeds your quota: quota_exceeded, of somebody@example.org")
        assert isinstance(error, ServiceRejected)
        assert "somebody" not in str(error)

    def test_the_request_over_http_has_the_documented_shape(self) -> None:
        request = ElevenLabsHttp(SETTINGS).request("Hello.", "nova", PLAIN, 8_000)
        assert request.url == "https://api.elevenlabs.io/v1/text-to-speech/nova/stream?output_format=ulaw_8000"
        assert json.loads(request.content) == {"text": "Hello.", "model_id": "eleven_flash_v2_5"}
        assert ElevenLabsHttp(SETTINGS).headers() == {"xi-api-key": "k"}


class TestDeepgram:
    found = documented("deepgram_speak/websocket.json")

    def test_what_is_sent_is_as_documented(self) -> None:
        dialect = AuraDialect(SETTINGS, TELEPHONE)
        assert dialect.url() == "wss://api.deepgram.com/v1/speak?model=nova&encoding=mulaw&sample_rate=8000"
        assert dialect.headers() == {"Authorization": "Token k"}
        messages, done = dialect.say("c", "Hello, world!", SpeechStyle(rate=1.5))
        assert [read(message) for message in messages] == [self.found["speak"], self.found["flush"]]
        assert done == PLAIN
        assert [read(message) for message in dialect.cancel("c")] == [self.found["clear"]]
        assert [read(message) for message in dialect.closing()] == [self.found["close"]]

    def test_sound_is_of_the_clause_that_was_flushed(self) -> None:
        dialect = AuraDialect(SETTINGS, WIDE)
        assert dialect.receive(b"\x01\x00") == ()
        dialect.say("c", "Hello", PLAIN)
        assert isinstance(dialect.receive(b"\x01\x00")[0], Sound)
        assert dialect.receive(json.dumps(self.found["flushed"])) == (Said("c"),)
        assert dialect.receive(b"\x01\x00") == ()

    def test_a_clause_that_was_given_up_is_over_with_cleared(self) -> None:
        dialect = AuraDialect(SETTINGS, WIDE)
        dialect.say("c", "Hello", PLAIN)
        dialect.cancel("c")
        assert dialect.receive(b"\x01\x00") == ()
        assert dialect.receive(json.dumps(self.found["flushed"])) == ()  # it was on its way
        assert dialect.receive(json.dumps(self.found["cleared"])) == (Said("c"),)


class TestOpenAi:
    found = documented("openai_speech/request.json")

    def asked(self, settings: ServiceSettings, style: SpeechStyle = PLAIN) -> tuple[Any, SpeechStyle]:
        request = OpenAiVoices(settings).request(self.found["example"]["input"], "", style, 8_000)
        assert request.url == "https://api.openai.com/v1/audio/speech"
        assert (request.encoding, request.sample_rate_hz) == ("pcm_s16le", 24_000)
        return json.loads(request.content), request.done

    def test_a_request_is_the_documented_one_for_samples(self) -> None:
        body, _ = self.asked(SETTINGS)
        assert body == {**self.found["example"], "response_format": "pcm"}

    def test_a_model_that_takes_instructions_is_told_how_to_speak(self) -> None:
        body, done = self.asked(SETTINGS, SpeechStyle(rate=1.2, emotion="calm"))
        assert set(body) <= set(self.found["fields"])
        assert body["instructions"] == "Speak calmly."
        assert "speed" not in body
        assert done == SpeechStyle(emotion="calm")

    def test_other_models_are_told_the_pace(self) -> None:
        body, done = self.asked(ServiceSettings(name="voice", model="tts-1"), SpeechStyle(rate=1.2))
        assert set(body) <= set(self.found["fields"])
        assert body["speed"] == 1.2
        assert done == SpeechStyle(rate=1.2)

    def test_a_server_of_ones_own_may_have_another_rate(self) -> None:
        settings = ServiceSettings(name="voice", url="http://rack:8000/v1", extra={"sample_rate_hz": 22_050})
        request = OpenAiVoices(settings).request("Hello", "amy", PLAIN, None)
        assert request.url == "http://rack:8000/v1/audio/speech"
        assert request.sample_rate_hz == 22_050
        assert "sample_rate_hz" not in json.loads(request.content)
