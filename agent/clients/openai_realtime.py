# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's Realtime API over WebSocket (GA event shapes; the beta's names of audio events are taken, too).

Sources: platform.openai.com/docs, guides "Realtime conversations" and reference "Realtime client events", "Realtime
server events". On a leg of 8 kHz both directions are G.711 mu-law, which the service takes and gives as it is.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import structlog

from agent.clients.hosted_realtime import HostedRealtime, Talking
from agent.clients.realtime_dialect import DialectNews, SendBack, TalkFailed, TalkReady
from agent.clients.settings import ServiceSettings
from agent.clients.urls import with_parameters
from agent.clients.wire_json import arguments, mapping_of, parsed, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import ToolCall
from agent.services.realtime import (
    AnswerBegun,
    AnswerEnded,
    AnswerFailed,
    AnswerSound,
    AnswerWords,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    ToolWanted,
)
from agent.websocket import WireMessage
from media.frames import PcmSamples
from media.g711 import mu_law

log = structlog.get_logger(__name__)

OPENAI_REALTIME_URL = "wss://api.openai.com/v1"
_MODEL = "gpt-realtime"
_TRANSCRIBER = "gpt-4o-mini-transcribe"
_PCM_HZ, _G711_HZ = 24_000, 8_000
_SESSION_S = 55 * 60.0
"""A session ends after an hour."""
_POLICY_VIOLATION = 1008
_FINAL_KINDS = frozenset({"authentication_error", "permission_error", "insufficient_quota"})


class OpenAiRealtimeDialect:
    """One session."""

    chunk_ms = 20
    keep_alive_s = 3600.0
    """WebSocket pings are enough."""
    max_age_s = _SESSION_S

    def __init__(self, settings: ServiceSettings, talking: Talking) -> None:
        self._settings = settings
        self._talking = talking
        self._is_g711 = talking.order.sample_rate_hz == _G711_HZ
        self.input_rate_hz = _G711_HZ if self._is_g711 else _PCM_HZ
        detection = settings.extra.get("turn_detection", {})
        self._interrupts = isinstance(detection, Mapping) and detection.get("interrupt_response") is not False
        self._is_ready = False
        self._is_answering = False
        """A response is under way: another one must not be asked for."""
        self._is_cancelled = False
        """The service cancels it, since the caller speaks."""
        self._owes_answer = False
        """One is to be asked for when that is over."""
        self._unanswered: set[str] = set()
        """Tools whose results are not there."""
        self._received_ms: dict[str, float] = {}
        """Sound of every item of ours so far."""
        self._odd: dict[str, bytes] = {}

    def url(self) -> str:
        model = self._settings.model or _MODEL
        return with_parameters(self._settings.url or OPENAI_REALTIME_URL, "/realtime", {"model": model})

    def headers(self) -> Mapping[str, str]:
        key = {"Authorization": f"Bearer {self._settings.api_key}"} if self._settings.api_key else {}
        return {**key, **self._settings.headers}

    def opening(self) -> Sequence[WireMessage]:
        order, extra = self._talking.order, dict(self._settings.extra)
        form = {"type": "audio/pcmu"} if self._is_g711 else {"type": "audio/pcm", "rate": _PCM_HZ}
        transcription = extra.pop("transcription", {"model": _TRANSCRIBER, "language": order.language})
        detection = extra.pop("turn_detection", {"type": "server_vad"})
        voice = order.voice or self._settings.voice
        session = {
            "type": "realtime",
            "instructions": order.instructions,
            "output_modalities": ["audio"],
            "audio": {
                "input": {"format": form, "transcription": transcription, "turn_detection": detection},
                "output": {"format": form, **({"voice": voice} if voice else {})},
            },
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                }
                for tool in order.tools
            ],
            **extra,
        }
        before = (_item("user" if one.is_caller else "assistant", one.text) for one in self._talking.said)
        return (_event("session.update", session=session), *before)

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        data = mu_law().encode(np.frombuffer(pcm, "<i2")) if self._is_g711 else pcm
        # Nothing in it needs escaping, and this is said fifty times a second.
        return (f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(data).decode()}"}}',)

    def say(self, text: str) -> Sequence[WireMessage]:
        self._is_answering = True
        instructions = f"Say exactly this, and nothing else: {text}"
        return (_event("response.create", response={"instructions": instructions}),)

    def tell(self, text: str) -> Sequence[WireMessage]:
        return (_item("user", text), *self._ask())

    def heard(self, answer_id: str, played_ms: int) -> Sequence[WireMessage]:
        if answer_id not in self._received_ms:
            return ()
        end_ms = min(played_ms, int(self._received_ms[answer_id]))  # beyond the audio's end it would be an error
        cancel = (_event("response.cancel"),) if self._is_answering and not self._is_cancelled else ()
        truncate = _event("conversation.item.truncate", item_id=answer_id, content_index=0, audio_end_ms=end_ms)
        return (*cancel, truncate)

    def tool_result(self, call_id: str, name: str, text: str) -> Sequence[WireMessage]:
        self._unanswered.discard(call_id)
        output = _event(
            "conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": text}
        )
        return (output, *(self._ask() if not self._unanswered else ()))

    def keep_alive(self) -> Sequence[WireMessage]:
        return ()

    def closing(self) -> Sequence[WireMessage]:
        return ()

    def receive(self, message: WireMessage) -> Sequence[DialectNews]:
        found = parsed(message)
        return () if found is None else tuple(self._news(found))

    def _ask(self) -> Sequence[WireMessage]:
        """For an answer, now or when the present one is over."""
        if self._is_answering:
            self._owes_answer = True
            return ()
        self._is_answering = True
        return (_event("response.create"),)

    def _news(self, event: Mapping[str, object]) -> Iterator[DialectNews]:
        item_id = text_of(event, "item_id")
        match text_of(event, "type"):
            case "session.updated":
                if not self._is_ready:
                    self._is_ready = True
                    yield TalkReady()
            case "input_audio_buffer.speech_started":
                self._is_cancelled = self._is_answering and self._interrupts
                yield CallerStarted()
            case "input_audio_buffer.speech_stopped":
                yield CallerStopped()
            case "conversation.item.input_audio_transcription.completed":
                yield CallerSaid(text_of(event, "transcript").strip())
            case "conversation.item.input_audio_transcription.failed":
                yield CallerSaid("")
            case "response.created":
                self._is_answering = True
            case "response.output_item.added":
                item = mapping_of(event, "item")
                if text_of(item, "type") == "message":
                    self._received_ms[text_of(item, "id")] = 0.0
                    yield AnswerBegun(text_of(item, "id"))
            case "response.output_audio.delta" | "response.audio.delta":
                samples = self._samples(item_id, text_of(event, "delta"))
                if len(samples):
                    self._received_ms[item_id] = (
                        self._received_ms.get(item_id, 0.0) + len(samples) * 1e3 / self.input_rate_hz
                    )
                    yield AnswerSound(item_id, samples, self.input_rate_hz)
            case "response.output_audio_transcript.delta" | "response.audio_transcript.delta":
                yield AnswerWords(item_id, text_of(event, "delta"))
            case "response.output_item.done":
                yield from self._item_done(mapping_of(event, "item"))
            case "response.done":
                yield from self._response_done(mapping_of(event, "response"))
            case "error":
                yield from self._fault(mapping_of(event, "error"))

    def _samples(self, item_id: str, delta: str) -> PcmSamples:
        try:
            data = base64.b64decode(delta, validate=True)
        except (binascii.Error, ValueError):
            return np.empty(0, np.int16)
        if self._is_g711:
            return mu_law().decode(data)
        data = self._odd.pop(item_id, b"") + data
        if len(data) % 2:
            self._odd[item_id] = data[-1:]
            data = data[:-1]
        return np.frombuffer(data, "<i2")

    def _item_done(self, item: Mapping[str, object]) -> Iterator[DialectNews]:
        match text_of(item, "type"):
            case "message":
                yield AnswerEnded(text_of(item, "id"))
            case "function_call" if text_of(item, "status") != "incomplete":
                given, problem = arguments(text_of(item, "arguments"))
                call = ToolCall(text_of(item, "name"), given, text_of(item, "call_id"), problem)
                self._unanswered.add(call.call_id)
                yield ToolWanted(call)

    def _response_done(self, response: Mapping[str, object]) -> Iterator[DialectNews]:
        self._is_answering = self._is_cancelled = False
        if text_of(response, "status") == "failed":
            error = mapping_of(mapping_of(response, "status_details"), "error")
            yield AnswerFailed(self._error(error, "gives no answer"))
        if self._owes_answer:
            self._owes_answer = False
            yield SendBack(tuple(self._ask()))

    def _fault(self, error: Mapping[str, object]) -> Iterator[DialectNews]:
        kind, code = text_of(error, "type"), text_of(error, "code")
        if kind in _FINAL_KINDS or code in _FINAL_KINDS or not self._is_ready:
            yield TalkFailed(self._error(error, "reports a fault"))
        elif code == "conversation_already_has_active_response":
            self._owes_answer = True
        elif kind != "invalid_request_error":
            yield AnswerFailed(self._error(error, "reports a fault"))
        else:  # something we asked for that could not be: the conversation goes on
            log.warning("realtime_request_refused", service=self._settings.name, code=code[:60])

    def _error(self, error: Mapping[str, object], said: str) -> ServiceError:
        kind, code = text_of(error, "type"), text_of(error, "code")
        is_final = {kind, code} & (_FINAL_KINDS | {"invalid_request_error"})
        detail = f"{said} ({(code or kind or 'no code')[:60]})"
        return (ServiceRejected if is_final else ServiceUnavailable)(self._settings.name, detail)

    def closed(self, code: int, reason: str) -> ServiceError:
        kind = ServiceRejected if code == _POLICY_VIOLATION else ServiceUnavailable
        return kind(self._settings.name, f"closed the connection ({code})")


class OpenAiRealtime(HostedRealtime):
    """A `SpeechToSpeech`. `extra` has more fields of the session; `turn_detection` and `transcription` are put where
    they belong."""

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(settings, OpenAiRealtimeDialect)


def _event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))


def _item(role: str, text: str) -> str:
    content = {"type": "input_text" if role == "user" else "output_text", "text": text}
    return _event("conversation.item.create", item={"type": "message", "role": role, "content": [content]})
