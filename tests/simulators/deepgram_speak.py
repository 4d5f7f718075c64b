# SPDX-License-Identifier: GPL-3.0-or-later
"""Deepgram's speech: Speak v1, as developers.deepgram.com describes it.

async with DeepgramSpeakServer(Speech(...)) as server: ... server.url ...
"""

import json
import time
from http import HTTPStatus
from typing import Any

from tests.simulators.speaking import Speech
from tests.simulators.speech_session import SpeechService, SpeechSession
from tests.simulators.websocket_service import Upgrade

_ENCODINGS = ("linear16", "mulaw", "alaw")
_MINUTE_S = 60.0


class _Speaking(SpeechSession):
    server: "DeepgramSpeakServer"

    async def begin(self) -> None:
        await super().begin()
        self._text = ""
        self._sequence = 0
        self._flushes: list[float] = []
        query = self.upgrade.query
        self._rate_hz, self._is_mulaw = int(query["sample_rate"][0]), query["encoding"] == ["mulaw"]
        await self.send(
            {
                "type": "Metadata",
                "request_id": "7a5f0f44-0000-4000-8000-000000000000",
                "model_name": query["model"][0],
                "model_version": "2025-04-07.0",
                "model_uuid": "5e1c5bf3-0000-4000-8000-000000000000",
            }
        )

    async def receive(self, message: str | bytes) -> None:
        asked: dict[str, Any] = json.loads(message)
        match asked["type"]:
            case "Speak":
                self._text += asked["text"]
            case "Flush":
                await self._flush()
            case "Clear":
                self._text = ""
                self.stop("now")
                await self._told("Cleared")
            case "Close":
                await self.close()
            case other:
                await self.send({"type": "Warning", "code": "UNKNOWN_MESSAGE", "description": f"what is {other}?"})

    async def _flush(self) -> None:
        now = time.monotonic()
        self._flushes = [*(at for at in self._flushes if at > now - _MINUTE_S), now]
        if len(self._flushes) > self.server.max_flushes:
            told = "Flush was sent too often in 60 seconds"
            await self.send({"type": "Warning", "code": "EXCESSIVE_FLUSH", "description": told})
            return

        async def over() -> None:
            await self._told("Flushed")

        async def error() -> None:
            await self.send({"type": "Error", "code": "NET-0000", "description": "went wrong"})
            await self.close(1011, "NET-0000")

        text, self._text = self._text, ""
        self.speak("now", text, self._rate_hz, is_mulaw=self._is_mulaw, chunk=self.send, over=over, error=error)

    async def _told(self, kind: str) -> None:
        await self.send({"type": kind, "sequence_id": self._sequence})
        self._sequence += 1


class DeepgramSpeakServer(SpeechService):
    """`wss://api.deepgram.com`, of one key."""

    session = _Speaking

    def __init__(self, speech: Speech | None = None, *, key: str = "test-key") -> None:
        super().__init__(speech, key=key)
        self.max_flushes = 20
        """A minute, of one connection."""

    def admits(self, upgrade: Upgrade) -> int:
        if upgrade.headers.get("authorization") != f"Token {self.key}":
            return HTTPStatus.UNAUTHORIZED
        if upgrade.path != "/v1/speak":
            return HTTPStatus.NOT_FOUND
        is_known = upgrade.query.get("encoding", [""])[0] in _ENCODINGS and "sample_rate" in upgrade.query
        return HTTPStatus.SWITCHING_PROTOCOLS if is_known and "model" in upgrade.query else HTTPStatus.BAD_REQUEST
