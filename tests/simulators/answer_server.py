# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of streamed answers over a real socket (chunked server-sent events), scripted per request in steps that are
the same for all vendors; each vendor's simulator says how a step looks on its wire.

What goes over the wire is written down from the vendors' API references, not with the clients' own code.
"""

import argparse
import asyncio
import itertools
import json
import ssl
import threading
import time
from abc import ABC, abstractmethod
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
    """A tool call, its arguments in pieces of so many characters (where the vendor sends pieces)."""

    name: str
    arguments: Mapping[str, object] | str = field(default_factory=dict)
    """A text is sent as it is, JSON or not."""
    call_id: str = ""
    """Empty: one is made up."""
    piece: int = 5


@dataclass(frozen=True, slots=True)
class Think:
    """What the model thinks and nobody is to hear; nothing, where a vendor's API does not show it."""

    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life that means nothing."""


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
    """Instead of what the script amounts to, as the vendor calls it (`stop`, `tool_calls`)."""

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


Step = Wait | Say | Call | Think | Ping | Raw | Fault | Finish | Disconnect | EndOfBody | Refuse
Script = Sequence[Step]
Sent = bytes | Wait | Disconnect | EndOfBody
"""What a script becomes: some of the body, or something that happens in between."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One request for an answer."""

    at: float
    """Monotonic seconds."""
    path: str
    """With its query."""
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


Answer = Callable[[AnswerRequest], Script]


def script(*scripts: Script) -> Answer:
    """One script for each request, in order; the last again and again."""
    waiting = list(scripts)
    return lambda request: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def words(text: str) -> list[str]:
    """As models write them: each with the space before it."""
    first, *more = text.split(" ")
    return [first, *(f" {word}" for word in more)]


def deltas(say: Say) -> Iterator[str | Wait]:
    """The pieces of what is said, and the pauses between them."""
    for piece in [say.text] if say.whole else words(say.text):
        yield piece
        if say.every_s:
            yield Wait(say.every_s)


def arguments_of(call: Call) -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)


def pieces_of(call: Call) -> list[str]:
    text = arguments_of(call)
    return [text[begin : begin + call.piece] for begin in range(0, len(text), call.piece)]


class AnswerServer(ABC):
    """Listens inside `async with`; `answer` may be exchanged meanwhile."""

    base_path = "/v1"
    """What `url` ends with."""

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        port: int = 0,
        split: int = 0,
        usage: bool = True,
        api_key: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`split`: bytes of each chunk of the body, whatever they cut in two; 0: one event in each. `api_key`: the only
        one that is good."""
        self.port = port
        self.answer: Answer = answer or script([Say("Certainly.")])
        self.split = split
        self.usage = usage
        self.api_key = api_key
        self.requests: list[AnswerRequest] = []
        self.others: list[str] = []
        """Paths of requests that were not for an answer."""
        self.cancelled = 0
        """Answers whose reader went away before they were over."""
        self.connections = 0
        self.cut: tuple[int, Disconnect | EndOfBody] | None = None
        """After so many pieces of each body this happens."""
        self.numbers = itertools.count(1)
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any]] = set()

    @abstractmethod
    def is_answer(self, path: str) -> bool:
        """Whether a POST to this path asks for an answer."""
        ...

    @abstractmethod
    def key_of(self, headers: Mapping[str, str]) -> str:
        """The key that was sent."""
        ...

    @abstractmethod
    def refusal(self, refuse: Refuse) -> object:
        """The body of a response that is no success."""
        ...

    @abstractmethod
    def stream(self, steps: Script, request: AnswerRequest) -> Iterator[Sent]:
        """The body of an answer."""
        ...

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{self.base_path}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop_connections()
        await self._server.wait_closed()
        if self._serving:
            await asyncio.wait(self._serving)

    def drop_connections(self) -> None:
        """As a server does that restarts, or that has waited long enough."""
        for writer in list(self._writers):
            writer.transport.abort()

    @classmethod
    @contextmanager
    def in_thread(cls, answer: Answer | None = None, **settings: Any) -> Iterator[Self]:
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

    @classmethod
    def main(cls) -> None:
        """Always the same answer, at a fixed pace."""
        parser = argparse.ArgumentParser(description=cls.__doc__)
        parser.add_argument("--port", type=int, default=0)
        parser.add_argument("--first-token-ms", type=float, default=200.0)
        parser.add_argument("--token-ms", type=float, default=10.0)
        parser.add_argument("--say", default="Yes, of course. We are open from nine to five, Monday to Friday.")
        arguments = parser.parse_args()
        steps: Script = [Wait(arguments.first_token_ms / 1e3), Say(arguments.say, every_s=arguments.token_ms / 1e3)]

        async def run() -> None:
            async with cls(lambda _: steps, port=arguments.port) as server:
                print(server.url, flush=True)
                await asyncio.Event().wait()

        asyncio.run(run())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        begun = b""
        try:
            while True:
                method, path, headers, body = await _request(reader, begun)
                begun = b""
                if self.api_key and self.key_of(headers) != self.api_key:
                    _plain(writer, 401, self.refusal(Refuse(401, "invalid_api_key", "authentication_error")))
                    continue
                if method != "POST" or not self.is_answer(path.partition("?")[0]):
                    self.others.append(path)
                    _plain(writer, 200, {"object": "list", "data": []})
                    continue
                request = AnswerRequest(time.monotonic(), path, headers, json.loads(body), connection)
                self.requests.append(request)
                played, begun = await self._play(self.answer(request), request, reader, writer)
                if not played:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            self._serving.discard(task)
            writer.close()

    async def _play(
        self, steps: Script, request: AnswerRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[bool, bytes]:
        """Answer; return whether the connection goes on, and what was read of the next request already."""
        if steps and isinstance(steps[0], Refuse):
            _plain(writer, steps[0].status, self.refusal(steps[0]), steps[0].headers)
            return True, b""
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        playing = asyncio.create_task(self._send(steps, request, writer))
        gone = asyncio.create_task(reader.read(1))
        """Nobody sends anything before he has read the answer: what comes is the end."""
        await asyncio.wait((playing, gone), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            self.cancelled += 1
            playing.cancel()
            await asyncio.gather(playing, gone, return_exceptions=True)
            return False, b""
        if not gone.done():
            gone.cancel()
        (begun,) = await asyncio.gather(gone, return_exceptions=True)
        return playing.result(), begun if isinstance(begun, bytes) else b""

    async def _send(self, steps: Script, request: AnswerRequest, writer: asyncio.StreamWriter) -> bool:
        body: Iterator[Sent] = self.stream(steps, request)
        if self.cut is not None:
            body = itertools.chain(itertools.islice(body, self.cut[0]), [self.cut[1]])
        for sent in body:
            match sent:
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Disconnect():
                    writer.transport.abort()
                    return False
                case EndOfBody():
                    break
                case bytes():
                    await self._write(writer, sent)
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


def event(data: object, name: str = "") -> bytes:
    """A server-sent event, its characters as they are."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


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
