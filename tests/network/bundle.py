# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls through a relay, all at once, from a Parley endpoint to itself: what was sent, what arrived, and when.

Everything below the agent is the gateway's own: SIP endpoint, native clock and rings, `CallAudio`. One process holds
one endpoint and so one codec, one redundancy and one jitter policy; the relay gives each call its own network:

    python -m tests.network.bundle < order.json        (`Order`; results are files in its folder)
"""

import asyncio
import json
import subprocess
import sys
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import (
    CallConfirmed,
    CallEnded,
    IncomingCall,
    MediaActive,
    RegistrationChanged,
    SignallingSeen,
    SipEvent,
)
from gateway.sip.settings import EndpointSettings, Fec, MediaSettings
from gateway.sip.sip_thread import new_handle
from media.frames import FrameFlags, PcmFrame, PcmSamples
from media.playout import PlayoutEvent, UtteranceFinished, UtteranceStarted
from media.ports import CallAudio, JitterPolicy, PcmHub
from media.resample import resample
from media.wav import read_wav
from tests.network.relay import Plan, Relay

_AHEAD_MS = 20_000
_SETUP_WAIT_S = 20.0
_STAGGER_S = 0.037
"""Between two calls, so that their packets do not come all at once."""
_JITTER = {policy.name.lower(): policy for policy in JitterPolicy} | {"pjmedia": cast(JitterPolicy, -1)}
"""-1: `MediaCall::kPjmediaJitter`."""
_FEC: dict[str, Fec] = {"off": False, "measured": True, "always": "always"}
_TAIL_S = 1.0
"""A call stays up so long after its last word: what is under way must arrive."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a bundle is to do."""

    folder: str
    """For the results. Holds `speech-USER.wav` of every user, to be sent by that user's call."""
    codec: str
    plans: dict[str, Plan]
    """One call for each user part."""
    jitter: str = "balanced"
    """A jitter policy, or `pjmedia` for PJMEDIA's own jitter buffer (which Parley does not use for agents)."""
    fec: str = "off"
    """`off`, `measured` (when the peer reports loss) or `always`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "plans": {user: Plan.parse(plan) for user, plan in values["plans"].items()}})


@dataclass(slots=True)
class Hearing:
    """What became of one call."""

    codec: str
    sample_rate_hz: int
    sent: PcmSamples
    """At the call's rate, from the first sample to the last."""
    heard: PcmSamples
    """The caller's track as Python got it, frame after frame."""
    frame_at: NDArray[np.float64]
    """When each frame was in Python (monotonic)."""
    frame_samples: NDArray[np.int64]
    concealed: NDArray[np.bool_]
    sent_at: float
    """When the first frame of `sent` was handed to RTP (monotonic)."""
    packets: list[tuple[float, float, int]]
    """The relay's log (`PACKET_RECORD`), if the plan has one."""
    quality: dict[str, float]
    """`LegQuality` of the callee's leg."""
    counters: dict[str, int]
    """`AudioCounters` of the callee's leg."""


@dataclass(slots=True)
class _Leg:
    """One of our two legs of a call."""

    user: str
    audio: CallAudio | None = None
    codec: str = ""
    spoke_at: float = 0.0
    ended: CallEnded | None = None
    counters: dict[str, int] = field(default_factory=dict)
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    negotiated: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)


class _Bundle:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._hub = PcmHub()
        self._callers: dict[str, _Leg] = {}
        self._callees: dict[str, _Leg] = {}
        self._frames: dict[str, list[tuple[float, PcmFrame]]] = {user: [] for user in order.plans}
        self._sent: dict[str, PcmSamples] = {}
        self._endpoint = SipEndpoint(_settings(order), self._receive)
        self._answers: set[asyncio.Task[None]] = set()

    async def run(self) -> list[Hearing]:
        order = self._order
        await self._endpoint.start()
        self._hub.start(asyncio.get_running_loop())
        relay = Relay(int(self._endpoint.address.rpartition(":")[2]), order.plans, Path(order.folder))
        try:
            with relay:
                async with asyncio.TaskGroup() as calls:
                    for user in order.plans:
                        calls.create_task(self._call(user, f"sip:{user}@127.0.0.1:{relay.sip_port}"), name=user)
                        await asyncio.sleep(_STAGGER_S)
        finally:
            await self._endpoint.close()
            self._hub.close()
        return [self._hearing(user, relay) for user in order.plans]

    def _receive(self, event: SipEvent) -> None:
        if isinstance(event, RegistrationChanged | SignallingSeen):
            return
        if isinstance(event, IncomingCall):
            self._callees[event.handle] = _Leg(event.dialled_user)
            answer = asyncio.get_running_loop().create_task(self._endpoint.answer(event.handle))
            self._answers.add(answer)
            return
        leg = self._callers.get(event.handle) or self._callees[event.handle]
        match event:
            case MediaActive():
                leg.codec = event.codec
                if leg.audio is None:
                    leg.audio = CallAudio(self._hub, event.port)
                    if event.handle in self._callees:
                        leg.audio.on_frames = lambda frames: self._hear(leg.user, frames)
                leg.negotiated.set()
            case CallConfirmed():
                leg.confirmed.set()
            case CallEnded():
                leg.ended = event
                if leg.audio is not None:
                    leg.counters = asdict(leg.audio.counters())
                leg.over.set()
            case _:
                pass

    def _hear(self, user: str, frames: list[PcmFrame]) -> None:
        now = time.monotonic()
        self._frames[user] += [(now, frame) for frame in frames]

    async def _call(self, user: str, to: str) -> None:
        leg, handle = _Leg(user), new_handle()
        self._callers[handle] = leg
        await self._endpoint.place(handle, to)
        async with asyncio.timeout(_SETUP_WAIT_S):
            await leg.confirmed.wait()
            await leg.negotiated.wait()
        assert leg.audio is not None
        await self._speak(leg, leg.audio)
        await asyncio.sleep(_TAIL_S)
        await self._endpoint.hang_up(handle)
        async with asyncio.timeout(_SETUP_WAIT_S):
            await leg.over.wait()
            await asyncio.gather(*(callee.over.wait() for callee in self._callees.values() if callee.user == user))

    async def _speak(self, leg: _Leg, audio: CallAudio) -> None:
        done = asyncio.Event()

        def receive_playout(event: PlayoutEvent) -> None:
            if isinstance(event, UtteranceStarted):
                leg.spoke_at = event.sent_at
            if isinstance(event, UtteranceFinished):
                done.set()

        audio.on_playout = receive_playout
        speech, rate_hz = read_wav(Path(self._order.folder, f"speech-{leg.user}.wav"))
        samples = resample(speech, rate_hz, audio.sample_rate_hz)
        self._sent[leg.user] = samples
        step = audio.sample_rate_hz * _AHEAD_MS // 2000
        for begin in range(0, len(samples), step):
            audio.play(1, np.ascontiguousarray(samples[begin : begin + step], dtype="<i2").tobytes())
            await asyncio.sleep(max(0.0, audio.queued_ms - _AHEAD_MS) / 1000)
        audio.end_utterance(1)
        await done.wait()

    def _hearing(self, user: str, relay: Relay) -> Hearing:
        caller, leg = (
            next(one for one in legs.values() if one.user == user) for legs in (self._callers, self._callees)
        )
        assert leg.ended is not None
        assert leg.audio is not None
        frames = self._frames[user]
        return Hearing(
            codec=leg.codec,
            sample_rate_hz=leg.audio.sample_rate_hz,
            sent=self._sent[user],
            heard=np.concatenate([frame.samples for _, frame in frames]),
            frame_at=np.array([at for at, _ in frames]),
            frame_samples=np.array([frame.sample_count for _, frame in frames]),
            concealed=np.array([FrameFlags.CONCEALED in frame.flags for _, frame in frames]),
            sent_at=caller.spoke_at,
            packets=relay.packets(user) if self._order.plans[user].log else [],
            quality=asdict(leg.ended.quality),
            counters=leg.counters,
        )


def _settings(order: Order) -> EndpointSettings:
    calls = len(order.plans)
    # Away from other bundles that run at the same time; PJSIP takes the next free port by itself.
    first = 20_000 + 400 * (zlib.crc32(order.folder.encode()) % 90)
    return EndpointSettings(
        bind="127.0.0.1",
        port=0,
        transports=("udp",),
        media=MediaSettings(
            first, first + 390, "127.0.0.1", "", "off", jitter=_JITTER[order.jitter], fec=_FEC[order.fec]
        ),
        codecs=(order.codec,),
        max_calls=2 * calls + 4,
        user_agent="Parley bundle",
    )


def start(order: Order) -> "subprocess.Popen[str]":
    """The bundle in a process of its own; its results are there when it has ended with 0 (`hearing`)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.network.bundle"], cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(order)))
    process.stdin.close()
    return process


def hearing(folder: Path, user: str) -> Hearing:
    """One call's result."""
    with np.load(folder / f"{user}.npz") as arrays:
        facts: dict[str, Any] = json.loads(str(arrays["facts"]))
        return Hearing(
            **{name: arrays[name] for name in _ARRAYS},
            **{**facts, "packets": [tuple(packet) for packet in facts["packets"]]},
        )


_ARRAYS = ("sent", "heard", "frame_at", "frame_samples", "concealed")


def main() -> None:
    order = Order.parse(sys.stdin.read())
    for user, one in zip(order.plans, asyncio.run(_Bundle(order).run()), strict=True):
        values = asdict(one)
        arrays = {name: values.pop(name) for name in _ARRAYS}
        np.savez(Path(order.folder, f"{user}.npz"), facts=np.array(json.dumps(values)), **arrays)


if __name__ == "__main__":
    main()
