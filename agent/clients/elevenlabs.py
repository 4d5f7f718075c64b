# SPDX-License-Identifier: GPL-3.0-or-later
"""ElevenLabs: speech over its multi-context WebSocket, or over HTTP (`extra = {transport = "http"}`).

Sources: elevenlabs.io/docs, API reference "Multi-Context WebSocket" and "Stream speech". A context that is closed goes
on with what was flushed; so a clause that is given up is rendered all the same, and only not listened to. What the
reference does not say, seen by others: only a context that is closed ends with `isFinal` (bolna-ai/bolna#790), and one
that is closed before its first sound may stay silent (pipecat-ai/pipecat#4681). So a clause is flushed first, and
closed with its first sound.
"""

import json
from collections.abc import Mapping, Sequence

from agent.clients.hosted_tts import HostedTts, OnCharacters
from agent.clients.http_tts import HttpTts, SpeechRequest
from agent.clients.settings import ServiceSettings
from agent.clients.tts_dialect import Answer, Broken, Said, Sound, Speaking, TtsNews
from agent.clients.urls import with_parameters
from agent.clients.wire_audio import G711_HZ, AudioBytes, Encoding, offered_rate
from agent.clients.wire_json import parsed, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.tts import SpeechStyle
from agent.style_controls import Controls
from agent.websocket import WireMessage

ELEVENLABS_URL = "https://api.elevenlabs.io"
_MODEL = "eleven_flash_v2_5"
_VOICE = "JBFqnCBsd6RMkjVDRZzb"
"""Of the examples in its documentation."""
_RATES_HZ = (8_000, 16_000, 22_050, 24_000)
"""44.1 kHz is not for every account, and no leg is better for it."""
_CONTROLS = Controls(rates=(0.7, 1.2))
_INACTIVITY_S = 180
"""The longest that can be asked for."""
_FINAL_ERRORS = frozenset(
    {"invalid_api_key", "missing_permissions", "quota_exceeded", "voice_not_found", "model_not_found", "invalid_uid"}
)
_OURS = ("transport", "voice_settings")


class ElevenLabsTts:
    """A `TextToSpeech` over the transport that is set."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnCharacters | None = None) -> None:
        self._client: HostedTts | HttpTts
        if settings.extra.get("transport") == "http":
            self._client = HttpTts(settings, ElevenLabsHttp(settings), on_usage=on_usage)
        else:
            self._client = HostedTts(settings, ElevenLabsDialect, on_usage=on_usage)
        self.warm = self._client.warm
        self.synthesize = self._client.synthesize
        self.aclose = self._client.aclose


class ElevenLabsDialect:
    """One WebSocket, up to five clauses at a time."""

    max_utterances = 5
    max_utterances_a_minute = 0
    keep_alive_s = 3600.0
    """There is nothing to say on a connection without a context; one that was closed for it is replaced."""

    def __init__(self, settings: ServiceSettings, speaking: Speaking) -> None:
        self._settings = settings
        self._voice = speaking.voice or _VOICE
        self.sample_rate_hz = offered_rate(speaking.sample_rate_hz, _RATES_HZ)
        self._encoding, self._format = _format(self.sample_rate_hz)
        self._audio: dict[str, AudioBytes] = {}
        """Of the contexts that are open."""
        self._silent: set[str] = set()
        """Contexts that have had no sound, and are not closed."""

    def url(self) -> str:
        parameters = {
            "model_id": self._settings.model or _MODEL,
            "output_format": self._format,
            "auto_mode": True,
            "inactivity_timeout": _INACTIVITY_S,
            "language_code": self._settings.language or None,
            **_extra(self._settings),
        }
        base = self._settings.url or ELEVENLABS_URL
        return with_parameters(base, f"/v1/text-to-speech/{self._voice}/multi-stream-input", parameters)

    def headers(self) -> Mapping[str, str]:
        return {**_credentials(self._settings), **self._settings.headers}

    def opening(self) -> Sequence[WireMessage]:
        return ()

    def say(self, utterance: str, text: str, style: SpeechStyle) -> tuple[Sequence[WireMessage], SpeechStyle]:
        voice_settings, done = _voice_settings(self._settings, style)
        begin: dict[str, object] = {"text": " ", "context_id": utterance}
        if voice_settings:
            begin["voice_settings"] = voice_settings
        self._audio[utterance] = AudioBytes(self._encoding)
        self._silent.add(utterance)
        words = {"text": f"{text.strip()} ", "context_id": utterance, "flush": True}
        return (json.dumps(begin), json.dumps(words)), done

    def cancel(self, utterance: str) -> Sequence[WireMessage]:
        if utterance not in self._silent:
            return ()  # it is being closed already
        self._silent.discard(utterance)
        return (_closing(utterance),)

    def keep_alive(self) -> Sequence[WireMessage]:
        return ()

    def closing(self) -> Sequence[WireMessage]:
        return ('{"close_socket":true}',)

    def receive(self, message: WireMessage) -> Sequence[TtsNews]:
        found = parsed(message)
        if found is None:
            return ()
        context = text_of(found, "contextId") or text_of(found, "context_id")
        if code := text_of(found, "error"):
            return (Broken(context, _reported(self._settings.name, code)),)
        news: list[TtsNews] = []
        if found.get("audio") and (audio := self._audio.get(context)) is not None:
            try:
                samples = audio.read_base64(found["audio"])
            except ValueError:
                return (Broken(context, ServiceUnavailable(self._settings.name, "sends what is no base64")),)
            news.append(Sound(context, samples))
            if context in self._silent:
                self._silent.discard(context)
                news.append(Answer((_closing(context),)))
        if found.get("isFinal") is True or found.get("is_final") is True:
            self._audio.pop(context, None)
            self._silent.discard(context)
            news.append(Said(context))
        return news

    def closed(self, code: int, reason: str) -> ServiceError:
        known = next((one for one in _FINAL_ERRORS if one in reason), "")
        if known:
            return ServiceRejected(self._settings.name, f"closed the connection ({code}, {known})")
        return ServiceUnavailable(self._settings.name, f"closed the connection ({code})")


class ElevenLabsHttp:
    """A request for each clause."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._url = settings.url or ELEVENLABS_URL

    @property
    def warm_url(self) -> str:
        return with_parameters(self._url, "/v1/models", {})

    def headers(self) -> Mapping[str, str]:
        return _credentials(self._settings)

    def request(self, text: str, voice: str, style: SpeechStyle, sample_rate_hz: int | None) -> SpeechRequest:
        rate_hz = offered_rate(sample_rate_hz, _RATES_HZ)
        encoding, output_format = _format(rate_hz)
        voice_settings, done = _voice_settings(self._settings, style)
        body = {
            "text": text,
            "model_id": self._settings.model or _MODEL,
            **({"language_code": self._settings.language} if self._settings.language else {}),
            **({"voice_settings": voice_settings} if voice_settings else {}),
            **_extra(self._settings),
        }
        path = f"/v1/text-to-speech/{voice or _VOICE}/stream"
        return SpeechRequest(
            with_parameters(self._url, path, {"output_format": output_format}),
            json.dumps(body).encode(),
            encoding,
            rate_hz,
            {"Content-Type": "application/json"},
            done,
        )


def _format(rate_hz: int) -> tuple[Encoding, str]:
    """mu-law on telephone legs: half the bytes of PCM, and what most of them send in the end."""
    return ("mulaw", "ulaw_8000") if rate_hz == G711_HZ else ("pcm_s16le", f"pcm_{rate_hz}")


def _credentials(settings: ServiceSettings) -> Mapping[str, str]:
    return {"xi-api-key": settings.api_key} if settings.api_key else {}


def _extra(settings: ServiceSettings) -> Mapping[str, object]:
    return {name: value for name, value in settings.extra.items() if name not in _OURS}


def _voice_settings(settings: ServiceSettings, style: SpeechStyle) -> tuple[Mapping[str, object], SpeechStyle]:
    asked = _CONTROLS.ask(style)
    own = settings.extra.get("voice_settings")
    found: dict[str, object] = dict(own) if isinstance(own, Mapping) else {}
    if asked.rate is not None:
        found["speed"] = asked.rate
    return found, asked.done


def _closing(context: str) -> str:
    return json.dumps({"context_id": context, "close_context": True})


def _reported(service: str, code: str) -> ServiceError:
    known = next((one for one in _FINAL_ERRORS if one in code), "")
    if known:
        return ServiceRejected(service, f"reports a fault ({known})")
    return ServiceUnavailable(service, "reports a fault")
