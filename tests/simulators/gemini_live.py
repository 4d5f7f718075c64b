# SPDX-License-Identifier: GPL-3.0-or-later
"""A speech-to-speech model on Gemini's Live protocol: it hears energy, and answers with a tone.

Messages as in the protocol's reference (ai.google.dev/api/live): JSON in binary frames, 16 kHz in, 24 kHz out.
A connection has a limit: `goAway` comes before it, and a new one goes on with a resumption handle.
"""

import asyncio
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

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_IN_HZ, _OUT_HZ = 16_000, 24_000
_LOUD = 500.0
_SPEECH_MS, _SILENCE_MS = 60, 300
_CHUNK_MS = 40


@dataclass
class LiveModel:
    """All connections of a server."""

    answer_ms: int = 1000
    answer_text: str = "At nine."
    caller_text: str = "When do you open?"
    wanted: list[dict[str, Any]] = field(default_factory=list)
    """Tools that the next answers are: `id`, `name` and `args`."""
    is_paced: bool = False
    """Sound comes as it is spoken, and not faster."""
    limit_s: float | None = None
    """How long a connection lasts."""
    notice_s: float = 1.0
    """So long before its end `goAway` comes."""
    key: str = "test-key"
    setups: list[dict[str, Any]] = field(default_factory=list)
    contents: list[dict[str, Any]] = field(default_factory=list)
    tool_results: list[dict[str, Any]] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)
    """What each handle remembers: the caller's turns."""
    remembered: list[str] = field(default_factory=list)
    """By the newest connection, when it began."""
    heard_samples: int = 0
    errors: list[str] = field(default_factory=list)
    interruptions: int = 0
    answers: int = 0
    ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its URL, without the path."""
        async with serve(self._attend, "127.0.0.1", 0, process_request=self._admit, max_size=None) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        key = request.headers.get("x-goog-api-key") or parse_qs(address.query).get("key", [""])[0]
        if key != self.key:
            return connection.respond(403, "PERMISSION_DENIED\n")
        return connection.respond(404, "not found\n") if address.path != PATH else None

    async def _attend(self, connection: ServerConnection) -> None:
        talk = _Connection(self, connection)
        with contextlib.suppress(ConnectionClosed):
            try:
                async with asyncio.timeout(self.limit_s), asyncio.TaskGroup() as tasks:
                    await talk.run(tasks)
                    raise _OverError
            except* _OverError:
                pass
            except* TimeoutError:
                pass
        await connection.close(1011, "deadline expired")


class _OverError(Exception):
    pass


class _Connection:
    def __init__(self, model: LiveModel, connection: ServerConnection) -> None:
        self._model = model
        self._connection = connection
        self._said: list[str] = []
        self._loud_ms = 0.0
        self._quiet_ms = 0.0
        self._is_speaking = False
        self._answering: asyncio.Task[None] | None = None
        self._pending: list[str] = []

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        setup = json.loads(await self._connection.recv()).get("setup")
        if not isinstance(setup, dict) or not str(setup.get("model", "")).startswith("models/"):
            await self._connection.close(1007, "Request contains an invalid argument.")
            return
        handle = setup.get("sessionResumption", {}).get("handle")
        if handle is not None and handle not in self._model.said:
            await self._connection.close(1008, "BidiGenerateContent session not found")
            return
        self._said = list(self._model.said.get(handle, []))
        self._model.remembered = list(self._said)
        self._model.setups.append(setup)
        await self._tell(setupComplete={})
        await self._remember()
        if self._model.limit_s is not None:
            tasks.create_task(self._warn(self._model.limit_s - self._model.notice_s))
        async for message in self._connection:
            match json.loads(message):
                case {"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm;rate=16000"}}}:
                    await self._hear(base64.b64decode(data, validate=True))
                case {"clientContent": {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}}:
                    self._model.contents.append({"text": text})
                    await self._interrupt()
                    self._begin(text)
                case {"toolResponse": {"functionResponses": [{"id": call_id, "name": _, "response": _} as result]}}:
                    if call_id not in self._pending:
                        self._model.errors.append("no such call")
                    else:
                        self._pending.remove(call_id)
                    self._model.tool_results.append(result)
                    self._begin("")
                case other:
                    self._model.errors.append(f"unknown message: {list(other)}")
                    await self._connection.close(1007, "Request contains an invalid argument.")

    async def _warn(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._tell(goAway={"timeLeft": f"{self._model.notice_s:.3f}s"})

    async def _remember(self) -> None:
        handle = f"handle-{next(self._model.ids)}"
        self._model.said[handle] = list(self._said)
        await self._tell(sessionResumptionUpdate={"newHandle": handle, "resumable": True})

    async def _hear(self, audio: bytes) -> None:
        samples = np.frombuffer(audio, "<i2").astype(float)
        duration_ms = len(samples) * 1e3 / _IN_HZ
        self._model.heard_samples += len(samples)
        is_loud = len(samples) > 0 and float(np.mean(np.abs(samples))) > _LOUD
        self._loud_ms = self._loud_ms + duration_ms if is_loud else 0.0
        self._quiet_ms = 0.0 if is_loud else self._quiet_ms + duration_ms
        if not self._is_speaking and self._loud_ms >= _SPEECH_MS:
            self._is_speaking = True
            await self._interrupt()
        elif self._is_speaking and self._quiet_ms >= _SILENCE_MS:
            self._is_speaking = False
            self._said.append(self._model.caller_text)
            await self._tell(serverContent={"inputTranscription": {"text": self._model.caller_text}})
            if self._model.wanted:
                call = self._model.wanted.pop(0)
                self._pending.append(call["id"])
                await self._tell(toolCall={"functionCalls": [call]})
            else:
                self._begin("")

    async def _interrupt(self) -> None:
        if self._pending:
            ids, self._pending = self._pending, []
            await self._tell(toolCallCancellation={"ids": ids})
        if self._answering is not None and not self._answering.done():
            self._answering.cancel()
            self._model.interruptions += 1
        # What was generated already may still be heard: the service cannot know, and says so in any case.
        await self._tell(serverContent={"interrupted": True})

    def _begin(self, instructions: str) -> None:
        self._answering = self._tasks.create_task(self._answer(instructions))

    async def _answer(self, instructions: str) -> None:
        self._model.answers += 1
        text = instructions.rpartition(": ")[2].rstrip("]") if instructions.startswith("[Say") else ""
        words = (text or self._model.answer_text).split()
        count = self._model.answer_ms // _CHUNK_MS
        due = asyncio.get_running_loop().time()
        for number in range(count):
            t = (np.arange(_OUT_HZ * _CHUNK_MS // 1000) + number * _OUT_HZ * _CHUNK_MS // 1000) / _OUT_HZ
            tone = (8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()
            inline = {"mimeType": f"audio/pcm;rate={_OUT_HZ}", "data": base64.b64encode(tone).decode()}
            await self._tell(serverContent={"modelTurn": {"role": "model", "parts": [{"inlineData": inline}]}})
            spoken = words[len(words) * number // count : len(words) * (number + 1) // count]
            if spoken:
                await self._tell(serverContent={"outputTranscription": {"text": " ".join(spoken) + " "}})
            if self._model.is_paced:
                due += _CHUNK_MS / 1e3
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        await self._tell(serverContent={"generationComplete": True})
        await self._tell(serverContent={"turnComplete": True}, usageMetadata={"totalTokenCount": 9})
        await self._remember()

    async def _tell(self, **fields: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(json.dumps(fields).encode())
