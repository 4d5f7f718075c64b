# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests as learn.microsoft.com has them: "Text to speech REST API", "Customize voice and sound with SSML"."""

from xml.etree import ElementTree

import pytest

from agent.clients.azure_tts import AzureTts, AzureVoices
from agent.clients.http_tts import SpeechRequest
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected
from agent.services.tts import PLAIN, SpeechStyle

SSML = "{http://www.w3.org/2001/10/synthesis}"
STYLES = "{http://www.w3.org/2001/mstts}"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def request(
    text: str = "Hello.",
    voice: str = "en-US-AriaNeural",
    style: SpeechStyle = PLAIN,
    leg_hz: int | None = 8000,
    language: str = "",
    **extra: object,
) -> SpeechRequest:
    settings = ServiceSettings(name="voice", api_key="k", region="westeurope", language=language, extra=extra)
    return AzureVoices(settings).request(text, voice, style, leg_hz)


def element(asked: SpeechRequest) -> ElementTree.Element:
    return ElementTree.fromstring(asked.content)


def test_a_clause_is_asked_for_as_the_service_wants_it() -> None:
    asked = request()
    assert asked.url == "https://westeurope.tts.speech.microsoft.com/cognitiveservices/v1"
    assert asked.content.decode() == (
        '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xmlns:mstts="http://www.w3.org/2001/mstts" '
        'xml:lang="en-US"><voice name="en-US-AriaNeural">Hello.</voice></speak>'
    )
    assert asked.headers["Content-Type"] == "application/ssml+xml"
    settings = ServiceSettings(name="voice", api_key="k", region="westeurope")
    assert AzureVoices(settings).headers() == {"User-Agent": "parley", "Ocp-Apim-Subscription-Key": "k"}


@pytest.mark.parametrize(
    ("leg_hz", "wire", "encoding", "rate_hz"),
    [
        (8000, "raw-8khz-8bit-mono-mulaw", "mulaw", 8000),
        (16000, "raw-16khz-16bit-mono-pcm", "pcm_s16le", 16000),
        (24000, "raw-24khz-16bit-mono-pcm", "pcm_s16le", 24000),
        (48000, "raw-24khz-16bit-mono-pcm", "pcm_s16le", 24000),
        (None, "raw-16khz-16bit-mono-pcm", "pcm_s16le", 16000),
    ],
)
def test_sound_is_asked_for_at_the_legs_rate(leg_hz: int | None, wire: str, encoding: str, rate_hz: int) -> None:
    asked = request(leg_hz=leg_hz)
    assert (asked.headers["X-Microsoft-OutputFormat"], asked.encoding, asked.sample_rate_hz) == (
        wire,
        encoding,
        rate_hz,
    )


def test_text_is_text_whatever_it_looks_like() -> None:
    text = "Smith & Sons </voice><audio src='http://x'/> \0\x0b\ud800 é😀"
    voice = element(request(text, 'x" y')).find(f"{SSML}voice")
    assert voice is not None
    assert voice.text == "Smith & Sons </voice><audio src='http://x'/>  é😀"
    assert voice.get("name") == 'x" y'
    assert len(voice) == 0


def test_pace_and_pitch_are_the_services_and_loudness_is_ours() -> None:
    asked = request(style=SpeechStyle(rate=1.25, pitch_semitones=-2.0, volume_db=3.0))
    prosody = element(asked).find(f"{SSML}voice/{SSML}prosody")
    assert prosody is not None
    assert prosody.attrib == {"rate": "1.25", "pitch": "-2st"}
    assert asked.done == SpeechStyle(rate=1.25, pitch_semitones=-2.0)


def test_what_goes_too_far_is_asked_for_as_far_as_it_goes() -> None:
    asked = request(style=SpeechStyle(pitch_semitones=12.0))
    prosody = element(asked).find(f"{SSML}voice/{SSML}prosody")
    assert prosody is not None
    assert prosody.attrib == {"pitch": "+7st"}
    assert asked.done == SpeechStyle(pitch_semitones=7.0)


def test_a_voice_is_asked_for_the_styles_it_has() -> None:
    asked = request(style=SpeechStyle(emotion="cheerful", rate=0.9))
    manner = element(asked).find(f"{SSML}voice/{STYLES}express-as")
    assert manner is not None
    assert manner.get("style") == "cheerful"
    assert manner.find(f"{SSML}prosody") is not None
    assert asked.done.emotion == "cheerful"


def test_a_style_that_a_voice_has_not_becomes_pace_and_pitch() -> None:
    asked = request(voice="de-DE-KatjaNeural", style=SpeechStyle(emotion="cheerful"))
    assert element(asked).find(f".//{STYLES}express-as") is None
    assert asked.done.emotion == "neutral"
    assert asked.done != PLAIN


def test_styles_of_a_voice_that_is_not_known_can_be_told() -> None:
    style = SpeechStyle(emotion="calm")
    asked = request(voice="zh-CN-YunxiNeural", style=style, styles=["calm", "serious"])
    assert element(asked).find(f".//{STYLES}express-as") is not None
    assert asked.done == style


@pytest.mark.parametrize(
    ("voice", "language", "locale"),
    [
        ("de-DE-KatjaNeural", "", "de-DE"),
        ("en-US-AvaMultilingualNeural", "fr", "fr-FR"),
        ("en-US-AvaMultilingualNeural", "fr-CA", "fr-CA"),
        ("", "", "en-US"),
        ("own", "", "en-US"),
    ],
)
def test_the_language_is_what_was_said_or_the_voices(voice: str, language: str, locale: str) -> None:
    assert element(request(voice=voice, language=language)).get(LANGUAGE) == locale


def test_a_service_without_a_place_is_refused() -> None:
    with pytest.raises(ServiceRejected, match="region"):
        AzureTts(ServiceSettings(name="voice", api_key="k"))
