# SPDX-License-Identifier: GPL-3.0-or-later
"""Deepgram's speech recognition: Listen v1 (Nova) and v2 (Flux), as developers.deepgram.com describes them.

async with DeepgramServer(words="what are your opening hours".split()) as server: ... server.url ...
async with DeepgramServer(recognize=engines.recognize) as server: ...
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from tests.simulators.hearing import WORD_MS, Hearing, Recognize
from tests.simulators.websocket_service import Session, Upgrade, WebSocketService

_REQUEST_ID = "82f8ef4c-0000-4000-8000-000000000000"


class _Listening(Session):
    server: "DeepgramServer"

    async def begin(self) -> None:
        query = self.upgrade.query
        rate_hz = int(query["sample_rate"][0])
        self._hearing = Hearing(self.server.words, rate_hz, self.server.recognize)
        self._is_flux = self.upgrade.path == "/v2/listen"
        self._turn_index = self._sequence = 0
        self._told = 0
        self._idle: asyncio.TimerHandle | None = None
        self._heard_from()
        if self._is_flux:
            await self.send({"type": "Connected", "request_id": _REQUEST_ID, "sequence_id": 0})

    async def end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    def _heard_from(self) -> None:
        """Nova closes a connection that says nothing for ten seconds."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._is_flux:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(
                self.server.idle_s, lambda: loop.create_task(self.close(1011, "NET-0001: no audio and no KeepAlive"))
            )

    async def receive(self, message: str | bytes) -> None:
        self._heard_from()
        if isinstance(message, bytes):
            self._hearing.push(message)
            words = self._hearing.words
            if len(words) > self._told:
                self._told = len(words)
                await (self._turn("Update", words) if self._is_flux else self._results(words, is_final=False))
            return
        match json.loads(message)["type"]:
            case "Finalize" if not self._is_flux:
                words = await self._finish()
                if words or self.server.answers_empty:
                    await self._results(words, is_final=True, from_finalize=True)
            case "ForceEndTurn" if self._is_flux:
                words = await self._finish()
                if words:
                    await self._turn("EndOfTurn", words)
                    self._turn_index += 1
            case "CloseStream":
                if not self._is_flux:
                    await self.send({"type": "Metadata", "request_id": _REQUEST_ID, "channels": 1})
                await self.close()
            case "KeepAlive" if not self._is_flux:
                pass
            case other:
                await self.send({"type": "Error", "code": "UNPARSABLE_CLIENT_MESSAGE", "description": other})

    async def _finish(self) -> list[str]:
        began_ms = self._hearing.turn_began_ms
        words = await self._hearing.finish()
        self._told = 0
        self._began_ms = began_ms
        return words

    def _timed(self, words: Sequence[str], began_ms: float) -> list[dict[str, Any]]:
        return [
            {
                "word": word.lower().strip(".,?!"),
                "start": (began_ms + index * WORD_MS) / 1e3,
                "end": (began_ms + (index + 1) * WORD_MS) / 1e3,
                "confidence": 0.9,
                "punctuated_word": word,
            }
            for index, word in enumerate(words)
        ]

    async def _results(self, words: Sequence[str], *, is_final: bool, from_finalize: bool = False) -> None:
        began_ms = self._began_ms if is_final else self._hearing.turn_began_ms
        await self.send(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": (self._hearing.heard_ms - began_ms) / 1e3,
                "start": began_ms / 1e3,
                "is_final": is_final,
                "speech_final": False,
                "from_finalize": from_finalize,
                "channel": {
                    "alternatives": [
                        {
                            "transcript": " ".join(words),
                            "confidence": 0.9 if words else 0.0,
                            "words": self._timed(words, began_ms),
                        }
                    ]
                },
                "metadata": {"request_id": _REQUEST_ID, "model_info": {}, "model_uuid": ""},
            }
        )

    async def _turn(self, event: str, words: Sequence[str]) -> None:
        self._sequence += 1
        began_ms = self._began_ms if event == "EndOfTurn" else self._hearing.turn_began_ms
        await self.send(
            {
                "type": "TurnInfo",
                "request_id": _REQUEST_ID,
                "sequence_id": self._sequence,
                "event": event,
                "turn_index": self._turn_index,
                "audio_window_start": began_ms / 1e3,
                "audio_window_end": self._hearing.heard_ms / 1e3,
                "transcript": " ".join(words),
                "words": self._timed(words, began_ms),
                "end_of_turn_confidence": 0.2,
                **({"trigger": "manual"} if event == "EndOfTurn" else {}),
            }
        )


class DeepgramServer(WebSocketService):
    """`wss://api.deepgram.com`, of one key."""

    session = _Listening

    def __init__(self, words: Sequence[str] = (), *, recognize: Recognize | None = None, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.words = words
        self.recognize = recognize
        self.idle_s = 10.0
        self.answers_empty = False
        """Whether `Finalize` without anything to say is answered: the vendor does not promise it."""

    def admits(self, upgrade: Upgrade) -> int:
        if upgrade.headers.get("authorization") != f"Token {self.key}":
            return HTTPStatus.UNAUTHORIZED
        if upgrade.path not in ("/v1/listen", "/v2/listen"):
            return HTTPStatus.NOT_FOUND
        query: Mapping[str, list[str]] = upgrade.query
        is_known = query.get("encoding") == ["linear16"] and query.get("model", [""])[0] != ""
        return HTTPStatus.SWITCHING_PROTOCOLS if is_known and "sample_rate" in query else HTTPStatus.BAD_REQUEST
