# SPDX-License-Identifier: GPL-3.0-or-later
"""Deepgram's speech recognition: Nova over Listen v1, Flux over Listen v2.

Sources: developers.deepgram.com, reference of listen/v1, "Finalize", "Keep Alive"; for Flux "Understanding the Flux
State Machine", "Force End Turn", "Bring Your Own Turn Detection". When the turn is over is decided here, not there:
Nova is told to finalize, and Flux, whose own decision is switched off (`eot_threshold=1.0`), to end the turn.
"""

from collections.abc import Iterator, Mapping, Sequence

from agent.clients.hosted_stt import HostedStt, Listening, OnSeconds
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Failed, Flushed, Hypothesis, Ready, Segment, SttNews
from agent.clients.urls import with_parameters
from agent.clients.wire_json import mapping_of, mappings_of, number_of, parsed, share_of, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.stt import HeardWord
from agent.websocket import WireMessage

DEEPGRAM_URL = "wss://api.deepgram.com"
_NOVA = "nova-3"
_PAD_MS = 240
_POLICY_VIOLATION = 1008
"""What cannot be decoded, and requests that are wrong (`DATA-0000`)."""


def deepgram_stt(settings: ServiceSettings, *, on_usage: OnSeconds | None = None) -> HostedStt:
    """A `SpeechToText`; `settings.model` says which (`nova-3` by default; `flux-general-en`...)."""
    dialect = FluxDialect if settings.model.startswith("flux") else NovaDialect
    return HostedStt(settings, dialect, on_usage=on_usage)


class NovaDialect:
    """Listen v1."""

    chunk_ms = 20
    added_bytes = 0
    says_ready = False
    answers_every_flush = False
    keep_alive_s = 4.0
    """The service closes a connection after 10 s without a message."""

    def __init__(self, settings: ServiceSettings, listening: Listening) -> None:
        self._settings = settings
        self._listening = listening
        self.sample_rate_hz = listening.sample_rate_hz

    def url(self) -> str:
        model = self._settings.model or _NOVA
        parameters = {
            "model": model,
            "language": self._settings.language or self._listening.language,
            "encoding": "linear16",
            "sample_rate": self.sample_rate_hz,
            "interim_results": True,
            "punctuate": True,
            "smart_format": True,
            "endpointing": False,
            ("keyterm" if model.startswith("nova-3") else "keywords"): list(self._listening.hints),
            **self._settings.extra,
        }
        return with_parameters(self._settings.url or DEEPGRAM_URL, "/v1/listen", parameters)

    def headers(self) -> Mapping[str, str]:
        return _headers(self._settings)

    def opening(self) -> Sequence[WireMessage]:
        return ()

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        return (pcm,)

    def flush(self) -> Sequence[WireMessage]:
        return ('{"type":"Finalize"}',)

    def keep_alive(self) -> Sequence[WireMessage]:
        return ('{"type":"KeepAlive"}',)

    def closing(self) -> Sequence[WireMessage]:
        return ('{"type":"CloseStream"}',)

    def receive(self, message: WireMessage) -> Sequence[SttNews]:
        found = parsed(message)
        if found is None or text_of(found, "type") != "Results":
            return ()  # Metadata, SpeechStarted, UtteranceEnd tell nothing that is needed here
        best = next(mappings_of(mapping_of(found, "channel"), "alternatives"), {})
        text, confidence = text_of(best, "transcript"), share_of(best, "confidence")
        news: list[SttNews] = []
        if found.get("is_final") is True:
            languages = best.get("languages")
            language = languages[0] if isinstance(languages, list) and languages else ""
            words = tuple(_timed_words(best))
            news.append(Segment(text, confidence, words, language if isinstance(language, str) else ""))
        else:
            news.append(Hypothesis(text, confidence))
        if found.get("from_finalize") is True:
            news.append(Flushed())
        return news

    def closed(self, code: int, reason: str) -> ServiceError:
        return _closed(self._settings.name, code)


class FluxDialect:
    """Listen v2. A turn's words come with every update, all of them."""

    chunk_ms = 80
    """What the service asks for."""
    says_ready = True
    answers_every_flush = False
    keep_alive_s = 5.0

    def __init__(self, settings: ServiceSettings, listening: Listening) -> None:
        self._settings = settings
        self._listening = listening
        self.sample_rate_hz = listening.sample_rate_hz
        self.added_bytes = 0

    def url(self) -> str:
        parameters = {
            "model": self._settings.model,
            "encoding": "linear16",
            "sample_rate": self.sample_rate_hz,
            "eot_threshold": "1.0",
            "eot_timeout_ms": 30_000,
            "keyterm": list(self._listening.hints),
            **self._settings.extra,
        }
        return with_parameters(self._settings.url or DEEPGRAM_URL, "/v2/listen", parameters)

    def headers(self) -> Mapping[str, str]:
        return _headers(self._settings)

    def opening(self) -> Sequence[WireMessage]:
        return ()

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        return (pcm,)

    def flush(self) -> Sequence[WireMessage]:
        """A turn is ended with what was transcribed of it so far: silence makes that all of it."""
        return (self._silence(_PAD_MS), '{"type":"ForceEndTurn"}')

    def keep_alive(self) -> Sequence[WireMessage]:
        """There is no such message: a moment of silence does it."""
        return (self._silence(self.chunk_ms),)

    def closing(self) -> Sequence[WireMessage]:
        return ('{"type":"CloseStream"}',)

    def receive(self, message: WireMessage) -> Sequence[SttNews]:
        found = parsed(message)
        match text_of(found, "type") if found is not None else "":
            case "Connected":
                return (Ready(),)
            case "TurnInfo":
                return tuple(self._turn(found or {}))
            case "Error":
                code = text_of(found or {}, "code")[:60]
                return (Failed(ServiceUnavailable(self._settings.name, f"reports a fault ({code or 'no code'})")),)
        return ()

    def _silence(self, ms: int) -> bytes:
        silence = bytes(ms * self.sample_rate_hz // 1000 * 2)
        self.added_bytes += len(silence)
        return silence

    def _turn(self, turn: Mapping[str, object]) -> Iterator[SttNews]:
        text = text_of(turn, "transcript")
        confidences = [share_of(word, "confidence") for word in mappings_of(turn, "words")]
        confidence = sum(confidences) / len(confidences) if confidences else 0.0
        event = text_of(turn, "event")
        if event != "EndOfTurn":
            yield Hypothesis(text, confidence, True if event == "EagerEndOfTurn" else None)
            return
        yield Segment(text, confidence, tuple(_timed_words(turn)))
        yield Flushed()

    def closed(self, code: int, reason: str) -> ServiceError:
        return _closed(self._settings.name, code)


def _headers(settings: ServiceSettings) -> Mapping[str, str]:
    return {**({"Authorization": f"Token {settings.api_key}"} if settings.api_key else {}), **settings.headers}


def _timed_words(found: Mapping[str, object]) -> Iterator[HeardWord]:
    for word in mappings_of(found, "words"):
        if "start" in word:  # in seconds
            text = text_of(word, "punctuated_word") or text_of(word, "word")
            started_ms, ended_ms = number_of(word, "start") * 1e3, number_of(word, "end") * 1e3
            yield HeardWord(text, started_ms, ended_ms, share_of(word, "confidence"))


def _closed(service: str, code: int) -> ServiceError:
    if code == _POLICY_VIOLATION:
        return ServiceRejected(service, f"closed the connection ({code})")
    return ServiceUnavailable(service, f"closed the connection ({code})")
