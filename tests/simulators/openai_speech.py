# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's /audio/speech, as its API reference has it: 16-bit samples at 24 kHz, in a body that ends when they do.

async with OpenAiSpeechServer(Speech(...)) as server: ... server.url ...
"""

import json
from http import HTTPStatus

from tests.simulators.http_service import HttpReply, HttpRequest
from tests.simulators.http_speech import HttpSpeechService

_RATE_HZ = 24_000


class OpenAiSpeechServer(HttpSpeechService):
    """`https://api.openai.com/v1`, of one key."""

    path = "/v1"

    def _is_for_speech(self, request: HttpRequest) -> bool:
        return request.path == "/v1/audio/speech"

    def _is_known(self, request: HttpRequest) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    async def _speak(self, request: HttpRequest, reply: HttpReply) -> None:
        body = json.loads(request.body)
        if body["response_format"] != "pcm" or not body["model"] or not body["voice"]:
            error = {"message": "and here is why", "type": "invalid_request_error", "code": None}
            reply.plain(HTTPStatus.BAD_REQUEST, {"error": error})
            return
        await self.stream(reply, body["input"], _RATE_HZ, is_mulaw=False, content_type="audio/pcm")
