# SPDX-License-Identifier: GPL-3.0-or-later
"""Gemini's Live API over WebSocket (BidiGenerateContent).

Sources: ai.google.dev/api/live, guides "Live API capabilities" and "Session management". A connection lasts about ten
minutes: `goAway` comes before its end, and another one goes on with the newest resumption handle. What the caller heard
of an answer cannot be told: the service takes for heard what it had sent when the caller spoke.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from agent.clients.hosted_realtime import HostedRealtime, Talking
from agent.clients.realtime_dialect import DialectNews, Resumption, TalkEnding, TalkReady
from agent.clients.settings import ServiceSettings
from agent.clients.wire_json import arguments, as_text, mapping_of, mappings_of, parsed, text, text_of
from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable
from agent.services.llm import ToolCall
from agent.services.realtime import (
    AnswerBegun,
    AnswerEnded,
    AnswerSound,
    AnswerWords,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    ToolsDropped,
    ToolWanted,
)
from agent.websocket import WireMessage

GEMINI_LIVE_URL = "wss://generativelanguage.googleapis.com"
_PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_MODEL = "gemini-2.5-flash-native-audio-preview-09-2025"
_INPUT_HZ, _OUTPUT_HZ = 16_000, 24_000
_CONNECTION_S = 9 * 60.0
"""Should no `goAway` come."""
_FINAL_CODES = frozenset({1003, 1007, 1008})
"""Close codes of a key, a model or a message that is wrong."""


class GeminiLiveDialect:
    """One connection."""

    input_rate_hz = _INPUT_HZ
    chunk_ms = 20
    keep_alive_s = 3600.0
    """WebSocket pings are enough."""
    max_age_s = _CONNECTION_S

    def __init__(self, settings: ServiceSettings, talking: Talking) -> None:
        self._settings = settings
        self._talking = talking
        self._count = 0
        """Answers begun."""
        self._answer_id = ""
        self._is_dropping = False
        """What still comes of an answer that was broken off."""
        self._caller_text = ""
        self._odd = b""

    def url(self) -> str:
        return (self._settings.url or GEMINI_LIVE_URL).rstrip("/") + _PATH

    def headers(self) -> Mapping[str, str]:
        key = {"x-goog-api-key": self._settings.api_key} if self._settings.api_key else {}
        return {**key, **self._settings.headers}

    def opening(self) -> Sequence[WireMessage]:
        order = self._talking.order
        model = self._settings.model or _MODEL
        voice = order.voice or self._settings.voice
        speech: dict[str, Any] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}} if voice else {}
        tools = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": dict(tool.parameters)}
            for tool in order.tools
        ]
        setup = {
            "model": model if "/" in model else f"models/{model}",
            "generationConfig": {"responseModalities": ["AUDIO"], **({"speechConfig": speech} if speech else {})},
            "systemInstruction": {"parts": [{"text": order.instructions}]},
            **({"tools": [{"functionDeclarations": tools}]} if tools else {}),
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
            "sessionResumption": {"handle": self._talking.handle} if self._talking.handle else {},
            "contextWindowCompression": {"slidingWindow": {}},
            **self._settings.extra,
        }
        return (_message(setup=setup),)

    def audio(self, pcm: bytes) -> Sequence[WireMessage]:
        data = base64.b64encode(pcm).decode()
        # Nothing in it needs escaping, and this is said fifty times a second.
        return (f'{{"realtimeInput":{{"audio":{{"data":"{data}","mimeType":"audio/pcm;rate={_INPUT_HZ}"}}}}}}',)

    def say(self, words: str) -> Sequence[WireMessage]:
        return self.tell(f"[Say exactly this, and nothing else: {words}]")

    def tell(self, words: str) -> Sequence[WireMessage]:
        turn = {"role": "user", "parts": [{"text": words}]}
        return (_message(clientContent={"turns": [turn], "turnComplete": True}),)

    def heard(self, answer_id: str, played_ms: int) -> Sequence[WireMessage]:
        if answer_id == self._answer_id:
            self._answer_id = ""
            self._is_dropping = True
        return ()

    def tool_result(self, call_id: str, name: str, result: str) -> Sequence[WireMessage]:
        response = {"id": call_id, "name": name, "response": {"output": result}}
        return (_message(toolResponse={"functionResponses": [response]}),)

    def keep_alive(self) -> Sequence[WireMessage]:
        return ()

    def closing(self) -> Sequence[WireMessage]:
        return ()

    def receive(self, message: WireMessage) -> Sequence[DialectNews]:
        found = parsed(message)
        return () if found is None else tuple(self._news(found))

    def _news(self, message: Mapping[str, object]) -> Iterator[DialectNews]:
        if "setupComplete" in message:
            yield TalkReady()
        if "goAway" in message:
            yield TalkEnding()
        resumption = mapping_of(message, "sessionResumptionUpdate")
        if resumption.get("resumable") is True and (handle := text_of(resumption, "newHandle")):
            yield Resumption(handle)
        yield from self._content(mapping_of(message, "serverContent"))
        for call in mappings_of(mapping_of(message, "toolCall"), "functionCalls"):
            given, problem = arguments(as_text(call.get("args") or {}))
            yield ToolWanted(ToolCall(text_of(call, "name"), given, text_of(call, "id"), problem))
        ids = mapping_of(message, "toolCallCancellation").get("ids")
        if isinstance(ids, list):
            yield ToolsDropped(tuple(filter(None, map(text, ids))))

    def _content(self, content: Mapping[str, object]) -> Iterator[DialectNews]:
        self._caller_text += text_of(mapping_of(content, "inputTranscription"), "text")
        if content.get("interrupted") is True:
            self._answer_id = ""
            self._is_dropping = False
            yield CallerStarted()
        if self._is_dropping:
            self._is_dropping = content.get("turnComplete") is not True
            return
        for part in mappings_of(mapping_of(content, "modelTurn"), "parts"):
            data = self._samples(mapping_of(part, "inlineData"))
            if data:
                yield from self._begin()
                yield AnswerSound(self._answer_id, np.frombuffer(data, "<i2"), _OUTPUT_HZ)
        if words := text_of(mapping_of(content, "outputTranscription"), "text"):
            yield from self._begin()
            yield AnswerWords(self._answer_id, words)
        if content.get("turnComplete") is True and self._answer_id:
            answer_id, self._answer_id = self._answer_id, ""
            yield AnswerEnded(answer_id)

    def _begin(self) -> Iterator[DialectNews]:
        """An answer, unless one is under way. The caller's turn is over by then, at the latest."""
        if self._answer_id:
            return
        if caller_text := self._caller_text.strip():
            self._caller_text = ""
            yield CallerStopped()
            yield CallerSaid(caller_text)
        self._count += 1
        self._answer_id = f"answer_{self._count}"
        yield AnswerBegun(self._answer_id)

    def _samples(self, inline: Mapping[str, object]) -> bytes:
        """Whole samples; a half one waits for the rest."""
        if not text_of(inline, "mimeType").startswith("audio/pcm"):
            return b""
        try:
            data = self._odd + base64.b64decode(text_of(inline, "data"), validate=True)
        except (binascii.Error, ValueError):
            return b""
        self._odd = data[len(data) // 2 * 2 :]
        return data[: len(data) // 2 * 2]

    def closed(self, code: int, reason: str) -> ServiceError:
        kind = ServiceRejected if code in _FINAL_CODES else ServiceUnavailable
        return kind(self._settings.name, f"closed the connection ({code})")


class GeminiLive(HostedRealtime):
    """A `SpeechToSpeech`. `extra` has more fields of `setup`."""

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(settings, GeminiLiveDialect, resumes_by_handle=True)


def _message(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
