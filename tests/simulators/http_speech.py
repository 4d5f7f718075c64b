# SPDX-License-Identifier: GPL-3.0-or-later
"""What simulators of speech synthesis over HTTP share: the sound is the body, as it comes."""

import asyncio
from contextlib import aclosing

from tests.simulators.http_service import HttpReply, HttpRequest, HttpService, unauthorized
from tests.simulators.speaking import Ended, Speech


class HttpSpeechService(HttpService):
    """A vendor's class knows its requests."""

    def __init__(self, speech: Speech | None = None, *, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.speech = speech or Speech()

    def _is_for_speech(self, request: HttpRequest) -> bool:
        raise NotImplementedError

    def _is_known(self, request: HttpRequest) -> bool:
        """Whoever asks has the key."""
        raise NotImplementedError

    async def _speak(self, request: HttpRequest, reply: HttpReply) -> None:
        """Answer with `stream`, or a refusal."""
        raise NotImplementedError

    async def respond(self, request: HttpRequest, reply: HttpReply) -> None:
        if not self._is_known(request):
            unauthorized(reply)
        elif request.method == "POST" and self._is_for_speech(request):
            await self._speak(request, reply)
        else:
            reply.plain(200, {"object": "list", "data": []})

    async def stream(self, reply: HttpReply, text: str, rate_hz: int, *, is_mulaw: bool, content_type: str) -> None:
        """The text's sound."""
        reply.begin(content_type)
        try:
            async with aclosing(self.speech.chunks(text, rate_hz, is_mulaw=is_mulaw)) as chunks:
                async for data in chunks:
                    await reply.chunk(data)
        except Ended as ended:
            if ended.how == "stall":
                await asyncio.Event().wait()
            elif ended.how != "end":
                reply.cut()
                return
        reply.end()
