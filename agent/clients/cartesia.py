# SPDX-License-Identifier: GPL-3.0-or-later
"""Cartesia's Sonic: speech over its WebSocket, each clause a context of its own.

Sources: docs.cartesia.ai, API reference "Text to Speech (WebSocket)", "Contexts", "Volume, speed and emotion".
"""

import json
from collections.abc import Mapping, Sequence

from agent.clients.hosted_tts import HostedTts, OnCharacters
from agent.clients.settings import ServiceSettings
from agent.clients.tts_dialect import Broken, Said, Sound, Speaking, TtsNews
from agent.clients.urls import with_parameters
from agent.clients.wire_audio import G711_HZ, AudioBytes, offered_rate
from agent.clients.wire_json import number_of, parsed, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.tts import SpeechStyle
from agent.style_controls import Controls
from agent.websocket import WireMessage

CARTESIA_URL = "wss://api.cartesia.ai"
_VERSION = "2026-08-14"
_MODEL = "sonic-3"
_VOICE = "a0e99841-438c-4a64-b679-ae501e7d6091"
"""Of the examples in its documentation."""
_RATES_HZ = (8_000, 16_000, 22_050, 24_000)
_CONTROLS = Controls(
    rates=(0.6, 1.5),
    volumes_db=(-6.0, 6.0),  # a factor of 0.5 to 2
    emotions={
        "calm": "calm",
        "friendly": "content",
        "cheerful": "happy",
        "apologetic": "apologetic",
        "empathetic": "sympathetic",
        "excited": "excited",
    },
)
_NO_CONTROLS = Controls()
"""Sonic 2 has others, Sonic 3.5 has had them switched off; there pace and volume are made of the samples."""


class CartesiaTts(HostedTts):
    """A `TextToSpeech`."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnCharacters | None = None) -> None:
        super().__init__(settings, CartesiaDialect, on_usage=on_usage)


class CartesiaDialect:
    """One WebSocket."""

    max_utterances = 16
    """The service speaks of dozens; how many an account may have at a time is its plan's affair."""
    max_utterances_a_minute = 0
    keep_alive_s = 3600.0
    """There is no such message; a connection that was closed for its silence is replaced."""

    def __init__(self, settings: ServiceSettings, speaking: Speaking) -> None:
        self._settings = settings
        self._voice = speaking.voice or _VOICE
        self._model = settings.model or _MODEL
        self._controls = _CONTROLS if self._model.startswith("sonic-3") and "3.5" not in self._model else _NO_CONTROLS
        self.sample_rate_hz = offered_rate(speaking.sample_rate_hz, _RATES_HZ)
        self._is_mulaw = self.sample_rate_hz == G711_HZ
        self._audio: dict[str, AudioBytes] = {}

    def url(self) -> str:
        return with_parameters(self._settings.url or CARTESIA_URL, "/tts/websocket", {})

    def headers(self) -> Mapping[str, str]:
        key = self._settings.api_key
        return {
            "Cartesia-Version": _VERSION,
            **({"Authorization": f"Bearer {key}"} if key else {}),
            **self._settings.headers,
        }

    def opening(self) -> Sequence[WireMessage]:
        return ()

    def say(self, utterance: str, text: str, style: SpeechStyle) -> tuple[Sequence[WireMessage], SpeechStyle]:
        asked = self._controls.ask(style)
        wanted = {
            "speed": asked.rate,
            "volume": None if asked.volume_db is None else round(10 ** (asked.volume_db / 20), 3),
            "emotion": asked.emotion,
        }
        controls = {name: value for name, value in wanted.items() if value is not None}
        request: dict[str, object] = {
            "model_id": self._model,
            "transcript": text,
            "voice": {"mode": "id", "id": self._voice},
            "output_format": {
                "container": "raw",
                "encoding": "pcm_mulaw" if self._is_mulaw else "pcm_s16le",
                "sample_rate": self.sample_rate_hz,
            },
            "context_id": utterance,
            "continue": False,
        }
        if self._settings.language:
            request["language"] = self._settings.language
        if controls:
            request["generation_config"] = controls
        self._audio[utterance] = AudioBytes("mulaw" if self._is_mulaw else "pcm_s16le")
        return (json.dumps({**request, **self._settings.extra}),), asked.done

    def cancel(self, utterance: str) -> Sequence[WireMessage]:
        self._audio.pop(utterance, None)
        return (json.dumps({"context_id": utterance, "cancel": True}),)

    def keep_alive(self) -> Sequence[WireMessage]:
        return ()

    def closing(self) -> Sequence[WireMessage]:
        return ()

    def receive(self, message: WireMessage) -> Sequence[TtsNews]:
        found = parsed(message)
        if found is None:
            return ()
        context = text_of(found, "context_id")
        match text_of(found, "type"):
            case "chunk" if (audio := self._audio.get(context)) is not None:
                try:
                    return (Sound(context, audio.read_base64(found.get("data"))),)
                except ValueError:
                    return (Broken(context, ServiceUnavailable(self._settings.name, "sends what is no base64")),)
            case "done":
                self._audio.pop(context, None)
                return (Said(context),)
            case "error":
                self._audio.pop(context, None)
                status = int(number_of(found, "status_code"))
                said = f"reports a fault ({status})"
                is_final = 400 <= status < 500 and status not in (408, 409, 425, 429)
                kind = ServiceRejected if is_final else ServiceUnavailable
                return (Broken(context, kind(self._settings.name, said)),)
        return ()  # timestamps and the like tell nothing that is needed here

    def closed(self, code: int, reason: str) -> ServiceError:
        return ServiceUnavailable(self._settings.name, f"closed the connection ({code})")
