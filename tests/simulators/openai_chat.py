# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks OpenAI's chat completions: chunked server-sent events, scripted per request, over a real socket.

    async with OpenAiChatServer(answer) as server: ... server.url ...        in a test's own loop
    with OpenAiChatServer.in_thread(answer) as server: ...                   beside a test that blocks
    python -m tests.simulators.openai_chat [--port P] [--first-token-ms 200] [--token-ms 20] [--say TEXT]

What goes over the wire is written down here from the API reference, not with the client's own code.
"""

import argparse
import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing for so long: a slow first token, when it comes first; a stall, in the middle."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """Words, one delta for each (`whole`: one for all)."""

    text: str
    whole: bool = False
    every_s: float = 0.0
    """Between two deltas."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call, its arguments in pieces of so many characters."""

    name: str
    arguments: Mapping[str, object] | str = field(default_factory=dict)
    """A text is sent as it is, JSON or not."""
    call_id: str = ""
    """Empty: one is made up."""
    piece: int = 5


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes, in the body's place."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """An error object in the stream."""

    kind: str = "server_error"
    code: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """Instead of what the script amounts to (`stop`, `tool_calls`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the connection here, without an end of the body."""


@dataclass(frozen=True, slots=True)
class EndOfBody:
    """End the body here, as if that were all."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status and no stream: first step, and only."""

    status: int
    code: str = ""
    kind: str = "error"
    headers: Mapping[str, str] = field(default_factory=dict)


Step = Wait | Say | Call | Raw | Fault | Finish | Disconnect | EndOfBody | Refuse
Script = Sequence[Step]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request for an answer."""

    at: float
    """Monotonic seconds."""
    path: str
    headers: Mapping[str, str]
    """Names in small letters."""
    body: dict[str, Any]
    connection: int
    """Which connection it came by: the first is 1."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found

    @property
    def last(self) -> dict[str, Any]:
        return self.messages[-1]


Answer = Callable[[ChatRequest], Script]


def script(*scripts: Script) -> Answer:
    """One script for each request, in order; the last again and again."""
    waiting = list(scripts)
    return lambda request: waiting.pop(0) if len(waiting) > 1 else waiting[0]


class OpenAiChatServer:
    """Listens inside `async with`; `answer` may be exchanged meanwhile."""

    def __init__(self, answer: Answer | None = None, *, port: int = 0, split: int = 0, usage: bool = True) -> None:
        """`split`: bytes of each chunk of the body, whatever they cut in two; 0: one event in each."""
        self.port = port
        self.answer: Answer = answer or script([Say("Certainly.")])
        self.split = split
        self.usage = usage
        self.requests: list[ChatRequest] = []
        self.others: list[str] = []
        """Paths of requests that were not for an answer."""
        self.cancelled = 0
        """Answers whose reader went away before they were over."""
        self.connections = 0
        self._numbers = itertools.count(1)
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop_connections()
        await self._server.wait_closed()

    def drop_connections(self) -> None:
        """As a server does that restarts, or that has waited long enough."""
        for writer in list(self._writers):
            writer.transport.abort()

    @classmethod
    @contextmanager
    def in_thread(cls, answer: Answer | None = None, **settings: Any) -> Iterator["OpenAiChatServer"]:
        """The same, served by a thread with a loop of its own."""
        server = cls(answer, **settings)
        ready, loop, done = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

        async def serve() -> None:
            async with server:
                ready.set()
                await done.wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        assert ready.wait(10), "the simulator does not start"
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(done.set)
            thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        self._writers.add(writer)
        begun = b""
        try:
            while True:
                method, path, headers, body = await _request(reader, begun)
                begun = b""
                if method != "POST" or not path.endswith("/chat/completions"):
                    self.others.append(path)
                    _plain(writer, 200, {"object": "list", "data": []})
                    continue
                request = ChatRequest(time.monotonic(), path, headers, json.loads(body), connection)
                self.requests.append(request)
                played, begun = await self._play(self.answer(request), request, reader, writer)
                if not played:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _play(
        self, steps: Script, request: ChatRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[bool, bytes]:
        """Answer; return whether the connection goes on, and what was read of the next request already."""
        if steps and isinstance(steps[0], Refuse):
            refusal = steps[0]
            body = {"error": {"message": "no, and here is why", "type": refusal.kind, "code": refusal.code or None}}
            _plain(writer, refusal.status, body, refusal.headers)
            return True, b""
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        playing = asyncio.create_task(self._stream(steps, request, writer))
        gone = asyncio.create_task(reader.read(1))
        """Nobody sends anything before he has read the answer: what comes is the end."""
        await asyncio.wait((playing, gone), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            self.cancelled += 1
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return False, b""
        if not gone.done():
            gone.cancel()
        (begun,) = await asyncio.gather(gone, return_exceptions=True)
        return playing.result(), begun if isinstance(begun, bytes) else b""

    async def _stream(self, steps: Script, request: ChatRequest, writer: asyncio.StreamWriter) -> bool:
        base = {
            "id": f"chatcmpl-{next(self._numbers)}",
            "object": "chat.completion.chunk",
            "created": 1_760_000_000,
            "model": request.body["model"],
        }
        reason, tools, words = "stop", 0, 0

        async def event(data: object) -> None:
            await self._write(writer, b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n")

        async def delta(content: object, finish: str | None = None) -> None:
            await event({**base, "choices": [{"index": 0, "delta": content, "finish_reason": finish}]})

        await self._write(writer, b": welcome\n\n")
        for number, step in enumerate(steps):
            match step:
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Say(text, whole, every_s):
                    if number == 0 or words == 0:
                        await delta({"role": "assistant", "content": ""})
                    for piece in [text] if whole else _words(text):
                        await delta({"content": piece})
                        words += 1
                        if every_s:
                            await asyncio.sleep(every_s)
                case Call(name, arguments, call_id, size):
                    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
                    function = {"name": name, "arguments": ""}
                    call_id = call_id or f"call_{base['id']}_{tools}"
                    await delta(
                        {"tool_calls": [{"index": tools, "id": call_id, "type": "function", "function": function}]}
                    )
                    for begin in range(0, len(text), size):
                        more = {"arguments": text[begin : begin + size]}
                        await delta({"tool_calls": [{"index": tools, "function": more}]})
                    tools += 1
                    reason = "tool_calls"
                case Raw(data):
                    await self._write(writer, data)
                case Fault(kind, code):
                    await event({"error": {"message": "it went wrong", "type": kind, "code": code or None}})
                case Finish(wanted):
                    reason = wanted
                case Disconnect():
                    writer.transport.abort()
                    return False
                case EndOfBody():
                    writer.write(b"0\r\n\r\n")
                    return True
                case Refuse():
                    raise AssertionError("a refusal is the only step")
        await delta({}, reason)
        if self.usage:
            usage = {"prompt_tokens": 100, "completion_tokens": words, "total_tokens": 100 + words}
            await event({**base, "choices": [], "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 64}}})
        await self._write(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        size = self.split or len(data)
        for begin in range(0, len(data), size):
            piece = data[begin : begin + size]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            if self.split:
                await asyncio.sleep(0)


def _words(text: str) -> list[str]:
    first, *more = text.split(" ")
    return [first, *(f" {word}" for word in more)]


def _plain(writer: asyncio.StreamWriter, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
    data = json.dumps(body).encode()
    lines = (f"HTTP/1.1 {status} Whatever", "Content-Type: application/json", f"Content-Length: {len(data)}")
    more = (f"{name}: {value}" for name, value in (headers or {}).items())
    writer.write("\r\n".join((*lines, *more, "", "")).encode() + data)


async def _request(reader: asyncio.StreamReader, begun: bytes) -> tuple[str, str, dict[str, str], bytes]:
    head = (begun + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def _run(arguments: argparse.Namespace) -> None:
    steps: Script = [Wait(arguments.first_token_ms / 1e3), Say(arguments.say, every_s=arguments.token_ms / 1e3)]
    async with OpenAiChatServer(lambda _: steps, port=arguments.port) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat model that always says the same, at a fixed pace.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first-token-ms", type=float, default=200.0)
    parser.add_argument("--token-ms", type=float, default=10.0)
    parser.add_argument("--say", default="Yes, of course. We are open from nine to five, Monday to Friday.")
    asyncio.run(_run(parser.parse_args()))
