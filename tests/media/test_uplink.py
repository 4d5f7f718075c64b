# SPDX-License-Identifier: GPL-3.0-or-later
"""The uplink tap on real streams: RTP of our own making over loopback, judged by the samples that reach Python.

What the engine decides is tested in tests/native/test_uplink.cpp; here it is whether packets reach it and frames leave.
"""

import asyncio
import ctypes
import socket
import struct
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from media.frames import FrameFlags, PcmSamples
from media.ports import CallAudio, JitterPolicy
from tests.e2e.raw_caller import RawCaller
from tests.media.loopback import PJMEDIA_JITTER, Loopback
from tests.media.test_ports import Ear, noise, until

_FRAME = 160
_L16 = 96
_EVENTS = 101
_NOISE = 13
_SO_TIMESTAMPNS = 35
"""<asm-generic/socket.h>: each packet comes with the kernel's time of its arrival."""
_JOIN = 40
"""Samples in which what was made up is faded into what follows."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Line:
    """A raw caller's packets in, our frames out."""

    def __init__(self, caller: RawCaller, audio: CallAudio) -> None:
        self.caller = caller
        self.audio = audio
        self.ear = Ear(audio)

    def say(self, samples: PcmSamples) -> None:
        """One L16 packet, now."""
        self.caller.speak(samples.astype(">i2").tobytes(), _L16, len(samples))

    def lose(self, samples: PcmSamples) -> None:
        """One L16 packet that never arrives."""
        self.caller.clock.packet(samples.tobytes(), _L16, len(samples))

    @property
    def flags(self) -> list[FrameFlags]:
        return [frame.flags for frame in self.ear.frames]

    def assert_continuous(self) -> None:
        positions = np.array([frame.position_samples for frame in self.ear.frames])
        assert np.all(np.diff(positions) == self.audio.frame_samples)


async def connect(loopback: Loopback, caller: RawCaller, ptime_ms: int = 20) -> Line:
    await loopback.prefer("L16/8000/1")
    offer = (
        f"RTP/AVP {_L16} {_EVENTS} {_NOISE}\r\na=rtpmap:{_L16} L16/8000\r\na=rtpmap:{_EVENTS} telephone-event/8000\r\n"
        f"a=rtpmap:{_NOISE} CN/8000\r\na=ptime:{ptime_ms}"
    )
    answer = await asyncio.to_thread(caller.invite, "other", offer)
    assert answer.code == 200
    return Line(caller, await loopback.answered())


@pytest_asyncio.fixture(loop_scope="module")
async def line(loopback: Loopback) -> AsyncIterator[Line]:
    with RawCaller(loopback.port) as caller:
        line = await connect(loopback, caller)
        yield line
        await asyncio.to_thread(caller.bye, "other")
        line.audio.close()


def packets(samples: PcmSamples, size: int = _FRAME) -> list[PcmSamples]:
    return [samples[begin : begin + size] for begin in range(0, len(samples), size)]


async def test_packets_are_frames_bit_by_bit_in_their_place(line: Line) -> None:
    spoken = noise(0.2)
    for packet in packets(spoken):
        line.say(packet)
        await asyncio.sleep(0.02)
    await until(lambda: len(line.ear.frames) >= 10)
    assert line.ear.samples[: len(spoken)].tobytes() == spoken.tobytes()
    line.assert_continuous()
    assert line.audio.counters().packets_in == 10


async def test_nothing_is_heard_before_the_first_packet(line: Line) -> None:
    await asyncio.sleep(0.2)
    assert line.ear.frames == []


async def test_a_lost_packet_is_made_up_and_flagged_and_duplicates_are_dropped(line: Line) -> None:
    first, lost, last = packets(noise(0.06))
    line.say(first)
    line.lose(lost)
    line.say(last)
    line.caller.clock.sequence -= 1
    line.caller.clock.timestamp -= _FRAME
    line.say(last)
    await until(lambda: line.audio.counters().packets_duplicate == 1)
    await until(lambda: len(line.ear.frames) >= 3)
    assert line.flags[:3] == [FrameFlags.NONE, FrameFlags.CONCEALED, FrameFlags.NONE]
    assert line.ear.frames[2].samples[_JOIN:].tobytes() == last[_JOIN:].tobytes()
    line.assert_continuous()


async def test_a_silent_peer_is_answered_by_made_up_frames_in_time(line: Line) -> None:
    line.say(noise(0.02))
    await until(lambda: len(line.ear.frames) >= 20)
    line.assert_continuous()
    assert all(flags is FrameFlags.CONCEALED for flags in line.flags[1:])
    assert not np.any(line.ear.frames[-1].samples)
    counters = line.audio.counters()
    assert counters.frames_in - counters.frames_concealed == counters.packets_in == 1


async def test_packets_of_another_length_than_promised_give_the_same_frames(line: Line) -> None:
    spoken = noise(0.24)
    for packet in packets(spoken, 240):
        line.say(packet)
        await asyncio.sleep(0.03)
    await until(lambda: len(line.ear.frames) >= 12)
    assert line.ear.samples[: len(spoken)].tobytes() == spoken.tobytes()
    line.assert_continuous()


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 60])
async def test_packets_of_any_promised_length_are_heard_whole(loopback: Loopback, ptime_ms: int) -> None:
    with RawCaller(loopback.port) as caller:
        line = await connect(loopback, caller, ptime_ms)
        size = ptime_ms * 8
        spoken = noise(0.24)
        for packet in packets(spoken, size):
            line.say(packet)
            await asyncio.sleep(ptime_ms / 1000)
        await until(lambda: len(line.ear.samples) >= len(spoken))
        assert line.ear.samples[: len(spoken)].tobytes() == spoken.tobytes()
        line.assert_continuous()
        await asyncio.to_thread(caller.bye, "other")
        line.audio.close()


async def test_comfort_noise_is_heard_at_its_level(line: Line) -> None:
    line.say(noise(0.02))
    line.caller.speak(bytes([40]), _NOISE, 0)
    await until(lambda: len(line.ear.frames) >= 20)
    samples = line.ear.frames[-1].samples.astype(float)
    assert abs(10 * np.log10(np.mean(samples**2) / 32768**2) + 40) < 2
    assert line.flags[-1] is FrameFlags.CONCEALED
    line.assert_continuous()


async def test_frames_during_a_digit_are_flagged(line: Line) -> None:
    line.say(noise(0.02))
    for duration in range(160, 1600, 160):
        line.caller.speak(struct.pack("!BBH", 5, 10, duration), _EVENTS, 0)
        await asyncio.sleep(0.02)
    await until(lambda: any(FrameFlags.DTMF in flags for flags in line.flags))
    assert FrameFlags.DTMF not in line.flags[0]
    line.assert_continuous()


async def test_another_sender_on_the_same_line_continues_the_timeline(line: Line) -> None:
    for packet in packets(noise(0.1)):
        line.say(packet)
        await asyncio.sleep(0.02)
    line.caller.clock.ssrc ^= 0xFFFF
    line.caller.clock.timestamp = 17
    spoken = noise(0.1, seed=2)
    for packet in packets(spoken):
        line.say(packet)
        await asyncio.sleep(0.02)
    await until(lambda: line.ear.position_of(spoken[_FRAME:]) >= 0)
    assert line.audio.counters().ssrc_changes == 1
    line.assert_continuous()


async def test_the_policy_of_the_leg_says_how_long_is_waited(loopback: Loopback) -> None:
    loopback.jitter = JitterPolicy.ROBUST
    try:
        with RawCaller(loopback.port) as caller:
            line = await connect(loopback, caller)
            first, second, third = packets(noise(0.06))
            line.say(first)
            caller.clock.sequence += 1
            caller.clock.timestamp += _FRAME
            line.say(third)
            caller.clock.sequence -= 2
            caller.clock.timestamp -= 2 * _FRAME
            line.say(second)  # overtaken; where nothing is waited for it would come too late
            await until(lambda: len(line.ear.frames) >= 3)
            assert line.ear.samples[: 3 * _FRAME].tobytes() == b"".join(p.tobytes() for p in (first, second, third))
            assert line.audio.counters().packets_reordered == 1
            assert line.audio.counters().wait_ms >= 20
            await asyncio.to_thread(caller.bye, "other")
            line.audio.close()
    finally:
        loopback.jitter = JitterPolicy.BALANCED


async def test_pjmedias_own_jitter_buffer_can_be_compared_with(loopback: Loopback) -> None:
    loopback.jitter = PJMEDIA_JITTER
    try:
        with RawCaller(loopback.port) as caller:
            line = await connect(loopback, caller)
            await until(lambda: len(line.ear.frames) >= 5)  # without any packet
            assert line.audio.counters().packets_in == 0
            await asyncio.to_thread(caller.bye, "other")
            line.audio.close()
    finally:
        loopback.jitter = JitterPolicy.BALANCED


def _hold_gil(seconds: float) -> None:
    """Sleep in C without letting any Python run; what a careless extension module does."""
    ctypes.PyDLL(None).usleep(round(seconds * 1e6))


async def test_what_is_queued_is_sent_without_a_gap_while_the_gil_is_held(line: Line) -> None:
    rtp = line.caller.rtp
    rtp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    line.say(noise(0.02))
    spoken = noise(1.5)
    line.audio.play(1, spoken.tobytes())
    line.audio.end_utterance(1)
    await until(lambda: line.audio.queued_ms < 1300)
    held = time.time()
    _hold_gil(0.5)
    released = time.time()
    await until(lambda: line.audio.queued_ms == 0)
    await asyncio.sleep(0.1)
    rtp.setblocking(False)
    sent, during = b"", 0
    while True:
        try:
            packet, ancillary, _, _ = rtp.recvmsg(2048, 256)
        except BlockingIOError:
            break
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
        during += held < seconds + nanoseconds / 1e9 < released
        sent += np.frombuffer(packet[12:], ">i2").astype("<i2").tobytes()
    assert spoken.tobytes() in sent
    assert during >= 8  # 25 on a machine that does not stand still meanwhile
    assert line.audio.counters().underruns == 0
