# SPDX-License-Identifier: GPL-3.0-or-later
"""Cartesia's speech over a WebSocket, as docs.cartesia.ai has it.

async with CartesiaServer(Speech(...)) as server: ... server.url ...
"""

import base64
import json
from http import HTTPStatus
from typing import Any

from tests.simulators.speech_session import SpeechService, SpeechSession
from tests.simulators.websocket_service import Upgrade

_RATES_HZ = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)


class _Contexts(SpeechSession):
    async def receive(self, message: str | bytes) -> None:
        asked: dict[str, Any] = json.loads(message)
        context = asked["context_id"]
        if asked.get("cancel"):
            self.stop(context)
            return
        wanted = asked["output_format"]
        is_known = wanted["container"] == "raw" and wanted["sample_rate"] in _RATES_HZ
        if not is_known or asked["voice"].get("mode") != "id" or not asked["model_id"]:
            await self._error(context, "Invalid request", HTTPStatus.BAD_REQUEST)
            return

        async def chunk(data: bytes) -> None:
            sound = base64.b64encode(data).decode()
            await self._send(context, {"type": "chunk", "data": sound, "step_time": 12.5}, is_done=False)

        async def over() -> None:
            await self._send(context, {"type": "done"}, is_done=True)

        async def error() -> None:
            await self._error(context, "Internal error", HTTPStatus.INTERNAL_SERVER_ERROR)

        is_mulaw = wanted["encoding"] == "pcm_mulaw"
        self.speak(
            context, asked["transcript"], wanted["sample_rate"], is_mulaw=is_mulaw, chunk=chunk, over=over, error=error
        )

    async def _send(self, context: str, told: dict[str, Any], *, is_done: bool) -> None:
        await self.send({**told, "done": is_done, "status_code": 206, "context_id": context})

    async def _error(self, context: str, title: str, status: int) -> None:
        told = {"type": "error", "title": title, "message": "and here is why", "error_code": "some_code"}
        await self.send({**told, "done": True, "status_code": int(status), "context_id": context})


class CartesiaServer(SpeechService):
    """`wss://api.cartesia.ai`, of one key."""

    session = _Contexts

    def admits(self, upgrade: Upgrade) -> int:
        if upgrade.headers.get("authorization") != f"Bearer {self.key}":
            return HTTPStatus.UNAUTHORIZED
        if upgrade.path != "/tts/websocket":
            return HTTPStatus.NOT_FOUND
        return HTTPStatus.SWITCHING_PROTOCOLS if "cartesia-version" in upgrade.headers else HTTPStatus.BAD_REQUEST
