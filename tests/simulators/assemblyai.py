# SPDX-License-Identifier: GPL-3.0-or-later
"""AssemblyAI's Universal Streaming v3, as assemblyai.com/docs ("Message Sequence") describes it.

async with AssemblyAiServer(words="what are your opening hours".split()) as server: ... server.url ...
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from tests.simulators.hearing import WORD_MS, Hearing, Recognize
from tests.simulators.websocket_service import Session, Upgrade, WebSocketService

_CHUNK_VIOLATION = 3007


class _Streaming(Session):
    server: "AssemblyAiServer"

    async def begin(self) -> None:
        query = self.upgrade.query
        self._rate_hz = int(query["sample_rate"][0])
        self._formats = query.get("format_turns") == ["true"]
        self._hearing = Hearing(self.server.words, self._rate_hz, self.server.recognize)
        self._turn_order = 0
        self._told = 0
        if self.server.begins:
            await self.send({"type": "Begin", "id": "session-1", "expires_at": 4102444800})

    async def receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if not 50 <= len(message) / 2 * 1e3 / self._rate_hz <= 1000:
                await self.send({"type": "Error", "error_code": _CHUNK_VIOLATION, "error": "Input Duration Violation"})
                await self.close(_CHUNK_VIOLATION, "Input Duration Violation")
                return
            self._hearing.push(message)
            words = self._hearing.words
            if len(words) > self._told:
                self._told = len(words)
                await self._turn(words, self._hearing.turn_began_ms, is_over=False, is_formatted=False)
            return
        match json.loads(message)["type"]:
            case "ForceEndpoint":
                began_ms = self._hearing.turn_began_ms
                words = await self._hearing.finish()
                self._told = 0
                if not words:
                    return
                await self._turn(words, began_ms, is_over=True, is_formatted=False)
                if self._formats:
                    await self._turn(words, began_ms, is_over=True, is_formatted=True)
                self._turn_order += 1
            case "Terminate":
                seconds = self._hearing.heard_ms / 1e3
                ended = {"audio_duration_seconds": seconds, "session_duration_seconds": seconds}
                await self.send({"type": "Termination", **ended})
                await self.close()

    async def _turn(self, words: Sequence[str], began_ms: float, *, is_over: bool, is_formatted: bool) -> None:
        shown = words if is_formatted else [word.lower().strip(".,?!") for word in words]
        sure = shown if is_over else shown[:-1]
        timed: list[dict[str, Any]] = [
            {
                "text": word,
                "start": round(began_ms + index * WORD_MS),
                "end": round(began_ms + (index + 1) * WORD_MS),
                "confidence": 0.9,
                "word_is_final": is_over or index < len(shown) - 1,
            }
            for index, word in enumerate(shown)
        ]
        await self.send(
            {
                "type": "Turn",
                "turn_order": self._turn_order,
                "turn_is_formatted": is_formatted,
                "end_of_turn": is_over,
                "transcript": " ".join(sure),
                "end_of_turn_confidence": 0.5,
                "words": timed,
            }
        )


class AssemblyAiServer(WebSocketService):
    """`wss://streaming.assemblyai.com`, of one key."""

    session = _Streaming

    def __init__(self, words: Sequence[str] = (), *, recognize: Recognize | None = None, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.words = words
        self.recognize = recognize
        self.begins = True

    def admits(self, upgrade: Upgrade) -> int:
        if upgrade.headers.get("authorization") != self.key:
            return HTTPStatus.UNAUTHORIZED
        if upgrade.path != "/v3/ws" or not {"sample_rate", "speech_model"} <= upgrade.query.keys():
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.SWITCHING_PROTOCOLS
