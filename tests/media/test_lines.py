# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines between calls, over real PJMEDIA streams: A's and B's far ends talk to each other through our two legs."""

from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pjsua2 as pj
import pytest
import pytest_asyncio

from media.frames import PcmSamples
from media.ports import LineEnd, LineTrack
from tests.media.loopback import Loopback, Pair
from tests.media.test_ports import Ear, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
Connect = Callable[[str], Awaitable[Pair]]
_PATIENCE_S = 30
"""A process that stands still for a moment leaves a gap in the sound, which is heard at all frequencies."""


def tone(hz: float, sample_rate_hz: int, seconds: float = 60.0) -> bytes:
    samples = 8000 * np.sin(np.arange(round(seconds * sample_rate_hz)) * 2 * np.pi * hz / sample_rate_hz)
    return samples.astype("<i2").tobytes()


def level(samples: PcmSamples, hz: float, sample_rate_hz: int) -> float:
    """Amplitude at this frequency in the last 0.4 s."""
    last = samples[-round(0.4 * sample_rate_hz) :].astype(float)
    phase = np.arange(len(last)) * 2 * np.pi * hz / sample_rate_hz
    return float(np.hypot(np.sin(phase) @ last, np.cos(phase) @ last)) * 2 / max(len(last), 1)


def hears(ear: Ear, hz: float) -> bool:
    return level(ear.samples, hz, ear.audio.sample_rate_hz) > 4000


def is_deaf_to(ear: Ear, hz: float) -> bool:
    return level(ear.samples, hz, ear.audio.sample_rate_hz) < 200


@pytest_asyncio.fixture(loop_scope="module")
async def connect(loopback: Loopback) -> AsyncIterator[Connect]:
    """Makes calls that are hung up after the test, however it ends: the next one begins without any."""
    pairs: list[Pair] = []

    async def call_in(codec: str) -> Pair:
        pairs.append(await loopback.connect(codec))
        return pairs[-1]

    def hang_up_all() -> None:
        for pair in pairs:
            loopback.call(pair.caller_id).hangup(pj.CallOpParam())

    yield call_in
    for pair in pairs:
        pair.caller.close()
        pair.callee.close()
    await loopback.ask(hang_up_all)
    await until(lambda: not loopback.calls, _PATIENCE_S)


@pytest.mark.parametrize("codecs", [("PCMU/8000/1", "G722/16000/1"), ("L16/8000/1", "opus/48000/2")])
async def test_two_calls_talk_to_each_other_across_codecs(connect: Connect, codecs: tuple[str, str]) -> None:
    a, b = [await connect(codec) for codec in codecs]
    ears = Ear(a.caller), Ear(b.caller)
    a.callee.mix_from(b.callee)
    b.callee.mix_from(a.callee)
    a.caller.play(1, tone(400, a.caller.sample_rate_hz))
    b.caller.play(1, tone(700, b.caller.sample_rate_hz))
    await until(lambda: hears(ears[0], 700) and hears(ears[1], 400), _PATIENCE_S)
    await until(lambda: is_deaf_to(ears[0], 400), _PATIENCE_S)  # nobody hears themselves
    await until(lambda: is_deaf_to(ears[1], 700), _PATIENCE_S)
    assert a.callee.counters().frames_dropped == 0
    assert b.callee.line_counters().queued_ms < 150
    a.callee.unmix(b.callee)
    await until(lambda: is_deaf_to(ears[0], 700), _PATIENCE_S)
    assert hears(ears[1], 400)


async def test_one_listens_to_both_and_whispers_to_one_only(connect: Connect) -> None:
    a, b, supervisor = [await connect("L16/8000/1") for _ in range(3)]
    ears = Ear(a.caller), Ear(b.caller), Ear(supervisor.caller)
    a.callee.mix_from(b.callee)
    b.callee.mix_from(a.callee)
    for one in (a, b):
        supervisor.callee.mix_from(one.callee)
        supervisor.callee.mix_from(one.callee, LineTrack.SPOKEN)
    a.callee.mix_from(supervisor.callee)
    for pair, hz in ((a, 400), (b, 700), (supervisor, 1100)):
        pair.caller.play(1, tone(hz, 8000))
    a.callee.play(1, tone(1500, 8000, 60))  # what our side says to a
    await until(lambda: all(hears(ears[2], hz) for hz in (400, 700, 1500)), _PATIENCE_S)
    await until(lambda: hears(ears[0], 1100), _PATIENCE_S)
    await until(lambda: is_deaf_to(ears[1], 1100), _PATIENCE_S)
    await until(lambda: is_deaf_to(ears[2], 1100), _PATIENCE_S)  # and no echo of themselves


async def test_a_voice_in_the_ear_is_heard_by_our_side_alone(connect: Connect) -> None:
    a, supervisor = [await connect("L16/8000/1") for _ in range(2)]
    ours, theirs = Ear(a.callee), Ear(a.caller)
    a.callee.mix_from(supervisor.callee, end=LineEnd.EAR)
    supervisor.caller.play(1, tone(1100, 8000))
    await until(lambda: hears(ours, 1100), _PATIENCE_S)
    await until(lambda: is_deaf_to(theirs, 1100), _PATIENCE_S)


async def test_a_call_that_ends_takes_its_lines_along(connect: Connect) -> None:
    a, b = [await connect("L16/8000/1") for _ in range(2)]
    ear = Ear(b.caller)
    b.callee.mix_from(a.callee)
    a.callee.mix_from(b.callee)
    a.caller.play(1, tone(400, 8000))
    await until(lambda: hears(ear, 400), _PATIENCE_S)
    a.callee.close()
    await until(lambda: is_deaf_to(ear, 400), _PATIENCE_S)
    b.callee.unmix(a.callee)  # once more is no fault
    b.callee.mix_from(a.callee)  # nor is a call that is over
