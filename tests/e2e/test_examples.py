# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python client and the examples of scripts/examples on real calls."""

import asyncio
import contextlib
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np

from gateway.client import CallInfo, NotFound, ParleyClient, StreamOrder, attach
from media.frames import PcmSamples
from media.tones import has_tone
from tests.e2e.gateway_process import API_KEY, GatewayProcess
from tests.e2e.raw_caller import SILENCE, RawCaller
from tests.mulaw import from_mu_law, mu_law
from tests.scripts.example_process import EXAMPLES, example
from tests.simulators.realtime import RealtimeModel

_FRAME_S = 0.02


class Telephone:
    """A caller that speaks and listens in real time, beside the test."""

    def __init__(self, caller: RawCaller) -> None:
        self.caller = caller
        self.voice_hz: float | None = None
        """The tone it says; None: silence."""
        self._heard: list[bytes] = []
        self._over = False

    def forget(self) -> None:
        self._heard = []

    def hears(self, frequency_hz: float) -> bool:
        """A fifth of a second of this tone at least, at the end of what came."""
        samples = from_mu_law(b"".join(self._heard[-10:]))
        return len(samples) == 1600 and has_tone(samples, frequency_hz, 8000)

    @contextlib.asynccontextmanager
    async def talking(self) -> AsyncIterator["Telephone"]:
        working = asyncio.create_task(asyncio.to_thread(self._work))
        try:
            yield self
        finally:
            self._over = True
            await working

    def _work(self) -> None:
        due, sent = time.monotonic(), 0
        while not self._over:
            self.caller.speak(SILENCE if self.voice_hz is None else self._tone(sent))
            self._heard += [payload for _, payload in self.caller.hear()]
            sent, due = sent + 1, due + _FRAME_S
            time.sleep(max(0.0, due - time.monotonic()))

    def _tone(self, frame: int) -> bytes:
        t = (np.arange(160) + 160 * frame) / 8000
        samples: PcmSamples = (8000 * np.sin(2 * np.pi * (self.voice_hz or 0) * t)).astype(np.int16)
        return mu_law(samples)


def client_of(gateway: GatewayProcess) -> ParleyClient:
    return ParleyClient(f"http://{gateway.http_address}", API_KEY)


@contextlib.asynccontextmanager
async def a_call(gateway: GatewayProcess, parley: ParleyClient) -> AsyncIterator[tuple[Telephone, CallInfo]]:
    """Somebody calls, it rings, and the client answers."""
    with RawCaller(gateway.sip_port) as caller:
        caller.send("INVITE", "manual", caller.offer())
        assert (await asyncio.to_thread(caller.provisional)).code == 180
        (call,) = [one for one in await parley.calls() if one.metadata.get("sip_call_id") == caller.call_id]
        await parley.answer(call.call_id)
        assert (await asyncio.to_thread(caller.acknowledge, "manual")).code == 200
        async with Telephone(caller).talking() as telephone:
            async with asyncio.timeout(10):
                async for event in parley.events(call_id=call.call_id, after=0):
                    if event.kind == "call.activity":
                        break
            yield telephone, call
            with contextlib.suppress(NotFound):  # over already
                await parley.hangup(call.call_id)


async def until(holds: Callable[[], object], what: str, timeout_s: float = 10) -> None:
    """Wait for the outside world, which has no clock of ours."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


async def test_the_echo_backend_takes_a_call_over_and_hangs_up_at_the_hash_key(gateway: GatewayProcess) -> None:
    async with client_of(gateway) as parley, example("echo_backend") as url, a_call(gateway, parley) as (phone, call):
        feed = parley.events(call_id=call.call_id, after=0)
        stream = await parley.start_stream(call.call_id, StreamOrder(stream_url=url, codec="pcmu", on_end="hangup"))
        kinds: list[str] = []
        async for event in feed:
            kinds.append(event.kind)
            if event.kind == "stream.connected":
                assert event.data["stream_id"] == stream.stream_id
                assert (await parley.call(call.call_id)).activity == "stream"
                phone.voice_hz = 700
                await until(lambda: phone.hears(700), "our own voice")
                phone.caller.sequence += 1
                info = "Signal=#\r\nDuration=160\r\n"
                phone.caller.send("INFO", "manual", info, content_type="application/dtmf-relay")
            if event.kind == "call.ended":
                break
        assert {"call.offered", "call.answered", "stream.connected", "dtmf.received", "stream.stopped"} <= set(kinds)


async def test_the_recording_sink_hears_a_call_beside_whoever_has_it(gateway: GatewayProcess, tmp_path: Path) -> None:
    async with (
        client_of(gateway) as parley,
        example("recording_sink", "--folder", str(tmp_path)) as url,
        a_call(gateway, parley) as (phone, call),
    ):
        order = StreamOrder(stream_url=url, codec="l16", sample_rate=16000, direction="inbound")
        stream = await parley.start_stream(call.call_id, order)
        phone.voice_hz = 700
        path = tmp_path / f"{stream.stream_id}-1.wav"
        await until(lambda: path.exists() and path.stat().st_size > 40_000, "more than a second in the file")
        assert phone.hears(700)  # the echo goes on
        assert [one.stream_id for one in await parley.streams(call.call_id)] == [stream.stream_id]
        await parley.stop_stream(stream.stream_id)
        assert await parley.streams(call.call_id) == ()
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert has_tone(samples[-16000:-8000], 700, 16000)


async def test_the_realtime_bot_answers_and_is_told_what_was_heard(gateway: GatewayProcess) -> None:
    model = RealtimeModel(answer_ms=8000)
    async with (
        client_of(gateway) as parley,
        model.running() as model_url,
        example("realtime_bot", "--url", model_url, OPENAI_API_KEY=model.key) as url,
        a_call(gateway, parley) as (phone, call),
    ):
        await parley.start_stream(call.call_id, StreamOrder(stream_url=url, codec="l16", sample_rate=24000))
        phone.voice_hz = 700
        await asyncio.sleep(0.4)
        phone.voice_hz = None
        await until(lambda: phone.hears(440), "the answer")
        phone.voice_hz = 700
        await until(lambda: model.truncations, "the truncation")
        phone.voice_hz = None
        await until(lambda: not phone.hears(440), "silence")
    assert model.errors == []
    assert 100 <= model.truncations[0].audio_end_ms < 7000


async def test_a_backend_comes_to_the_call_with_a_token(gateway: GatewayProcess) -> None:
    async with client_of(gateway) as parley, a_call(gateway, parley) as (phone, call):
        token = await parley.create_token(call.call_id)
        async with attach(parley.base_url, call.call_id, token.token) as stream:
            assert stream.call_id == call.call_id
            t = np.arange(8000) / 8000
            await stream.play((8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes())
            reached = asyncio.create_task(stream.mark())
            await until(lambda: phone.hears(440), "the tone")
            assert await asyncio.wait_for(reached, 10) == "played"
            await stream.hangup()
            await asyncio.wait_for(stream.ended.wait(), 10)


def test_the_call_list_calls_says_and_tells(gateway: GatewayProcess) -> None:
    command = [sys.executable, str(EXAMPLES / "call_list.py"), "--key", API_KEY]
    address = f"http://{gateway.http_address}"
    told = subprocess.run(
        [*command, "--url", address, "--say", "Hello.", gateway.uri("echo"), gateway.uri("closed"), "no address"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    kinds = [line.split()[1] for line in lines if line.startswith("  ") and ":" in line.split()[0][:-1]]
    assert [kind for kind in kinds if kind in ("call.answered", "playback.finished", "call.ended")] == [
        *("call.answered", "playback.finished", "call.ended"),
        "call.ended",  # closed: never answered
    ], told.stdout
    assert lines[-1].startswith("  failed: 422"), told.stdout
