# SPDX-License-Identifier: GPL-3.0-or-later
"""ElevenLabs' speech: the multi-context WebSocket and the streaming HTTP request, as elevenlabs.io/docs has them.

async with ElevenLabsServer(Speech(...)) as server: ... server.url ...
async with ElevenLabsHttpServer(Speech(...)) as server: ...
"""

import base64
import json
from http import HTTPStatus
from typing import Any

from tests.simulators.http_service import HttpReply, HttpRequest
from tests.simulators.http_speech import HttpSpeechService
from tests.simulators.speech_session import SpeechService, SpeechSession
from tests.simulators.websocket_service import Upgrade

_MAX_CONTEXTS = 5
_FORMATS = {
    "ulaw_8000": (8_000, True),
    "pcm_8000": (8_000, False),
    "pcm_16000": (16_000, False),
    "pcm_22050": (22_050, False),
    "pcm_24000": (24_000, False),
}


class _Contexts(SpeechSession):
    async def begin(self) -> None:
        await super().begin()
        self._rate_hz, self._is_mulaw = _FORMATS[self.upgrade.query["output_format"][0]]
        self._texts: dict[str, str] = {}
        self._closing: set[str] = set()
        self._done: set[str] = set()

    async def receive(self, message: str | bytes) -> None:
        asked: dict[str, Any] = json.loads(message)
        if asked.get("close_socket"):
            await self.close()
            return
        context = asked.get("context_id", "default")
        if asked.get("close_context"):
            await self._close_context(context)
            return
        if context not in self._texts:
            if len(self._texts) >= _MAX_CONTEXTS:
                told = "Maximum simultaneous contexts per WebSocket connection exceeded (5)."
                await self.send({"message": told, "error": "max_active_conversations", "code": 1008})
                await self.close(1008, told)
                return
            self._texts[context] = ""
        self._texts[context] += asked.get("text", "")
        text = self._texts[context].strip()
        if asked.get("flush") and text:
            self._speak(context, text)

    def _speak(self, context: str, text: str) -> None:
        async def chunk(data: bytes) -> None:
            sound = base64.b64encode(data).decode()
            await self.send({"audio": sound, "alignment": None, "normalizedAlignment": None, "contextId": context})

        async def over() -> None:
            self._done.add(context)
            if context in self._closing:
                await self._end_context(context)

        async def error() -> None:
            await self.send({"message": "went wrong", "error": "internal_error", "code": 1011, "contextId": context})

        self.speak(context, text, self._rate_hz, is_mulaw=self._is_mulaw, chunk=chunk, over=over, error=error)

    async def _close_context(self, context: str) -> None:
        """What was flushed is finished; only a closed context has an end."""
        if context not in self._texts:
            return
        self._closing.add(context)
        if context in self._done or context not in self.utterances:
            await self._end_context(context)

    async def _end_context(self, context: str) -> None:
        self._texts.pop(context, None)
        await self.send({"isFinal": True, "contextId": context})


class ElevenLabsServer(SpeechService):
    """`wss://api.elevenlabs.io`, of one key."""

    session = _Contexts

    def admits(self, upgrade: Upgrade) -> int:
        if upgrade.headers.get("xi-api-key") != self.key:
            return HTTPStatus.UNAUTHORIZED
        parts = upgrade.path.strip("/").split("/")
        if len(parts) != 4 or parts[:2] != ["v1", "text-to-speech"] or parts[3] != "multi-stream-input":
            return HTTPStatus.NOT_FOUND
        if upgrade.query.get("output_format", [""])[0] not in _FORMATS or "model_id" not in upgrade.query:
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.SWITCHING_PROTOCOLS


class ElevenLabsHttpServer(HttpSpeechService):
    """`https://api.elevenlabs.io`, of one key."""

    def _is_for_speech(self, request: HttpRequest) -> bool:
        return request.path.startswith("/v1/text-to-speech/") and request.path.endswith("/stream")

    def _is_known(self, request: HttpRequest) -> bool:
        return request.headers.get("xi-api-key") == self.key

    async def _speak(self, request: HttpRequest, reply: HttpReply) -> None:
        output_format = request.query.get("output_format", [""])[0]
        body = json.loads(request.body)
        if output_format not in _FORMATS or "model_id" not in body:
            error = {"detail": {"status": "invalid_output_format", "message": "what is that?"}}
            reply.plain(HTTPStatus.UNPROCESSABLE_ENTITY, error)
            return
        rate_hz, is_mulaw = _FORMATS[output_format]
        await self.stream(reply, body["text"], rate_hz, is_mulaw=is_mulaw, content_type="audio/basic")
