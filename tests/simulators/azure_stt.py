# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure's speech recognition, as Microsoft's "Speech service WebSocket protocol" describes it.

async with AzureSttServer(words="what are your opening hours".split()) as server: ... server.url ...
"""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from tests.simulators.hearing import WORD_MS, Hearing, Recognize
from tests.simulators.websocket_service import Session, Upgrade, WebSocketService

_ID = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,7}Z")
_TICKS_PER_MS = 10_000
_MAX_AUDIO_BYTES = 8192


class _Turns(Session):
    server: "AzureSttServer"

    async def begin(self) -> None:
        self._hearing: Hearing | None = None
        self._request_id = ""
        self._is_configured = False
        self._turn_began_ms = 0.0
        self._told = 0
        self._ended: set[str] = set()

    async def receive(self, message: str | bytes) -> None:
        if isinstance(message, str):
            head, _, body = message.partition("\r\n\r\n")
        else:
            length = int.from_bytes(message[:2], "big")
            head, audio = message[2 : 2 + length].decode("ascii"), message[2 + length :]
        fields = dict(line.split(": ", 1) for line in head.split("\r\n") if line)
        if not _ID.fullmatch(fields["X-RequestId"]) or not _TIME.fullmatch(fields["X-Timestamp"]):
            await self.close(1007, "a header is missing or wrong")
            return
        if isinstance(message, str):
            self._is_configured = self._is_configured or (fields["Path"] == "speech.config" and bool(json.loads(body)))
            return
        if not self._is_configured or len(audio) > _MAX_AUDIO_BYTES:
            await self.close(1007, "not so")
            return
        await self._audio(fields["X-RequestId"], audio)

    async def _audio(self, request_id: str, audio: bytes) -> None:
        if request_id in self._ended:
            return
        if request_id != self._request_id:
            if audio[:4] != b"RIFF" or audio[8:12] != b"WAVE" or len(audio) != 44:
                await self.close(1007, "a turn begins with a RIFF header")
                return
            self._request_id = request_id  # what was not said of the turn before is forgotten
            rate_hz = int.from_bytes(audio[24:28], "little")
            self._hearing = self._hearing or Hearing(self.server.words, rate_hz, self.server.recognize)
            self._hearing.turn_began_ms = self._turn_began_ms = self._hearing.heard_ms
            await self._say("turn.start", {"context": {"serviceTag": "7B33613B91714B32817815DC89633AFA"}})
            return
        assert self._hearing is not None, "the turn has begun"
        if audio:
            self._hearing.push(audio)
            words = self._hearing.words
            if len(words) > self._told:
                self._told = len(words)
                await self._say("speech.hypothesis", {"Text": " ".join(words).lower(), **self._span()})
            if self.server.phrase_after and len(words) >= self.server.phrase_after:
                await self._phrase()
            return
        await self._say("speech.endDetected", {"Offset": self._span()["Duration"]})
        await self._phrase()
        await self.end_turn()

    async def end_turn(self) -> None:
        """Also when nobody has asked: the service does so after long silences."""
        request_id, self._request_id = self._request_id, ""
        self._ended.add(request_id)
        await self.send(f"Path: turn.end\r\nX-RequestId: {request_id}\r\n\r\n")

    async def _phrase(self) -> None:
        assert self._hearing is not None, "the turn has begun"
        phrase_began_ms = self._hearing.turn_began_ms - self._turn_began_ms
        words = await self._hearing.finish()
        self._told = 0
        status = self.server.statuses.pop(0) if self.server.statuses else "Success" if words else "NoMatch"
        until_ms = self._hearing.heard_ms - self._turn_began_ms
        phrase: dict[str, Any] = {"RecognitionStatus": status, **_ticks(phrase_began_ms, until_ms - phrase_began_ms)}
        if status == "Success":
            lexical = " ".join(word.strip(".,?!").lower() for word in words)
            timed = [
                {"Word": word, **_ticks(phrase_began_ms + index * WORD_MS, WORD_MS), "Confidence": 0.9}
                for index, word in enumerate(words)
            ]
            best = {"Confidence": 0.93, "Lexical": lexical, "ITN": lexical, "MaskedITN": lexical}
            phrase |= {"DisplayText": " ".join(words), "NBest": [{**best, "Display": " ".join(words), "Words": timed}]}
        await self._say("speech.phrase", phrase)

    def _span(self) -> dict[str, int]:
        assert self._hearing is not None, "the turn has begun"
        return _ticks(0, self._hearing.heard_ms - self._turn_began_ms)

    async def _say(self, path: str, body: dict[str, Any]) -> None:
        head = f"X-RequestId:{self._request_id}\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}"
        await self.send(f"{head}\r\n\r\n{json.dumps(body)}")


class AzureSttServer(WebSocketService):
    """`wss://REGION.stt.speech.microsoft.com`, of one key."""

    session = _Turns

    def __init__(self, words: Sequence[str] = (), *, recognize: Recognize | None = None, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.words = words
        self.recognize = recognize
        self.phrase_after = 0
        """So many words make a phrase in the middle of a turn; 0: a turn has one."""
        self.statuses: list[str] = []
        """Of the phrases to come."""

    def admits(self, upgrade: Upgrade) -> int:
        if upgrade.headers.get("ocp-apim-subscription-key") != self.key:
            return HTTPStatus.UNAUTHORIZED
        if upgrade.path != "/speech/recognition/conversation/cognitiveservices/v1" or "language" not in upgrade.query:
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.SWITCHING_PROTOCOLS

    def read(self, message: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(message.partition("\r\n\r\n")[2])
        return found


def _ticks(offset_ms: float, duration_ms: float) -> dict[str, int]:
    return {"Offset": round(offset_ms * _TICKS_PER_MS), "Duration": round(duration_ms * _TICKS_PER_MS)}
