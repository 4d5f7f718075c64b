# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech from OpenAI's /audio/speech, and from the many local servers that speak it (Kokoro, Piper, XTTS...).

Source: OpenAI's API reference, "Create speech": `pcm` is 16-bit little-endian without a header, at 24 kHz. Servers with
another rate: `extra = {sample_rate_hz = 22050}`.
"""

import json
from collections.abc import Mapping

from agent.clients.http_tts import HttpTts, OnCharacters, SpeechRequest
from agent.clients.settings import ServiceSettings
from agent.clients.urls import with_parameters
from agent.services.tts import Emotion, SpeechStyle
from agent.style_controls import Controls

OPENAI_URL = "https://api.openai.com/v1"
_MODEL = "gpt-4o-mini-tts"
_VOICE = "alloy"
_RATE_HZ = 24_000
_OWN_RATE = "sample_rate_hz"
_MANNERS: Mapping[Emotion, str] = {
    "calm": "calmly",
    "friendly": "in a warm and friendly way",
    "cheerful": "cheerfully",
    "apologetic": "apologetically",
    "empathetic": "with empathy",
    "serious": "seriously",
    "excited": "with excitement",
}
_INSTRUCTED = Controls(emotions=_MANNERS)
"""Models that are told how to speak; they take no heed of `speed`."""
_PACED = Controls(rates=(0.25, 4.0))


class OpenAiSpeech(HttpTts):
    """A `TextToSpeech`."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnCharacters | None = None) -> None:
        super().__init__(settings, OpenAiVoices(settings), on_usage=on_usage)


class OpenAiVoices:
    """What is asked of the service."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._url = settings.url or OPENAI_URL
        self._model = settings.model or _MODEL
        self._is_instructed = self._model.startswith("gpt-")
        own_rate = settings.extra.get(_OWN_RATE)
        self._rate_hz = own_rate if isinstance(own_rate, int) else _RATE_HZ

    @property
    def warm_url(self) -> str:
        return with_parameters(self._url, "/models", {})

    def headers(self) -> Mapping[str, str]:
        key = self._settings.api_key
        return {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, text: str, voice: str, style: SpeechStyle, sample_rate_hz: int | None) -> SpeechRequest:
        asked = (_INSTRUCTED if self._is_instructed else _PACED).ask(style)
        body: dict[str, object] = {
            "model": self._model,
            "input": text,
            "voice": voice or _VOICE,
            "response_format": "pcm",
        }
        if asked.rate is not None:
            body["speed"] = asked.rate
        if asked.emotion is not None:
            body["instructions"] = f"Speak {asked.emotion}."
        body.update({name: value for name, value in self._settings.extra.items() if name != _OWN_RATE})
        return SpeechRequest(
            with_parameters(self._url, "/audio/speech", {}),
            json.dumps(body).encode(),
            "pcm_s16le",
            self._rate_hz,
            {"Content-Type": "application/json"},
            asked.done,
        )
