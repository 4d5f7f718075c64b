# SPDX-License-Identifier: GPL-3.0-or-later
"""What simulators of speech synthesis on WebSockets share: utterances that are spoken while messages are received."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from websockets.exceptions import ConnectionClosed

from tests.simulators.speaking import Ended, Speech
from tests.simulators.websocket_service import Session, WebSocketService


class SpeechService(WebSocketService):
    """The server."""

    def __init__(self, speech: Speech | None = None, *, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.speech = speech or Speech()

    @property
    def connections(self) -> int:
        return len(self.sessions)

    def drop_connections(self) -> None:
        """As a server does that restarts, or that has waited long enough."""
        for session in self.sessions:
            session.drop()


class SpeechSession(Session):
    """One connection."""

    server: SpeechService
    utterances: dict[str, "asyncio.Task[None]"]

    async def begin(self) -> None:
        self.utterances = {}

    async def end(self) -> None:
        for task in self.utterances.values():
            task.cancel()

    def speak(
        self,
        name: str,
        text: str,
        rate_hz: int,
        *,
        is_mulaw: bool,
        chunk: Callable[[bytes], Awaitable[None]],
        over: Callable[[], Awaitable[None]],
        error: Callable[[], Awaitable[None]],
    ) -> None:
        """Speak it beside what is received."""

        async def run() -> None:
            try:
                async with aclosing(self.server.speech.chunks(text, rate_hz, is_mulaw=is_mulaw)) as chunks:
                    async for data in chunks:
                        await chunk(data)
                await over()
            except Ended as ended:
                match ended.how:
                    case "stall":
                        await asyncio.Event().wait()
                    case "drop":
                        self.drop()
                    case "close":
                        await self.close(1011, "an internal error")
                    case "error":
                        await error()
                    case "end":
                        await over()
            except ConnectionClosed:
                pass

        self.utterances[name] = asyncio.get_running_loop().create_task(run())

    def stop(self, name: str) -> None:
        if (task := self.utterances.get(name)) is not None:
            task.cancel()
