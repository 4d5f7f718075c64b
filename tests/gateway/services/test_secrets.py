# SPDX-License-Identifier: GPL-3.0-or-later
"""No key gets out: not into a log line of ours or of a library's, not into an error or what it was caused by, whatever
a service does. Every client is held against servers that refuse, break off or talk nonsense."""

import asyncio
import contextlib
import io
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
import structlog

from agent.chains import LanguageModelChain, Member, SpeechToTextChain, TextToSpeechChain
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceError
from agent.services.llm import Conversation, Message
from gateway.services.kinds import OFFERS, Role, make_client
from gateway.telemetry import configure_logging

KEY, HEADER, PARAMETER, PASSWORD = "sentinel-key", "sentinel-header", "sentinel-parameter", "sentinel-password"
WORDS = "sentinel-words"
"""Of the conversation: they are nobody's business either."""

ANSWERS = {
    "refuses the key": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%b",
    "is busy": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%b",
    "fails": b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b",
    "sends elsewhere": b"HTTP/1.1 307 Away\r\nLocation: /?key=sentinel-key\r\nContent-Length: %d\r\n\r\n%b",
    "talks nonsense": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b",
    "speaks no HTTP": b"%d %b sentinel-key\r\n\r\n",
    "breaks off": b"",
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything, down to the libraries' debug lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    writer = configure_logging("debug", "json", stream=stream)
    yield stream
    writer.close()
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[int]:
    """Answers every request with this; `%b` quotes the request's head, keys and all, as some servers do."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            if answer:
                quoted = b'{"error": {"message": "' + head.replace(b"\r\n", b" ") + b'", "type": "sentinel key"}}'
                writer.write(answer % (len(quoted), quoted))
                await writer.drain()
        writer.transport.abort() if not answer else writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def failure_of(role: Role, service: object) -> ServiceError | None:
    """What asking it comes to."""
    member: Member[object] = Member("brittle", role if role != "realtime" else "llm", service)
    try:
        async with asyncio.timeout(10):
            match role:
                case "stt":
                    chain = SpeechToTextChain("chain", [member])  # type: ignore[list-item]
                    stream = await chain.open(sample_rate_hz=8000, on_partial=lambda transcript: None)
                    try:
                        stream.push(np.full(8000, 1000, np.int16))
                        await stream.final()
                    finally:
                        await stream.aclose()
                case "llm":
                    asked = Conversation((Message("user", WORDS),))
                    async for _ in LanguageModelChain("chain", [member]).reply(asked):  # type: ignore[list-item]
                        pass
                case _:
                    async for _ in TextToSpeechChain("chain", [member]).synthesize(WORDS):  # type: ignore[list-item]
                        pass
    except ServiceError as error:
        return error
    return None


def clients() -> Iterator[tuple[Role, str]]:
    for role in ("stt", "llm", "tts"):
        for kind in OFFERS[role]:
            with contextlib.suppress(ImportError):
                OFFERS[role][kind].load()
                yield role, kind


def told(error: ServiceError) -> str:
    """All that is printed of it, and of what it was caused by."""
    return "\n".join((*traceback.format_exception(error), str(error), repr(error), error.detail))


@pytest.mark.parametrize(("role", "kind"), list(clients()))
def test_no_key_gets_out(role: Role, kind: str, log: io.StringIO) -> None:
    async def ask() -> list[str]:
        errors = []
        for name, answer in ANSWERS.items():
            async with server(answer) as port:
                scheme = "ws" if kind in ("deepgram", "assemblyai", "elevenlabs", "cartesia") else "http"
                settings = ServiceSettings(
                    "brittle",
                    model="m",
                    voice="v",
                    url=f"{scheme}://127.0.0.1:{port}/v1?key={PARAMETER}",
                    api_key=KEY,
                    headers={"X-Key": HEADER},
                    timeout_s=2.0,
                )
                client = make_client(kind, role, settings, lambda usage: None)
                try:
                    await client.warm()
                    error = await failure_of(role, client)
                    assert error is not None or name == "talks nonsense", f"it {name}, and nobody has noticed"
                    errors.append("" if error is None else told(error))  # nonsense is sound, as far as anybody knows
                finally:
                    await client.aclose()
        return errors

    errors = asyncio.run(ask())
    structlog.get_logger("test").warning("the end of it")
    logging.getLogger().handlers[0].flush()
    for place, text in (("an error", "\n".join(errors)), ("the log", log.getvalue())):
        for secret in (KEY, HEADER, PARAMETER, PASSWORD, WORDS):
            assert secret not in text, f"{secret} is in {place}"
