# SPDX-License-Identifier: GPL-3.0-or-later
"""The uplink's own decoders on real streams: payloads made here, or by libopus's encoder, judged by the samples."""

import asyncio
import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from media.frames import FrameFlags, PcmSamples
from media.tones import tone
from tests.e2e.raw_caller import RawCaller
from tests.media.loopback import Loopback
from tests.media.test_ports import Ear, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _mu_law(code: int) -> int:
    """ITU-T G.711 table 2a, scaled to 16 bit."""
    code = ~code & 0xFF
    magnitude = ((2 * (code & 0x0F) + 33) << (code >> 4 & 7)) - 33
    return -4 * magnitude if code & 0x80 else 4 * magnitude


def _a_law(code: int) -> int:
    """ITU-T G.711 table 1a, scaled to 16 bit."""
    code ^= 0x55
    segment, step = code >> 4 & 7, code & 0x0F
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)
    return 8 * magnitude if code & 0x80 else -8 * magnitude


@pytest.mark.parametrize(("name", "payload_type", "decode"), [("PCMU", 0, _mu_law), ("PCMA", 8, _a_law)])
async def test_every_code_of_g711_is_its_sample(
    loopback: Loopback, name: str, payload_type: int, decode: Callable[[int], int]
) -> None:
    await loopback.prefer(f"{name}/8000/1")
    with RawCaller(loopback.port) as caller:
        offer = f"RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} {name}/8000"
        assert (await asyncio.to_thread(caller.invite, "other", offer)).code == 200
        audio = await loopback.answered()
        ear = Ear(audio)
        codes = bytes(range(256)) + bytes(64)
        for begin in range(0, 320, 160):
            caller.speak(codes[begin : begin + 160], payload_type)
        await until(lambda: len(ear.samples) >= 320)
        assert ear.samples[:256].tolist() == [decode(code) for code in range(256)]
        await asyncio.to_thread(caller.bye, "other")
        audio.close()


class Opus:
    """libopus's encoder: 16 kHz mono, 20 ms, for speech, expecting loss."""

    _BITRATE, _FEC, _LOSS = 4002, 4012, 4014

    def __init__(self, *, fec: bool) -> None:
        self._library = ctypes.CDLL("libopus.so.0")
        self._library.opus_encoder_create.restype = ctypes.c_void_p
        self._encoder = ctypes.c_void_p(self._library.opus_encoder_create(16000, 1, 2048, None))
        for request, value in ((self._BITRATE, 24000), (self._FEC, int(fec)), (self._LOSS, 20 if fec else 0)):
            assert self._library.opus_encoder_ctl(self._encoder, request, value) == 0

    def packets(self, samples: PcmSamples) -> list[bytes]:
        packets = []
        for begin in range(0, len(samples), 320):
            frame = np.ascontiguousarray(samples[begin : begin + 320], "<i2")
            out = ctypes.create_string_buffer(1500)
            pcm = frame.ctypes.data_as(ctypes.c_void_p)
            size = self._library.opus_encode(self._encoder, pcm, 320, out, len(out))
            assert size > 0
            packets.append(out.raw[:size])
        return packets


async def _opus(loopback: Loopback, caller: RawCaller) -> Ear:
    await loopback.prefer("opus/48000/2")
    offer = "RTP/AVP 98\r\na=rtpmap:98 opus/48000/2\r\na=fmtp:98 useinbandfec=1"
    assert (await asyncio.to_thread(caller.invite, "other", offer)).code == 200
    ear = Ear(await loopback.answered())
    return ear


async def test_opus_is_decoded_at_once_and_not_one_packet_later(loopback: Loopback) -> None:
    with RawCaller(loopback.port) as caller:
        ear = await _opus(loopback, caller)
        caller.speak(Opus(fec=False).packets(tone((400.0,), 20, 16000))[0], 98, 960)
        await until(lambda: len(ear.frames) >= 1)
        assert ear.frames[0].flags is FrameFlags.NONE
        assert np.any(ear.frames[0].samples)
        await asyncio.to_thread(caller.bye, "other")


@pytest.mark.parametrize("fec", [True, False])
async def test_a_lost_opus_packet_comes_back_out_of_the_next_one_if_that_has_it(loopback: Loopback, fec: bool) -> None:
    with RawCaller(loopback.port) as caller:
        ear = await _opus(loopback, caller)
        audio = ear.audio
        # A voice, more or less: what the encoder takes for silence gets no redundancy.
        voice = np.sin(np.arange(16000) * 2 * np.pi * 150 / 16000) ** 5
        speech = (12000 * voice * (1 + np.sin(np.arange(16000) / 900)) / 2).astype(np.int16)
        encoded = Opus(fec=fec).packets(speech)
        carriers = [n for n, packet in enumerate(encoded) if packet[1] & 0x40]  # LBRR, RFC 6716 section 4.2.3
        lost = min((n - 1 for n in carriers if n > 20), default=20)
        assert bool(carriers) == fec
        for number, packet in enumerate(encoded):
            if number == lost:
                caller.clock.packet(packet, 98, 960)
            else:
                caller.speak(packet, 98, 960)
            await asyncio.sleep(0.02)
        await until(lambda: len(ear.frames) >= 50)
        assert audio.counters().packets_recovered == int(fec)
        positions = np.diff([frame.position_samples for frame in ear.frames])
        assert np.all(positions == audio.frame_samples)
        await asyncio.to_thread(caller.bye, "other")
