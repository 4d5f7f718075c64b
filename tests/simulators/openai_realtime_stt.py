# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's realtime transcription, as its guide and API reference describe it.

async with OpenAiRealtimeSttServer(words="what are your opening hours".split()) as server: ... server.url ...
"""

import base64
import json
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from media.g711 import mu_law
from tests.simulators.hearing import Hearing, Recognize
from tests.simulators.websocket_service import Session, Upgrade, WebSocketService

_LEAST_MS = 100


class _Transcribing(Session):
    server: "OpenAiRealtimeSttServer"

    async def begin(self) -> None:
        self._hearing: Hearing | None = None
        self._count = self._events = 0
        self._told = 0
        self._late: dict[str, Any] | None = None
        await self._say("session.created", session={"type": "transcription", "object": "realtime.session"})

    async def receive(self, message: str | bytes) -> None:
        found = json.loads(message)
        match found["type"]:
            case "session.update":
                session = found["session"]
                audio = session["audio"]["input"]
                if session["type"] != "transcription" or audio["turn_detection"] is not None:
                    await self._error("invalid_value", "not here")
                    return
                self._is_g711 = audio["format"]["type"] == "audio/pcmu"
                rate_hz = 8_000 if self._is_g711 else audio["format"]["rate"]
                self._has_logprobs = session.get("include") == ["item.input_audio_transcription.logprobs"]
                self._hearing = Hearing(self.server.words, rate_hz, self.server.recognize)
                await self._say("session.updated", session=session)
            case "input_audio_buffer.append":
                await self._append(base64.b64decode(found["audio"], validate=True))
            case "input_audio_buffer.commit":
                await self._commit()
            case other:
                await self._error("invalid_value", other)

    async def _append(self, data: bytes) -> None:
        assert self._hearing is not None, "a session was made"
        self._hearing.push(mu_law().decode(data).astype("<i2").tobytes() if self._is_g711 else data)
        words = self._hearing.words
        for index in range(self._told, len(words)):
            delta = words[index] if index == 0 else f" {words[index]}"
            await self._item("delta", self._name(), delta=delta)
        self._told = len(words)

    async def _commit(self) -> None:
        assert self._hearing is not None, "a session was made"
        if self._hearing.heard_ms - self._hearing.turn_began_ms < _LEAST_MS:
            await self._error("input_audio_buffer_commit_empty", "buffer too small")
            return
        name, before = self._name(), f"item_{self._count - 1:03}" if self._count else None
        self._count += 1
        words = await self._hearing.finish()
        self._told = 0
        await self._say("input_audio_buffer.committed", item_id=name, previous_item_id=before)
        tokens = [{"token": word, "logprob": math.log(0.9), "bytes": None} for word in words]
        done = {"transcript": " ".join(words), "logprobs": tokens if self._has_logprobs else None}
        usage = {"type": "duration", "seconds": 1}
        if self.server.swaps and self._late is None:
            self._late = {"item_id": name, **done, "usage": usage}
            return
        await self._item("completed", name, **done, usage=usage)
        if self._late is not None:
            late, self._late = self._late, None
            await self._item("completed", late.pop("item_id"), **late)

    def _name(self) -> str:
        return f"item_{self._count:03}"

    async def _item(self, what: str, name: str, **fields: object) -> None:
        kind = f"conversation.item.input_audio_transcription.{what}"
        await self._say(kind, item_id=name, content_index=0, **fields)

    async def _say(self, kind: str, **fields: object) -> None:
        self._events += 1
        await self.send({"type": kind, "event_id": f"event_{self._events:04}", **fields})

    async def _error(self, code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": None}
        await self._say("error", error=error)


class OpenAiRealtimeSttServer(WebSocketService):
    """`wss://api.openai.com/v1`, of one key."""

    session = _Transcribing

    def __init__(self, words: Sequence[str] = (), *, recognize: Recognize | None = None, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.words = words
        self.recognize = recognize
        self.swaps = False
        """Of two items the second is completed first."""

    def admits(self, upgrade: Upgrade) -> int:
        if upgrade.headers.get("authorization") != f"Bearer {self.key}":
            return HTTPStatus.UNAUTHORIZED
        if not upgrade.path.endswith("/realtime") or upgrade.query != {"intent": ["transcription"]}:
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.SWITCHING_PROTOCOLS
