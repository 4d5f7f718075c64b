# SPDX-License-Identifier: GPL-3.0-or-later
"""Deepgram's Aura: speech over Speak v1, one clause at a time on a connection.

Sources: developers.deepgram.com, reference of speak/v1, "Flush" (at most 20 of them a minute), "Clear". What comes is
not told apart by clause: it belongs to the one that was flushed, until `Flushed`, or `Cleared` if it was given up.
"""

import json
from collections.abc import Mapping, Sequence

from agent.clients.hosted_tts import HostedTts, OnCharacters
from agent.clients.settings import ServiceSettings
from agent.clients.tts_dialect import Broken, Said, Sound, Speaking, TtsNews
from agent.clients.urls import with_parameters
from agent.clients.wire_audio import G711_HZ, AudioBytes, Encoding, offered_rate
from agent.clients.wire_json import parsed, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.tts import PLAIN, SpeechStyle
from agent.websocket import WireMessage

DEEPGRAM_URL = "wss://api.deepgram.com"
_VOICE = "aura-2-thalia-en"
_RATES_HZ = (8_000, 16_000, 24_000)
_POLICY_VIOLATION = 1008
"""What cannot be understood, and requests that are wrong (`DATA-0000`)."""


class DeepgramTts(HostedTts):
    """A `TextToSpeech`. A voice is a model: `voice`, or `model`."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnCharacters | None = None) -> None:
        super().__init__(settings, AuraDialect, on_usage=on_usage)


class AuraDialect:
    """One WebSocket. Pace is a parameter of the connection (`extra = {speed = 1.1}`), so a clause's style is left."""

    max_utterances = 1
    max_utterances_a_minute = 20
    keep_alive_s = 3600.0
    """None is needed: a connection may be silent for an hour."""

    def __init__(self, settings: ServiceSettings, speaking: Speaking) -> None:
        self._settings = settings
        self._voice = speaking.voice or settings.model or _VOICE
        self.sample_rate_hz = offered_rate(speaking.sample_rate_hz, _RATES_HZ)
        self._encoding: Encoding = "mulaw" if self.sample_rate_hz == G711_HZ else "pcm_s16le"
        self._utterance = ""
        self._audio = AudioBytes(self._encoding)
        self._is_clearing = False

    def url(self) -> str:
        parameters = {
            "model": self._voice,
            "encoding": "mulaw" if self._encoding == "mulaw" else "linear16",
            "sample_rate": self.sample_rate_hz,
            **self._settings.extra,
        }
        return with_parameters(self._settings.url or DEEPGRAM_URL, "/v1/speak", parameters)

    def headers(self) -> Mapping[str, str]:
        key = self._settings.api_key
        return {**({"Authorization": f"Token {key}"} if key else {}), **self._settings.headers}

    def opening(self) -> Sequence[WireMessage]:
        return ()

    def say(self, utterance: str, text: str, style: SpeechStyle) -> tuple[Sequence[WireMessage], SpeechStyle]:
        self._utterance = utterance
        self._audio = AudioBytes(self._encoding)
        self._is_clearing = False
        return (json.dumps({"type": "Speak", "text": text}), '{"type":"Flush"}'), PLAIN

    def cancel(self, utterance: str) -> Sequence[WireMessage]:
        self._is_clearing = True
        return ('{"type":"Clear"}',)

    def keep_alive(self) -> Sequence[WireMessage]:
        return ()

    def closing(self) -> Sequence[WireMessage]:
        return ('{"type":"Close"}',)

    def receive(self, message: WireMessage) -> Sequence[TtsNews]:
        if isinstance(message, bytes):
            if not self._utterance or self._is_clearing:
                return ()
            return (Sound(self._utterance, self._audio.read(message)),)
        found = parsed(message)
        match text_of(found, "type") if found is not None else "":
            case "Flushed" if not self._is_clearing:
                return self._over()
            case "Cleared" if self._is_clearing:
                return self._over()
            case "Error":
                return (Broken("", ServiceUnavailable(self._settings.name, "reports a fault")),)
            case "Warning" if "flush" in text_of(found or {}, "description").lower():
                # It will not say what it has got before the minute is over.
                return (Broken("", ServiceUnavailable(self._settings.name, "was flushed too often")),)
        return ()  # Metadata, other warnings

    def _over(self) -> Sequence[TtsNews]:
        utterance, self._utterance = self._utterance, ""
        return (Said(utterance),) if utterance else ()

    def closed(self, code: int, reason: str) -> ServiceError:
        if code == _POLICY_VIOLATION:
            return ServiceRejected(self._settings.name, f"closed the connection ({code})")
        return ServiceUnavailable(self._settings.name, f"closed the connection ({code})")
