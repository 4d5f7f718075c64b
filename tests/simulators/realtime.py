# SPDX-License-Identifier: GPL-3.0-or-later
"""A speech-to-speech model on OpenAI's Realtime protocol (GA shape): it hears energy, and answers with a tone.

Messages and their order as in the protocol's reference; audio comes faster than real time, as it does there. What a
client does wrong is answered with an `error` event and kept in `errors`.
"""

import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

RATE_HZ = 24_000
_BYTES_PER_MS = RATE_HZ * 2 // 1000
_LOUD = 500.0
"""Mean magnitude of a message; -36 dBov."""
_SPEECH_MS, _SILENCE_MS = 60, 300
_DELTA_MS = 100


@dataclass(frozen=True)
class Truncation:
    """What the client said was heard of an item."""

    item_id: str
    audio_end_ms: int


@dataclass
class RealtimeModel:
    """All sessions of a server."""

    answer_ms: int = 3000
    key: str = "test-key"
    sessions: list[dict[str, Any]] = field(default_factory=list)
    truncations: list[Truncation] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    answers: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its URL."""
        async with serve(self._attend, "127.0.0.1", 0, process_request=self._admit, max_size=None) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/realtime?model=gpt-realtime"

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return connection.respond(401, "invalid_api_key\n")
        if address.path != "/v1/realtime" or "model" not in parse_qs(address.query):
            return connection.respond(404, "not found\n")
        return None

    async def _attend(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await _Session(self, connection).run()


class _Session:
    def __init__(self, model: RealtimeModel, connection: ServerConnection) -> None:
        self._model = model
        self._connection = connection
        self._ids = itertools.count(1)
        self._configuration: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime"}
        self._heard_ms = 0
        self._loud_ms = 0
        self._quiet_ms = 0
        self._user_item: str | None = None
        self._audio_ms: dict[str, int] = {}
        """Length of every item of ours."""

    async def run(self) -> None:
        await self._say("session.created", session=self._configuration)
        async for message in self._connection:
            event = json.loads(message)
            match event.get("type"):
                case "session.update":
                    await self._update(event)
                case "input_audio_buffer.append":
                    await self._hear(base64.b64decode(event["audio"], validate=True))
                case "conversation.item.truncate":
                    await self._truncate(event)
                case other:
                    await self._refuse(f"Invalid value: '{other}'.", "type", event)

    async def _update(self, event: dict[str, Any]) -> None:
        session = event.get("session", {})
        if session.get("type") != "realtime":
            await self._refuse("Missing required parameter: 'session.type'.", "session.type", event)
            return
        for side in ("input", "output"):
            if session.get("audio", {}).get(side, {}).get("format") != {"type": "audio/pcm", "rate": RATE_HZ}:
                await self._refuse(f"Unsupported format of {side}.", f"session.audio.{side}.format", event)
                return
        self._configuration = {**self._configuration, **session}
        self._model.sessions.append(self._configuration)
        await self._say("session.updated", session=self._configuration)

    async def _hear(self, audio: bytes) -> None:
        duration_ms = len(audio) // _BYTES_PER_MS
        self._heard_ms += duration_ms
        loud = float(np.mean(np.abs(np.frombuffer(audio, "<i2").astype(float)))) > _LOUD if audio else False
        self._loud_ms = self._loud_ms + duration_ms if loud else 0
        self._quiet_ms = 0 if loud else self._quiet_ms + duration_ms
        if self._user_item is None and self._loud_ms >= _SPEECH_MS:
            self._user_item = self._new_id("item")
            began_ms = self._heard_ms - self._loud_ms
            await self._say("input_audio_buffer.speech_started", audio_start_ms=began_ms, item_id=self._user_item)
        elif self._user_item is not None and self._quiet_ms >= _SILENCE_MS:
            item, self._user_item = self._user_item, None
            await self._say("input_audio_buffer.speech_stopped", audio_end_ms=self._heard_ms, item_id=item)
            await self._say("input_audio_buffer.committed", item_id=item, previous_item_id=None)
            await self._say("conversation.item.added", item={"id": item, "type": "message", "role": "user"})
            await self._say("conversation.item.done", item={"id": item, "type": "message", "role": "user"})
            await self._answer()

    async def _answer(self) -> None:
        response, item = self._new_id("resp"), self._new_id("item")
        of_item = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        message = {"id": item, "type": "message", "role": "assistant", "content": []}
        self._model.answers += 1
        await self._say("response.created", response={"id": response, "status": "in_progress"})
        await self._say("response.output_item.added", response_id=response, output_index=0, item=message)
        await self._say("conversation.item.added", item=message)
        await self._say("response.content_part.added", **of_item, part={"type": "audio", "transcript": ""})
        self._audio_ms[item] = self._model.answer_ms
        for begin_ms in range(0, self._model.answer_ms, _DELTA_MS):
            delta = base64.b64encode(_tone(begin_ms, min(_DELTA_MS, self._model.answer_ms - begin_ms))).decode()
            await self._say("response.output_audio.delta", **of_item, delta=delta)
        await self._say("response.output_audio.done", **of_item)
        await self._say("response.output_item.done", response_id=response, output_index=0, item=message)
        await self._say("conversation.item.done", item=message)
        await self._say("response.done", response={"id": response, "status": "completed"})

    async def _truncate(self, event: dict[str, Any]) -> None:
        item, index, end_ms = event.get("item_id"), event.get("content_index"), event.get("audio_end_ms")
        if not isinstance(item, str) or item not in self._audio_ms or index != 0 or not isinstance(end_ms, int):
            await self._refuse("Item to truncate not found.", "item_id", event)
        elif not 0 <= end_ms <= self._audio_ms[item]:
            text = f"Audio content of {self._audio_ms[item]}ms is already shorter than {end_ms}ms"
            await self._refuse(text, "audio_end_ms", event)
        else:
            self._model.truncations.append(Truncation(item, end_ms))
            await self._say("conversation.item.truncated", item_id=item, content_index=0, audio_end_ms=end_ms)

    async def _refuse(self, message: str, param: str, event: dict[str, Any]) -> None:
        self._model.errors.append(message)
        error = {"type": "invalid_request_error", "code": "invalid_value", "message": message, "param": param}
        await self._say("error", error={**error, "event_id": event.get("event_id")})

    async def _say(self, type_: str, **fields: Any) -> None:
        await self._connection.send(json.dumps({"type": type_, "event_id": self._new_id("event"), **fields}))

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids)}"


def _tone(begin_ms: int, duration_ms: int) -> bytes:
    t = (np.arange(duration_ms * RATE_HZ // 1000) + begin_ms * RATE_HZ // 1000) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()
