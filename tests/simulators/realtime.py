# SPDX-License-Identifier: GPL-3.0-or-later
"""A speech-to-speech model on OpenAI's Realtime protocol (GA shape): it hears energy, and answers with a tone.

Formats are `audio/pcm` at 24 kHz and `audio/pcmu`.

Messages and their order as in the protocol's reference; audio comes faster than real time, as it does there. What a
client does wrong is answered with an `error` event and kept in `errors`.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.mulaw import from_mu_law, mu_law

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
    answer_text: str = ""
    """Its words, sent as its transcript; empty: none."""
    caller_text: str = ""
    """What every turn of the caller is transcribed as; empty: not at all."""
    wanted: list[dict[str, str]] = field(default_factory=list)
    """Tools that the next answers are: `name`, `arguments` and `call_id`."""
    limit_s: float | None = None
    """How long a connection lasts."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """All that clients said, but audio."""
    heard: bytearray = field(default_factory=bytearray)
    """The callers' audio as it came, decoded from base64."""
    connections: int = 0
    tls: ssl.SSLContext | None = None
    key: str = "test-key"
    sessions: list[dict[str, Any]] = field(default_factory=list)
    truncations: list[Truncation] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    answers: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its URL."""
        async with serve(
            self._attend, "127.0.0.1", 0, process_request=self._admit, max_size=None, ssl=self.tls
        ) as server:
            scheme, host = ("ws", "127.0.0.1") if self.tls is None else ("wss", "localhost")
            port = next(iter(server.sockets)).getsockname()[1]
            yield f"{scheme}://{host}:{port}/v1/realtime?model=gpt-realtime"

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return connection.respond(401, "invalid_api_key\n")
        if address.path != "/v1/realtime" or "model" not in parse_qs(address.query):
            return connection.respond(404, "not found\n")
        return None

    async def _attend(self, connection: ServerConnection) -> None:
        self.connections += 1
        session = _Session(self, connection)
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            try:
                async with asyncio.timeout(self.limit_s):
                    await session.run()
            except TimeoutError:
                await session.expire()


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
        self._bytes_per_ms = _BYTES_PER_MS
        self._answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        await self._say("session.created", session=self._configuration)
        async for message in self._connection:
            event = json.loads(message)
            if event.get("type") != "input_audio_buffer.append":
                self._model.events.append(event)
            match event.get("type"):
                case "session.update":
                    await self._update(event)
                case "input_audio_buffer.append":
                    await self._hear(base64.b64decode(event["audio"], validate=True))
                case "conversation.item.truncate":
                    await self._truncate(event)
                case "conversation.item.create":
                    item = {"id": self._new_id("item"), **event["item"]}
                    await self._say("conversation.item.added", item=item)
                    await self._say("conversation.item.done", item=item)
                case "response.create":
                    await self._begin_answer(event.get("response", {}).get("instructions", ""))
                case "response.cancel":
                    if self._answering is None or self._answering.done():
                        await self._refuse("Cancellation failed: no active response found", "response_cancel", event)
                    else:
                        await self._cancel()
                case other:
                    await self._refuse(f"Invalid value: '{other}'.", "type", event)

    async def _update(self, event: dict[str, Any]) -> None:
        session = event.get("session", {})
        if session.get("type") != "realtime":
            await self._refuse("Missing required parameter: 'session.type'.", "session.type", event)
            return
        for side in ("input", "output"):
            form = session.get("audio", {}).get(side, {}).get("format")
            if form not in ({"type": "audio/pcm", "rate": RATE_HZ}, {"type": "audio/pcmu"}):
                await self._refuse(f"Unsupported format of {side}.", f"session.audio.{side}.format", event)
                return
            self._bytes_per_ms = 8 if form == {"type": "audio/pcmu"} else _BYTES_PER_MS
        self._configuration = {**self._configuration, **session}
        self._model.sessions.append(self._configuration)
        await self._say("session.updated", session=self._configuration)

    async def _hear(self, audio: bytes) -> None:
        duration_ms = len(audio) // self._bytes_per_ms
        self._heard_ms += duration_ms
        self._model.heard += audio
        samples = from_mu_law(audio) if self._bytes_per_ms == 8 else np.frombuffer(audio, "<i2")
        loud = float(np.mean(np.abs(samples.astype(float)))) > _LOUD if audio else False
        self._loud_ms = self._loud_ms + duration_ms if loud else 0
        self._quiet_ms = 0 if loud else self._quiet_ms + duration_ms
        if self._user_item is None and self._loud_ms >= _SPEECH_MS:
            self._user_item = self._new_id("item")
            began_ms = self._heard_ms - self._loud_ms
            await self._say("input_audio_buffer.speech_started", audio_start_ms=began_ms, item_id=self._user_item)
            await self._cancel()
        elif self._user_item is not None and self._quiet_ms >= _SILENCE_MS:
            item, self._user_item = self._user_item, None
            await self._say("input_audio_buffer.speech_stopped", audio_end_ms=self._heard_ms, item_id=item)
            await self._say("input_audio_buffer.committed", item_id=item, previous_item_id=None)
            await self._say("conversation.item.added", item={"id": item, "type": "message", "role": "user"})
            await self._say("conversation.item.done", item={"id": item, "type": "message", "role": "user"})
            await self._begin_answer("")
            if self._model.caller_text:
                kind = "conversation.item.input_audio_transcription.completed"
                await self._say(kind, item_id=item, content_index=0, transcript=self._model.caller_text)

    async def expire(self) -> None:
        """The session has lasted as long as it may."""
        error = {"type": "invalid_request_error", "code": "session_expired", "message": "Your session hit the limit."}
        await self._say("error", error=error)
        await self._connection.close(1001, "session expired")

    async def _begin_answer(self, instructions: str) -> None:
        if self._answering is not None and not self._answering.done():
            error = {"type": "invalid_request_error", "code": "conversation_already_has_active_response"}
            await self._say("error", error={**error, "message": "There is an active response."})
            return
        response = self._new_id("resp")
        await self._say("response.created", response={"id": response, "status": "in_progress"})
        if self._model.wanted and not instructions:
            await self._want(response, self._model.wanted.pop(0))
            return
        self._answering = asyncio.get_running_loop().create_task(self._answer(response, instructions))

    async def _want(self, response: str, tool: dict[str, str]) -> None:
        item = {"id": self._new_id("item"), "type": "function_call", "status": "completed", **tool}
        await self._say("response.output_item.added", response_id=response, output_index=0, item=item)
        await self._say("response.function_call_arguments.done", response_id=response, item_id=item["id"], **tool)
        await self._say("response.output_item.done", response_id=response, output_index=0, item=item)
        await self._say("response.done", response={"id": response, "status": "completed"})

    async def _cancel(self) -> None:
        if self._answering is not None and not self._answering.done():
            self._answering.cancel()
            await self._say("response.done", response={"id": "resp", "status": "cancelled"})

    async def _answer(self, response: str, instructions: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._say_answer(response, instructions)

    async def _say_answer(self, response: str, instructions: str) -> None:
        item = self._new_id("item")
        of_item = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        message = {"id": item, "type": "message", "role": "assistant", "content": []}
        self._model.answers += 1
        await self._say("response.output_item.added", response_id=response, output_index=0, item=message)
        await self._say("conversation.item.added", item=message)
        await self._say("response.content_part.added", **of_item, part={"type": "audio", "transcript": ""})
        self._audio_ms[item] = self._model.answer_ms
        for begin_ms in range(0, self._model.answer_ms, _DELTA_MS):
            duration_ms = min(_DELTA_MS, self._model.answer_ms - begin_ms)
            tone = _tone(begin_ms, duration_ms)
            if self._bytes_per_ms == 8:
                tone = mu_law(np.frombuffer(_tone(begin_ms, duration_ms, 8000), "<i2"))
            await self._say("response.output_audio.delta", **of_item, delta=base64.b64encode(tone).decode())
        words = instructions.rpartition(": ")[2] if instructions else self._model.answer_text
        for word in words.split():
            await self._say("response.output_audio_transcript.delta", **of_item, delta=word + " ")
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


def _tone(begin_ms: int, duration_ms: int, rate_hz: int = RATE_HZ) -> bytes:
    t = (np.arange(duration_ms * rate_hz // 1000) + begin_ms * rate_hz // 1000) / rate_hz
    return (8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()
