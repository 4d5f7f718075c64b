# SPDX-License-Identifier: GPL-3.0-or-later
"""AssemblyAI's Universal Streaming, v3.

Sources: assemblyai.com/docs, "Message Sequence" and the Streaming API reference. When the turn is over is decided here:
the service's own decision is put off as far as it goes, and `ForceEndpoint` ends the turn.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from agent.clients.hosted_stt import HostedStt, Listening, OnSeconds
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Failed, Flushed, Hypothesis, Ready, Segment, SttNews
from agent.clients.urls import with_parameters
from agent.clients.wire_json import mappings_of, number_of, parsed, share_of, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.stt import HeardWord
from agent.websocket import WireMessage

ASSEMBLYAI_URL = "wss://streaming.assemblyai.com"
_ENGLISH, _MULTILINGUAL = "universal-streaming-english", "universal-streaming-multilingual"
_FINAL_CODES = frozenset({1008, 3006, 3007, 4001, 4101})
"""Close codes (docs, "Common session errors and closures"): no authorisation, invalid message, chunks of a wrong length
or sent too fast, bad key, a message against the schema. An `Error` message has the same ones."""


class AssemblyAiDialect:
    """One session. Each message of a turn has all of its words."""

    chunk_ms = 50
    """The least that is taken."""
    says_ready = True
    answers_every_flush = False
    keep_alive_s = 30.0

    def __init__(self, settings: ServiceSettings, listening: Listening) -> None:
        self._settings = settings
        self._listening = listening
        self.sample_rate_hz = listening.sample_rate_hz
        self.added_bytes = 0
        self._formats = str(settings.extra.get("format_turns", True)).lower() == "true"

    def url(self) -> str:
        language = self._settings.language or self._listening.language
        hints = json.dumps(self._listening.hints, ensure_ascii=False) if self._listening.hints else None
        parameters = {
            "sample_rate": self.sample_rate_hz,
            "encoding": "pcm_s16le",
            "speech_model": self._settings.model or (_ENGLISH if language.startswith("en") else _MULTILINGUAL),
            "format_turns": True,
            "end_of_turn_confidence_threshold": "1.0",
            "max_turn_silence": 10_000,
            "keyterms_prompt": hints,
            **self._settings.extra,
        }
        return with_parameters(self._settings.url or ASSEMBLYAI_URL, "/v3/ws", parameters)

    def headers(self) -> Mapping[str, str]:
        key = {"Authorization": self._settings.api_key} if self._settings.api_key else {}
        return {**key, **self._settings.headers}

    def opening(self) -> Sequence[WireMessage]:
        return ()

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        """What is shorter than a chunk ends in silence: the service closes the connection over less."""
        chunk = pcm.ljust(self.chunk_ms * self.sample_rate_hz // 1000 * 2, b"\0")
        self.added_bytes += len(chunk) - len(pcm)
        return (chunk,)

    def flush(self) -> Sequence[WireMessage]:
        return ('{"type":"ForceEndpoint"}',)

    def keep_alive(self) -> Sequence[WireMessage]:
        return ('{"type":"KeepAlive"}',)

    def closing(self) -> Sequence[WireMessage]:
        """The service bills until then."""
        return ('{"type":"Terminate"}',)

    def receive(self, message: WireMessage) -> Sequence[SttNews]:
        found = parsed(message) or {}
        match text_of(found, "type"):
            case "Begin":
                return (Ready(),)
            case "Turn":
                return tuple(self._turn(found))
            case "Error":
                code = round(number_of(found, "error_code"))
                return (Failed(self._fault(code, f"reports a fault ({code})")),)
        return ()

    def _turn(self, turn: Mapping[str, object]) -> Iterator[SttNews]:
        text = text_of(turn, "transcript")
        words = tuple(_timed_words(turn))
        if turn.get("end_of_turn") is not True or (self._formats and turn.get("turn_is_formatted") is not True):
            # The transcript has only words that are sure; the others are in the list alone.
            unsure = " ".join(word.text for word in words) if words else text
            yield Hypothesis(unsure if len(unsure) > len(text) else text)
            return
        confidences = [word.confidence for word in words]
        yield Segment(text, sum(confidences) / len(confidences) if confidences else 0.0, words)
        yield Flushed()

    def closed(self, code: int, reason: str) -> ServiceError:
        return self._fault(code, f"closed the connection ({code})")

    def _fault(self, code: int, detail: str) -> ServiceError:
        kind = ServiceRejected if code in _FINAL_CODES else ServiceUnavailable
        return kind(self._settings.name, detail)


def _timed_words(turn: Mapping[str, object]) -> Iterator[HeardWord]:
    for word in mappings_of(turn, "words"):
        times_ms = number_of(word, "start"), number_of(word, "end")
        yield HeardWord(text_of(word, "text"), *times_ms, share_of(word, "confidence"))


class AssemblyAiStt(HostedStt):
    """A `SpeechToText`."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnSeconds | None = None) -> None:
        super().__init__(settings, AssemblyAiDialect, on_usage=on_usage)
