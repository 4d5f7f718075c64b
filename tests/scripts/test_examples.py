# SPDX-License-Identifier: GPL-3.0-or-later
"""The example backends, called by the conformance tool's gateway; tests/e2e has them on real calls."""

import asyncio
import wave
from pathlib import Path

from gateway.conformance.caller import Circumstances, Target, calling
from gateway.conformance.checks import CHECKS
from gateway.conformance.main import examine
from gateway.streams.messages import Clear, HangUp, KeyPressed, StreamFormat
from tests.scripts.example_process import example
from tests.simulators.realtime import RealtimeModel

WIDEBAND = StreamFormat("l16", 24000)


async def failures(target: Target) -> list[str]:
    outcomes = await asyncio.gather(*(examine(target, [check]) for check in CHECKS))
    return [f"{outcome.check}: {outcome.remark}" for (outcome,) in outcomes if outcome.status == "failed"]


async def test_the_echo_conforms_and_hangs_up_at_the_hash_key() -> None:
    async with example("echo_backend") as url:
        assert await failures(Target(url)) == []
        async with calling(Target(url)) as caller:
            await caller.tell(KeyPressed("#", 100))
            assert await caller.until(lambda: caller.line.orders == [HangUp()], 10)


async def test_the_recording_sink_conforms_and_writes_what_it_hears(tmp_path: Path) -> None:
    async with example("recording_sink", "--folder", str(tmp_path)) as url:
        assert await failures(Target(url)) == []
        async with calling(Target(url), Circumstances(stream_id="stream_2")) as caller:
            await caller.speak(500)
        path = tmp_path / "stream_2-1.wav"
        assert await caller.until(lambda: path.exists() and path.stat().st_size == 44 + 8000, 10)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 4000)


async def test_the_realtime_bot_conforms() -> None:
    model = RealtimeModel(answer_ms=500)
    async with (
        model.running() as model_url,
        example("realtime_bot", "--url", model_url, OPENAI_API_KEY=model.key) as url,
    ):
        assert await failures(Target(url, WIDEBAND)) == []
    assert model.errors == []
    assert model.sessions[0]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


async def test_the_realtime_bot_answers_and_tells_the_model_what_was_heard_when_the_caller_breaks_in() -> None:
    model = RealtimeModel(answer_ms=4000)
    async with (
        model.running() as model_url,
        example("realtime_bot", "--url", model_url, OPENAI_API_KEY=model.key) as url,
        calling(Target(url, WIDEBAND)) as caller,
    ):
        await caller.speak(500)
        await caller.speak(400, aloud=False)
        assert await caller.until(lambda: caller.line.heard_ms > 200, 10)
        talking = asyncio.create_task(caller.speak(400))
        assert await caller.until(lambda: model.truncations != [], 10)
        await talking
        heard_ms = caller.line.heard_ms
        (truncation,) = model.truncations
        assert 200 < truncation.audio_end_ms < 4000
        assert abs(truncation.audio_end_ms - heard_ms) <= 1  # whole milliseconds
        assert sum(isinstance(order, Clear) for order in caller.line.orders) == 2  # also when nothing played
        await caller.speak(400, aloud=False)
        assert await caller.until(lambda: model.answers == 2 and caller.line.heard_ms > heard_ms, 10)
    assert model.errors == []
