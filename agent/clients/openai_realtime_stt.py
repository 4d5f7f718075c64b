# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's realtime transcription over WebSocket.

    session.update, input_audio_buffer.append..., input_audio_buffer.commit (a flush)
    input_audio_buffer.committed: an item, whose text comes as deltas and then as a whole

Sources: developers.openai.com, guide "Realtime transcription" and reference of the Realtime API's client and server
events. When the turn is over is decided here (`turn_detection` is null). Several items may be transcribed at the same
time and are completed in any order; they are told in the order in which they were committed.
"""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from agent.clients.faults import reported
from agent.clients.hosted_stt import HostedStt, Listening, OnSeconds
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Failed, Flushed, Hypothesis, Ready, Segment, SttNews
from agent.clients.urls import with_parameters
from agent.clients.wire_json import mapping_of, mappings_of, number_of, parsed, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.websocket import WireMessage
from media.g711 import mu_law

OPENAI_REALTIME_URL = "wss://api.openai.com/v1"
_MODEL = "gpt-live-transcribe"
_PCM_HZ, _G711_HZ = 24_000, 8_000
_BYTES = 2
_LEAST_MS = 100
"""Less than that cannot be committed."""
_SILENCE_MS = 20
_NOTHING_COMMITTED = "input_audio_buffer_commit_empty"
_UNINTELLIGIBLE = "audio_unintelligible"
_MAX_ITEMS = 64
"""Waiting to be told."""
_FINAL_CODES = frozenset({1008, 3000, 3003})
"""Close codes: policy violation, unauthorized, forbidden."""


class OpenAiRealtimeDialect:
    """One session."""

    chunk_ms = 40
    says_ready = True
    answers_every_flush = True
    keep_alive_s = 30.0

    def __init__(self, settings: ServiceSettings, listening: Listening) -> None:
        self._settings = settings
        self._listening = listening
        self._is_g711 = listening.sample_rate_hz == _G711_HZ
        self.sample_rate_hz = _G711_HZ if self._is_g711 else _PCM_HZ
        self.added_bytes = 0
        self._uncommitted = 0
        """Bytes, as they were given."""
        self._items: dict[str, _Item] = {}
        """Not told yet, in the order in which they were committed."""

    def url(self) -> str:
        return with_parameters(self._settings.url or OPENAI_REALTIME_URL, "/realtime", {"intent": "transcription"})

    def headers(self) -> Mapping[str, str]:
        key = {"Authorization": f"Bearer {self._settings.api_key}"} if self._settings.api_key else {}
        return {**key, **self._settings.headers}

    def opening(self) -> Sequence[WireMessage]:
        """`extra` are fields of `transcription`."""
        model = self._settings.model or _MODEL
        language = (self._settings.language or self._listening.language).partition("-")[0]
        is_live = model in ("gpt-live-transcribe", "gpt-transcribe")
        transcription: dict[str, object] = {"model": model}
        if language:
            transcription.update({"languages": [language]} if is_live else {"language": language})
        if self._listening.hints:
            words = list(self._listening.hints)
            transcription.update({"keywords": words} if is_live else {"prompt": ", ".join(words)})
        transcription.update(self._settings.extra)
        kind = {"type": "audio/pcmu"} if self._is_g711 else {"type": "audio/pcm", "rate": _PCM_HZ}
        audio = {"input": {"format": kind, "transcription": transcription, "turn_detection": None}}
        session: dict[str, object] = {"type": "transcription", "audio": audio}
        if model.startswith("gpt-4o"):
            session["include"] = ["item.input_audio_transcription.logprobs"]
        return (json.dumps({"type": "session.update", "session": session}, ensure_ascii=False),)

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        self._uncommitted += len(pcm)
        wire = mu_law().encode(np.frombuffer(pcm, "<i2").astype(np.int16, copy=False)) if self._is_g711 else pcm
        return (f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(wire).decode()}"}}',)

    def flush(self) -> Sequence[WireMessage]:
        missing = _LEAST_MS * self.sample_rate_hz // 1000 * _BYTES - self._uncommitted
        silence = self._silence(missing) if missing > 0 else ()
        self._uncommitted = 0
        return (*silence, '{"type":"input_audio_buffer.commit"}')

    def keep_alive(self) -> Sequence[WireMessage]:
        """There is no such message: a moment of silence does it."""
        return self._silence(_SILENCE_MS * self.sample_rate_hz // 1000 * _BYTES)

    def closing(self) -> Sequence[WireMessage]:
        return ()

    def receive(self, message: WireMessage) -> Sequence[SttNews]:
        found = parsed(message)
        if found is None:
            return ()
        item = text_of(found, "item_id")
        if len(self._items) > _MAX_ITEMS:
            return (Failed(ServiceUnavailable(self._settings.name, "leaves too much untranscribed")),)
        match text_of(found, "type"):
            case "session.updated" | "transcription_session.updated":
                return (Ready(),)
            case "input_audio_buffer.committed":
                committed = self._items.pop(item, _Item())
                committed.is_committed = True
                self._items = {
                    **{name: one for name, one in self._items.items() if one.is_committed},
                    item: committed,
                    **{name: one for name, one in self._items.items() if not one.is_committed},
                }
                return tuple(self._finished())
            case "conversation.item.input_audio_transcription.delta":
                self._items.setdefault(item, _Item()).text += text_of(found, "delta")
                return (Hypothesis(self._text_so_far()),)
            case "conversation.item.input_audio_transcription.completed":
                text, confidence = text_of(found, "transcript"), _confidence(found)
                self._items.setdefault(item, _Item()).segment = Segment(text, confidence)
                return tuple(self._finished())
            case "conversation.item.input_audio_transcription.failed":
                if text_of(mapping_of(found, "error"), "code") == _UNINTELLIGIBLE:
                    self._items.setdefault(item, _Item()).segment = Segment("")
                    return tuple(self._finished())
                return (Failed(ServiceUnavailable(self._settings.name, "cannot transcribe")),)
            case "error":
                if text_of(mapping_of(found, "error"), "code") == _NOTHING_COMMITTED:
                    return (Flushed(),)
                return (Failed(reported(self._settings.name, found)),)
        return ()

    def closed(self, code: int, reason: str) -> ServiceError:
        kind = ServiceRejected if code in _FINAL_CODES else ServiceUnavailable
        return kind(self._settings.name, f"closed the connection ({code})")

    def _finished(self) -> Iterator[SttNews]:
        """Those that are complete, up to the first that is not."""
        for name, item in list(self._items.items()):
            if item.segment is None or not item.is_committed:
                break
            del self._items[name]
            yield item.segment
            yield Flushed()
        if text := self._text_so_far():
            yield Hypothesis(text)

    def _text_so_far(self) -> str:
        texts = (item.segment.text if item.segment else item.text for item in self._items.values())
        return " ".join(text.strip() for text in texts if text.strip())

    def _silence(self, length: int) -> Sequence[WireMessage]:
        self.added_bytes += length
        return self.audio(bytes(length))


class _Item:
    """A stretch of speech."""

    def __init__(self) -> None:
        self.text = ""
        """What came of it so far."""
        self.segment: Segment | None = None
        """All of it."""
        self.is_committed = False


def _confidence(found: Mapping[str, object]) -> float:
    """Of the tokens, on average; 0: the service has not said."""
    logs = [number_of(token, "logprob") for token in mappings_of(found, "logprobs")]
    return math.exp(min(0.0, sum(logs) / len(logs))) if logs else 0.0


class OpenAiRealtimeStt(HostedStt):
    """A `SpeechToText`."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnSeconds | None = None) -> None:
        super().__init__(settings, OpenAiRealtimeDialect, on_usage=on_usage)
