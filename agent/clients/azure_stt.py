# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure's speech recognition over its WebSocket protocol.

    speech.config                                              once
    speech.context, audio (WAV header), audio..., audio ()     a turn of theirs, up to a flush
    turn.start, speech.hypothesis..., speech.phrase..., turn.end

Sources: Microsoft's "Speech service WebSocket protocol", and the Speech SDK for JavaScript (ServiceRecognizerBase,
SpeechContext). When a turn is over is decided here: audio without a body ends it. Audio of a new turn makes the
service drop what it has not said of the one before; so it is held back until `turn.end` has come. Telemetry is not
sent, as the SDK does not when that is switched off.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from agent.clients.azure_host import azure_host
from agent.clients.azure_locale import language_of, locale_of
from agent.clients.azure_messages import AzureMessage, binary_message, text_message
from agent.clients.hosted_stt import HostedStt, Listening, OnSeconds
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Answer, Failed, Flushed, Hypothesis, Segment, SttNews
from agent.clients.urls import with_parameters
from agent.clients.wav import wav_header
from agent.clients.wire_json import mapping_of, mappings_of, number_of, parsed, share_of, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.stt import HeardWord
from agent.websocket import WireMessage

_PATH = "/speech/recognition/conversation/cognitiveservices/v1"
_RATES_HZ = (8_000, 16_000)
_BYTES = 2
_TICKS_PER_MS = 10_000
"""100 ns each."""
_SILENCE_MS = 100
_MAX_HELD_S = 60
"""Of audio that waits for a turn to end, and of a turn that no phrase has covered: the oldest is dropped."""
_NO_MATCH = frozenset({"NoMatch", "InitialSilenceTimeout", "EndSilenceTimeout", "BabbleTimeout", "EndOfDictation"})
_REFUSED = frozenset({"BadRequest", "Forbidden"})
_FINAL_CODES = frozenset({1003, 1007})
"""Close codes: data that the service does not take; a language or a parameter that it does not know."""


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _new_id() -> str:
    return uuid4().hex


class AzureDialect:
    """One connection."""

    chunk_ms = 40
    """80 to 1,280 bytes; 8,192 are allowed."""
    says_ready = False
    answers_every_flush = True
    keep_alive_s = 60.0
    """A connection is closed after 180 s without a message."""

    def __init__(
        self,
        settings: ServiceSettings,
        listening: Listening,
        *,
        new_id: Callable[[], str] = _new_id,
        wall_time: Callable[[], str] = _utc_now,
    ) -> None:
        """`wall_time`: every message has to bear it."""
        self._settings = settings
        self._listening = listening
        self._new_id = new_id
        self._wall_time = wall_time
        self.sample_rate_hz = listening.sample_rate_hz if listening.sample_rate_hz in _RATES_HZ else _RATES_HZ[-1]
        self.added_bytes = 0
        self._request_id = ""
        """Of the turn that is under way; empty: none is."""
        self._is_ended = False
        """By us: `turn.end` will come."""
        self._flushes = 0
        """That its end answers."""
        self._turn = bytearray()
        """Its audio, as far as no phrase has covered it."""
        self._turn_at = 0
        """Where it began, in bytes of the connection's audio; `_covered` is counted from there."""
        self._covered = 0
        self._taken = 0
        """Bytes of the connection's audio so far, silence of ours included."""
        self._held: list[bytes | None] = []
        """For the turns to come; None: a flush."""

    def url(self) -> str:
        settings = self._settings
        parameters = {
            "language": locale_of(settings.language or self._listening.language),
            "format": "detailed",
            "wordLevelTimestamps": True,
            "wordLevelConfidence": True,
            "cid": settings.model or None,  # a custom model's endpoint
            **settings.extra,
        }
        return with_parameters(azure_host(settings, "stt"), _PATH, parameters)

    def headers(self) -> Mapping[str, str]:
        key = {"Ocp-Apim-Subscription-Key": self._settings.api_key} if self._settings.api_key else {}
        return {"X-ConnectionId": self._new_id(), **key, **self._settings.headers}

    def opening(self) -> Sequence[WireMessage]:
        system = {"name": "Parley", "version": "1.0.0", "build": "Python", "lang": "Python"}
        device = {"platform": "Linux", "name": "Linux", "version": "1.0.0"}
        return (self._text("speech.config", self._new_id(), {"context": {"system": system, "os": device}}),)

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        if self._is_ended:
            self._hold(pcm)
            return ()
        return tuple(self._say(pcm))

    def flush(self) -> Sequence[WireMessage]:
        if self._is_ended:
            if self._held and self._held[-1] is not None:
                self._held.append(None)
            elif self._held:
                self._held += [self._silence(), None]
            else:
                self._flushes += 1  # nothing was said since: the end that is awaited answers this, too
            return ()
        self._flushes = 1
        return tuple(self._end())

    def keep_alive(self) -> Sequence[WireMessage]:
        """There is no such message: a moment of silence does it, as a turn of its own if none is under way."""
        if self._is_ended:
            return ()
        if self._request_id:
            return tuple(self._say(self._silence()))
        self._flushes = 0
        return tuple(self._end())

    def closing(self) -> Sequence[WireMessage]:
        return ()

    def receive(self, message: WireMessage) -> Sequence[SttNews]:
        try:
            found = AzureMessage.parse(message)
        except ValueError:
            return ()
        if not self._request_id or found.request_id not in ("", self._request_id):
            return ()  # of a turn that is over
        body = parsed(found.body) or {}
        match found.path:
            case "speech.hypothesis" | "speech.fragment":
                return (Hypothesis(text_of(body, "Text")),)
            case "speech.phrase":
                return (self._phrase(body),)
            case "turn.end":
                return tuple(self._turn_ended())
        return ()

    def closed(self, code: int, reason: str) -> ServiceError:
        kind = ServiceRejected if code in _FINAL_CODES else ServiceUnavailable
        return kind(self._settings.name, f"closed the connection ({code})")

    # Turns

    def _say(self, pcm: bytes) -> Iterator[WireMessage]:
        if not self._request_id:
            yield from self._begin()
        self._turn += pcm
        self._taken += len(pcm)
        excess = len(self._turn) - _MAX_HELD_S * self.sample_rate_hz * _BYTES
        if excess > 0:
            del self._turn[:excess]
            self._covered += excess
        yield self._audio(pcm)

    def _begin(self) -> Iterator[WireMessage]:
        """With what an earlier turn, ended by the service, has not covered."""
        self._request_id = self._new_id()
        left = bytes(self._turn)
        self._turn_at = self._taken - len(left)
        self._covered = 0
        yield self._text("speech.context", self._request_id, self._context())
        header = {"Content-Type": "audio/x-wav"}
        yield binary_message({**self._headers("audio", self._request_id), **header}, wav_header(self.sample_rate_hz))
        chunk = self.chunk_ms * self.sample_rate_hz // 1000 * _BYTES
        for begin in range(0, len(left), chunk):
            yield self._audio(left[begin : begin + chunk])

    def _end(self) -> Iterator[WireMessage]:
        if not self._request_id:
            if self._turn:
                yield from self._begin()
            else:
                yield from self._say(self._silence())
        self._is_ended = True
        yield self._audio(b"")

    def _turn_ended(self) -> Iterator[SttNews]:
        was_asked, flushes = self._is_ended, self._flushes
        self._request_id, self._is_ended, self._flushes = "", False, 0
        if was_asked:
            self._turn.clear()
            yield from (Flushed() for _ in range(flushes))
        messages = tuple(self._release())
        if messages:
            yield Answer(messages)

    def _release(self) -> Iterator[WireMessage]:
        """What was held, up to the next flush."""
        held, self._held = self._held, []
        for index, piece in enumerate(held):
            if piece is None:
                self._flushes = 1
                yield from self._end()
                self._held = held[index + 1 :]
                return
            yield from self._say(piece)

    def _hold(self, pcm: bytes) -> None:
        """The oldest is dropped when it is too much: the service has stopped answering, and a deadline will say so."""
        self._held.append(pcm)
        if len(self._held) * self.chunk_ms > _MAX_HELD_S * 1000:
            del self._held[0]

    def _phrase(self, phrase: Mapping[str, object]) -> SttNews:
        status = text_of(phrase, "RecognitionStatus")
        name = self._settings.name
        if status in _REFUSED:
            return Failed(ServiceRejected(name, f"refuses to recognise ({status})"))
        if status != "Success" and status not in _NO_MATCH:
            return Failed(ServiceUnavailable(name, f"cannot recognise ({status[:40] or 'no status'})"))
        self._cover(number_of(phrase, "Offset") + number_of(phrase, "Duration"))
        if status != "Success":
            return Segment("")
        best = next(mappings_of(phrase, "NBest"), {})
        words = tuple(self._words(best))
        text = text_of(best, "Display") or text_of(phrase, "DisplayText")
        locale = text_of(mapping_of(phrase, "PrimaryLanguage"), "Language")
        return Segment(text, share_of(best, "Confidence"), words, language_of(locale))

    def _cover(self, until_ticks: float) -> None:
        """So far the turn is understood."""
        until = round(until_ticks / _TICKS_PER_MS * self.sample_rate_hz / 1000) * _BYTES
        fresh = min(max(0, until - self._covered), len(self._turn))
        del self._turn[:fresh]
        self._covered += fresh

    def _words(self, best: Mapping[str, object]) -> Iterator[HeardWord]:
        """As they are spoken: the display form has no times of its own, unless it was asked for."""
        began_ms = self._turn_at / _BYTES * 1000 / self.sample_rate_hz
        for word in mappings_of(best, "Words"):
            started_ms = began_ms + number_of(word, "Offset") / _TICKS_PER_MS
            ended_ms = started_ms + number_of(word, "Duration") / _TICKS_PER_MS
            yield HeardWord(text_of(word, "Word"), started_ms, ended_ms, share_of(word, "Confidence"))

    # Messages

    def _silence(self) -> bytes:
        silence = bytes(_SILENCE_MS * self.sample_rate_hz // 1000 * _BYTES)
        self.added_bytes += len(silence)
        return silence

    def _context(self) -> Mapping[str, object]:
        output = {"format": "Detailed", "detailed": {"options": ["WordTimings"]}}
        if not self._listening.hints:
            return {"phraseOutput": output}
        items = [{"text": hint} for hint in self._listening.hints]
        return {"phraseOutput": output, "dgi": {"groups": [{"type": "Generic", "items": items}], "bias": 1.0}}

    def _headers(self, path: str, request_id: str) -> Mapping[str, str]:
        return {"Path": path, "X-RequestId": request_id, "X-Timestamp": self._wall_time()}

    def _audio(self, pcm: bytes) -> bytes:
        return binary_message(self._headers("audio", self._request_id), pcm)

    def _text(self, path: str, request_id: str, body: Mapping[str, object]) -> str:
        headers = {**self._headers(path, request_id), "Content-Type": "application/json"}
        return text_message(headers, json.dumps(body, ensure_ascii=False))


class AzureStt(HostedStt):
    """A `SpeechToText`. Reads `region` or `url`, `api_key`, `language`, and `model`, a custom endpoint's id."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnSeconds | None = None) -> None:
        """Raises `ServiceRejected`: neither region nor URL."""
        azure_host(settings, "stt")
        super().__init__(settings, AzureDialect, on_usage=on_usage)
