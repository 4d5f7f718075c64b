#!/usr/bin/env -S bash -c 'exec "$(dirname "$(readlink -f "$0")")/../../.venv/bin/python" "$0" "$@"'
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend that lets a speech-to-speech model talk: parley.v1 in l16 at 24 kHz on one side, OpenAI's Realtime
protocol on the other. When the caller breaks in, the model is told how much of its answer was heard.

    OPENAI_API_KEY=... scripts/examples/realtime_bot.py [--port 9000] [--url wss://...] [--instructions TEXT]

The stream must be ordered with codec l16 and sample_rate 24000.
"""

import argparse
import asyncio
import base64
import json
import os
from collections import deque
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from gateway.client import StreamCall, serving

BYTES_PER_MS = 48
SLICE_BYTES = 100 * BYTES_PER_MS
FORMAT = {"type": "audio/pcm", "rate": 24000}


class Bot:
    """One call and its model."""

    def __init__(self, call: StreamCall, model: ClientConnection) -> None:
        self._call = call
        self._model = model
        self._unsent: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._said: deque[tuple[str, float]] = deque(maxlen=100)
        """Items that the gateway was given, each with its milliseconds."""
        self._interrupted: set[str] = set()

    async def run(self, instructions: str) -> None:
        turns = {"type": "server_vad", "create_response": True, "interrupt_response": True}
        audio = {"input": {"format": FORMAT, "turn_detection": turns}, "output": {"format": FORMAT, "voice": "marin"}}
        session = {"type": "realtime", "instructions": instructions, "output_modalities": ["audio"], "audio": audio}
        await self._tell("session.update", session=session)
        self._speaking = asyncio.create_task(self._speak())
        ears = [asyncio.create_task(self._hear_caller()), asyncio.create_task(self._hear_model())]
        try:
            done, _ = await asyncio.wait(ears, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*ears, self._speaking):
                task.cancel()
            await asyncio.gather(*ears, self._speaking, return_exceptions=True)

    async def _hear_caller(self) -> None:
        async for item in self._call:
            if isinstance(item, bytes):
                await self._tell("input_audio_buffer.append", audio=base64.b64encode(item).decode())

    async def _hear_model(self) -> None:
        async for message in self._model:
            event = json.loads(message)
            match event["type"]:
                case "response.output_audio.delta" if event["item_id"] not in self._interrupted:
                    self._unsent.put_nowait((event["item_id"], base64.b64decode(event["delta"])))
                case "input_audio_buffer.speech_started":
                    await self._interrupt()
                case "error":
                    print(f"the model says: {event['error']['message']}", flush=True)

    async def _speak(self) -> None:
        while True:
            item, audio = await self._unsent.get()
            for begin in range(0, len(audio), SLICE_BYTES):
                piece = audio[begin : begin + SLICE_BYTES]
                await self._call.play(piece)
                before_ms = self._said.pop()[1] if self._said and self._said[-1][0] == item else 0.0
                self._said.append((item, before_ms + len(piece) / BYTES_PER_MS))

    async def _interrupt(self) -> None:
        """The caller has broken in: fall silent, and tell the model how much of its words was heard."""
        self._speaking.cancel()
        await asyncio.gather(self._speaking, return_exceptions=True)
        while not self._unsent.empty():
            self._interrupted.add(self._unsent.get_nowait()[0])
        unheard_ms: float = (await self._call.clear()).discarded_ms
        self._speaking = asyncio.create_task(self._speak())
        while unheard_ms > 0 and self._said:
            item, audio_ms = self._said.pop()
            self._interrupted.add(item)
            end_ms = int(max(0.0, audio_ms - unheard_ms))
            unheard_ms -= audio_ms
            await self._tell("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=end_ms)

    async def _tell(self, type_: str, **fields: Any) -> None:
        await self._model.send(json.dumps({"type": type_, **fields}))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--url", default="wss://api.openai.com/v1/realtime?model=gpt-realtime")
    parser.add_argument("--instructions", default="You answer the telephone of a dentist. Be brief and friendly.")
    parser.add_argument("--secret", action="append", default=[], help="let in only whom the gateway signed with it")
    options = parser.parse_args()
    headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}

    async def talk(call: StreamCall) -> None:
        if (call.format.encoding, call.format.sample_rate) != ("l16", 24000):
            raise ValueError("order the stream with codec l16 and sample_rate 24000")
        if not call.start.answered:
            await call.answer()
        async with connect(options.url, additional_headers=headers, max_size=None) as model:
            await Bot(call, model).run(options.instructions)

    async with serving(talk, port=options.port, secrets=options.secret) as backend:
        print(f"realtime bot ready at {backend.url}", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
