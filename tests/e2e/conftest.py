# SPDX-License-Identifier: GPL-3.0-or-later
"""One gateway for all tests that only call it; speech to call it with."""

import asyncio
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from agent.local.engines import OfflineEngines
from agent.local.models import default_model_folder
from agent.local.piper import PhraseCache
from agent.services.tts import SpeechStyle
from media.frames import PcmSamples
from media.resample import resample
from media.tones import tone
from media.wav import write_wav
from tests.e2e.gateway_process import GatewayProcess

SENTENCE = "What are your opening hours?"
TWILIO_TOKEN = "known-to-backends"
ANNOUNCEMENT = "Thank you for calling. The office is on holiday until next Monday. Please call again."


class Voice:
    """The offline voice, for callers' lines."""

    def __init__(self, engines: OfflineEngines, loop: asyncio.AbstractEventLoop) -> None:
        self._engines = engines
        self._loop = loop

    def say(self, text: str, sample_rate_hz: int, *, pace: float = 1.0, pitch: float = 1.0) -> PcmSamples:
        """Speech with half a second of silence around it. `pitch`: of another speaker, who speaks as much faster."""
        samples, rate_hz = self._loop.run_until_complete(self._render(text, pace))
        quiet = np.zeros(sample_rate_hz // 2, np.int16)
        return np.concatenate([quiet, resample(samples, round(rate_hz * pitch), sample_rate_hz), quiet])

    def say_clearly(self, text: str, sample_rate_hz: int) -> PcmSamples:
        """The same in the best of ten renderings: no two are alike, and speech recognition stumbles over some."""
        wanted = set(re.findall(r"\w+", text.lower()))
        best: tuple[int, PcmSamples] | None = None
        for _ in range(10):
            self._engines.tts.cache = PhraseCache(1 << 20)
            samples = self.say(text, sample_rate_hz)
            heard = self.hear(resample(samples, sample_rate_hz, 8000), 8000)
            known = len(wanted & set(re.findall(r"\w+", heard.lower())))
            if best is None or known > best[0]:
                best = known, samples
            if known == len(wanted):
                break
        assert best is not None
        return best[1]

    def hear(self, samples: PcmSamples, sample_rate_hz: int) -> str:
        """What speech recognition makes of it."""
        return self._loop.run_until_complete(self._transcribe(samples, sample_rate_hz))

    async def _render(self, text: str, pace: float) -> tuple[PcmSamples, int]:
        chunks = [chunk async for chunk in self._engines.tts.synthesize(text, style=SpeechStyle(rate=pace))]
        return np.concatenate([chunk.samples for chunk in chunks]), chunks[0].sample_rate_hz

    async def _transcribe(self, samples: PcmSamples, sample_rate_hz: int) -> str:
        stream = await self._engines.stt.open(sample_rate_hz=sample_rate_hz, on_partial=lambda _: None)
        try:
            stream.push(samples)
            return (await stream.final()).text
        finally:
            await stream.aclose()


@contextmanager
def offline_voice() -> Iterator[Voice]:
    """The voice on an event loop of its own."""
    loop = asyncio.new_event_loop()
    engines = loop.run_until_complete(OfflineEngines.load(default_model_folder(os.environ)))
    yield Voice(engines, loop)
    loop.run_until_complete(engines.aclose())
    loop.close()


@pytest.fixture(scope="session")
def voice() -> Iterator[Voice]:
    with offline_voice() as voice:
        yield voice


@pytest.fixture(scope="session")
def announcement(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording for `action = "play"`, 16 kHz."""
    path = tmp_path_factory.mktemp("prompts") / "announcement.wav"
    write_wav(path, voice.say_clearly(ANNOUNCEMENT, 16000), 16000)
    return path


@pytest.fixture(scope="session")
def question(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A caller's question, 16 kHz."""
    path = tmp_path_factory.mktemp("prompts") / "question.wav"
    write_wav(path, voice.say_clearly(SENTENCE, 16000), 16000)
    return path


@pytest.fixture(scope="session")
def friend_port() -> int:
    """UDP port on 127.0.0.1 where the route `friend` looks for a telephone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def gateway(announcement: Path, friend_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Routes: `echo`, `play` (the announcement), `closed` (rejected with 480), `manual` (an echo that the API answers),
    `brief` (the same within a second), `friend` (bridged with whoever is at `friend_port`), `attend` (a backend that
    comes to us, on this machine too), `gone` (hears `tone.wav`, then 404), `waiting` (as `manual`, and hears
    it till then), everything else the agent. Prompts: `tone.wav`, 2 s of 1 kHz at 16 kHz."""
    folder = tmp_path_factory.mktemp("gateway")
    prompts = folder / "data" / "prompts"
    prompts.mkdir(parents=True)
    (folder / "data").chmod(0o700)
    write_wav(prompts / "tone.wav", tone([1000], 2000, 16000), 16000)
    settings = f"""
[outbound]
allow = ["127.0.0.0/8"]
[twilio]
auth_token = "{TWILIO_TOKEN}"
[[route]]
match = "echo"
action = "echo"
[[route]]
match = "play"
action = "play"
file = "{announcement}"
[[route]]
match = "attend"
action = "stream"
codec = "pcmu"
[[route]]
match = "closed"
action = "reject"
code = 480
[[route]]
match = "manual"
action = "echo"
answer = "manual"
[[route]]
match = "gone"
action = "reject"
code = 404
file = "{prompts / "tone.wav"}"
[[route]]
match = "waiting"
action = "echo"
answer = "manual"
ringing_file = "{prompts / "tone.wav"}"
[[route]]
match = "brief"
action = "echo"
answer = "manual"
answer_timeout_s = 1
[[route]]
match = "friend"
action = "bridge"
to = "sip:friend@127.0.0.1:{friend_port}"
[[route]]
action = "agent"
[agents.receptionist]
far_end.voicemail = "message"
far_end.message = "{ANNOUNCEMENT}"
"""
    with GatewayProcess(folder, settings) as process:
        yield process
    assert process.process.returncode == 0, process.log.read_text()[-3000:]
