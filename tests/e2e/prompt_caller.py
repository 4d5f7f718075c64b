# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays recorded prompts into calls to the agent and compares what the gateway wrote down with the words spoken."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import IncomingCall, RegistrationChanged, SignallingSeen, SipEvent
from gateway.sip.settings import EndpointSettings, MediaSettings
from gateway.softphone.call import Prompt, SoftphoneCall
from media.frames import PcmFrame
from media.ports import PcmHub
from media.speech_level import SpeechLevelMeter
from media.wav import read_wav
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.wer import word_error_rate

_GAP_MS = 500
"""The next prompt follows so soon after the agent's answer."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One call: the words played into it, and those the gateway wrote down."""

    spoken: str
    written: str

    @property
    def error_rate(self) -> float:
        return word_error_rate([self.spoken], [self.written])


def play_prompts(
    gateway: GatewayProcess,
    prompts: Sequence[tuple[Path, str]],
    *,
    codec: str,
    calls: int,
    level_dbov: float | None = None,
) -> list[Heard]:
    """Spread the prompts over `calls` calls at the same time, in PJMEDIA's own time; at this active speech level, or as
    they were recorded."""
    shares = [prompts[index::calls] for index in range(calls)]
    before = {session["call_id"] for session in gateway.sessions()}
    asyncio.run(_play(gateway, shares, codec, level_dbov))
    sessions = wait_for(lambda: _ended(gateway, before, calls), f"{calls} ended sessions")
    # `metadata.sip_call_id` tells the calls apart, their order does not: match by the first share's best fit.
    written = [
        " ".join(entry["text"] for entry in session["transcript"] if entry["role"] == "user") for session in sessions
    ]
    heard = []
    for share in shares:
        spoken = " ".join(words for _, words in share)
        best = min(written, key=lambda text: word_error_rate([spoken], [text]))
        written.remove(best)
        heard.append(Heard(spoken, best))
    return heard


def _ended(gateway: GatewayProcess, before: set[str], calls: int) -> list[dict[str, object]] | None:
    new = [session["call_id"] for session in gateway.sessions() if session["call_id"] not in before]
    sessions = [gateway.get(f"/sessions/{call_id}") for call_id in new]
    return sessions if len(sessions) == calls and all(session["ended_at"] for session in sessions) else None


async def _play(
    gateway: GatewayProcess, shares: list[Sequence[tuple[Path, str]]], codec: str, level_dbov: float | None
) -> None:
    hub = PcmHub()
    callers = [SoftphoneCall(hub, gap_ms=_GAP_MS, keep_audio=False) for _ in shares]
    by_handle = {caller.handle: caller for caller in callers}

    def receive(event: SipEvent) -> None:
        if not isinstance(event, IncomingCall | RegistrationChanged | SignallingSeen):
            by_handle[event.handle].receive(event)

    media = MediaSettings(41000, 41998, "127.0.0.1", "", "off")
    endpoint = SipEndpoint(
        EndpointSettings("127.0.0.1", 0, ("udp",), media, (codec,), len(shares) + 4, "Parley prompts"), receive
    )
    await endpoint.start()
    hub.start(asyncio.get_running_loop())
    try:
        async with asyncio.TaskGroup() as tasks:
            for caller, share in zip(callers, shares, strict=True):
                prompts = [_prompt(path, level_dbov) for path, _ in share]
                tasks.create_task(caller.run(endpoint, gateway.uri("agent"), prompts))
    finally:
        await endpoint.close()
        hub.close()


def _prompt(path: Path, level_dbov: float | None) -> Prompt:
    samples, rate_hz = read_wav(path)
    if level_dbov is not None:
        meter = SpeechLevelMeter()
        meter.receive(
            [
                PcmFrame(part.tobytes(), rate_hz, 0, 0.0)
                for part in np.array_split(samples, len(samples) // (rate_hz // 50))
            ]
        )
        recorded_dbov = meter.levels.speech_dbov
        assert recorded_dbov is not None, path
        scaled = samples * 10 ** ((level_dbov - recorded_dbov) / 20)
        samples = np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
    return Prompt(path.stem, samples, rate_hz)
