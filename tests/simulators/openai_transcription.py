# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's /audio/transcriptions, as its API reference has it: a WAV file in a form, a transcript as JSON.

async with OpenAiTranscriptionServer(words="what are your opening hours".split()) as server: ... server.url ...
"""

import asyncio
import email.parser
import email.policy
import io
import json
import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from tests.simulators.hearing import WORD_MS, Hearing, Recognize
from tests.simulators.http_service import HttpReply, HttpRequest, HttpService, unauthorized

_PATH = "/v1/audio/transcriptions"


@dataclass
class Upload:
    """One request's form."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    pcm: bytes = b""
    sample_rate_hz: int = 0


class OpenAiTranscriptionServer(HttpService):
    """`https://api.openai.com/v1`, of one key."""

    path = "/v1"

    def __init__(self, words: Sequence[str] = (), *, recognize: Recognize | None = None, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.words = words
        self.recognize = recognize
        self.uploads: list[Upload] = []
        self.slow_s = 0.0
        """Before each answer."""
        self.raw: list[bytes] = []
        """Bodies of the answers to come, in place of a transcript."""
        self.cut_after: list[int] = []
        """Of the answers to come, so many bytes are sent."""
        self.given_up = 0

    async def respond(self, request: HttpRequest, reply: HttpReply) -> None:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            unauthorized(reply)
        elif request.method != "POST" or request.path != _PATH:
            reply.plain(HTTPStatus.OK, {"object": "list", "data": []})
        else:
            await self._transcribe(request, reply)

    async def _transcribe(self, request: HttpRequest, reply: HttpReply) -> None:
        upload = _upload(request)
        self.uploads.append(upload)
        try:
            await asyncio.sleep(self.slow_s)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        form = upload.fields
        seconds = len(upload.pcm) / 2 / upload.sample_rate_hz
        is_verbose = form["response_format"] == ["verbose_json"]
        if seconds < 0.1 or (is_verbose and form["model"][0].startswith("gpt-")):
            error = {"message": "and here is why", "type": "invalid_request_error", "param": None, "code": None}
            reply.plain(HTTPStatus.BAD_REQUEST, {"error": error})
            return
        hearing = Hearing(self.words, upload.sample_rate_hz, self.recognize)
        hearing.push(upload.pcm)
        heard = await hearing.finish()
        await self._send(reply, _verbose(heard, seconds) if is_verbose else _plain(heard, form))

    async def _send(self, reply: HttpReply, body: dict[str, Any]) -> None:
        if not self.raw and not self.cut_after:
            reply.plain(HTTPStatus.OK, body)
            return
        data = self.raw.pop(0) if self.raw else json.dumps(body).encode()
        reply.begin("application/json")
        if self.cut_after:
            if length := self.cut_after.pop(0):
                await reply.chunk(data[:length])
            reply.cut()
            return
        await reply.chunk(data)
        reply.end()


def _upload(request: HttpRequest) -> Upload:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    upload = Upload()
    for part in email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body).iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(content, bytes)
        if name != "file":
            upload.fields.setdefault(name, []).append(content.decode())
            continue
        assert part.get_filename(), "files have names, by whose ends they are known"
        with wave.open(io.BytesIO(content)) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            upload.sample_rate_hz = file.getframerate()
            upload.pcm = file.readframes(file.getnframes())
    return upload


def _plain(words: Sequence[str], form: dict[str, list[str]]) -> dict[str, Any]:
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
    logprobs = [{"token": word, "logprob": math.log(0.9), "bytes": [1]} for word in words]
    return {
        "text": " ".join(words),
        **({"logprobs": logprobs} if form.get("include[]") == ["logprobs"] else {}),
        "usage": usage,
    }


def _verbose(words: Sequence[str], seconds: float) -> dict[str, Any]:
    text = " ".join(words)
    segment = {"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": text, "avg_logprob": -0.1, "no_speech_prob": 0}
    timed = [
        {"word": word, "start": index * WORD_MS / 1000, "end": (index + 1) * WORD_MS / 1000}
        for index, word in enumerate(words)
    ]
    said = {"task": "transcribe", "language": "english", "duration": seconds, "text": text}
    return {**said, "segments": [segment] if words else [], "words": timed}
