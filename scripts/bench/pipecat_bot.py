# SPDX-License-Identifier: GPL-3.0-or-later
"""A bot as its author would write it for Twilio: Pipecat's own Media Streams serializer, WebSocket transport, voice
activity detector and turn taking, nothing of ours. Runs in Pipecat's environment (scripts/bench/pipecat makes it).

It greets with a tone, repeats what the caller said and goes on with another tone until the caller breaks in. A key
makes it leave, by Twilio's REST call. Prints what happened to it as JSON lines, with wall time.

    python pipecat_bot.py --port 9000 --rest http://127.0.0.1:8080 --token KEY
"""

import argparse
import json
import math
import struct
import time
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_processor import UserTurnProcessor
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 8000
GREETING_HZ, MONOLOGUE_HZ = 440, 660
GREETING_S, MONOLOGUE_S = 1.0, 12.0
_AMPLITUDE = 8000
_BEFORE_SPEECH_BYTES = RATE_HZ * 2 // 2


def tell(event: str, **data: Any) -> None:
    print(json.dumps({"event": event, "at": time.time(), **data}), flush=True)


def tone(hz: int, seconds: float) -> bytes:
    samples = range(round(seconds * RATE_HZ))
    return b"".join(struct.pack("<h", round(_AMPLITUDE * math.sin(2 * math.pi * hz * n / RATE_HZ))) for n in samples)


class Parrot(FrameProcessor):
    """The bot's mind."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = bytearray()
        self._is_listening = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        match frame:
            case StartFrame():
                await self._say(tone(GREETING_HZ, GREETING_S))
            case InputAudioRawFrame():
                self._heard += frame.audio
                if not self._is_listening:
                    del self._heard[:-_BEFORE_SPEECH_BYTES]
            case UserStartedSpeakingFrame():
                self._is_listening = True
                tell("user_started")
            case UserStoppedSpeakingFrame():
                self._is_listening = False
                tell("user_stopped", seconds=len(self._heard) / 2 / RATE_HZ)
                await self._say(bytes(self._heard) + tone(MONOLOGUE_HZ, MONOLOGUE_S))
            case InterruptionFrame():
                tell("interruption")
            case InputDTMFFrame():
                tell("key", digit=frame.button.value)
                await self.broadcast_interruption()  # Pipecat ends when it has said what it had to say
                await self.push_frame(EndFrame())
            case _:
                pass

    async def _say(self, audio: bytes) -> None:
        await self.push_frame(TTSStartedFrame())
        await self.push_frame(TTSAudioRawFrame(audio, RATE_HZ, 1))
        await self.push_frame(TTSStoppedFrame())


def application(rest: str, token: str) -> FastAPI:
    app = FastAPI()

    @app.websocket("/ws")
    async def call(websocket: WebSocket) -> None:
        await websocket.accept()
        kind, facts = await parse_telephony_websocket(websocket)
        # What it makes of the two first messages, without the ids.
        tell("call", kind=kind, body=facts["body"])
        serializer = TwilioFrameSerializer(
            stream_sid=facts["stream_id"],
            call_sid=facts["call_id"],
            account_sid=facts["account_id"] if "account_id" in facts else "AC" + "0" * 32,
            auth_token=token,
            base_url=rest,
        )
        transport = FastAPIWebsocketTransport(
            websocket=websocket,
            params=FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
        )
        turns = UserTurnStrategies(
            start=[VADUserTurnStartStrategy()], stop=[SpeechTimeoutUserTurnStopStrategy(wait_for_transcript=False)]
        )
        pipeline = Pipeline(
            [
                transport.input(),
                VADProcessor(vad_analyzer=SileroVADAnalyzer()),
                UserTurnProcessor(user_turn_strategies=turns),
                Parrot(),
                transport.output(),
            ]
        )
        worker = PipelineWorker(
            pipeline, params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
        )

        @transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(transport: Any, websocket: WebSocket) -> None:
            tell("disconnected")
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
        tell("over")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rest", required=True, help="where Twilio's REST API is")
    parser.add_argument("--token", required=True, help="its auth token: an API key")
    args = parser.parse_args()
    logger.remove()
    logger.add("pipecat.log", level="DEBUG")
    uvicorn.run(application(args.rest, args.token), host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
