# SPDX-License-Identifier: GPL-3.0-or-later
"""G.722 and Opus for streams, packet by packet, by PyAV (FFmpeg's G.722, libopus). RTP legs have native codecs instead.

Measured per 20 ms: G.722 46 us to encode and 14 us to decode, Opus 160 us and 24 us. FFmpeg takes some 25 MB: import
this only for a stream that wants it.
"""

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from media.frames import PcmSamples

Payload = bytes | bytearray | memoryview

_BIT_RATE = 24_000
"""Of Opus, mono speech."""
OPUS_RATE_HZ = 48_000
G722_RATE_HZ = 16_000
_MAX_OPUS_FRAME_BYTES = 1275 + 2
"""RFC 6716 section 3.4, and two bytes that tell its length."""
_OPUS_HEAD_BYTES = 2
OPUS_PACKET_SAMPLES = OPUS_RATE_HZ // 50


class VoiceEncoder:
    """One stream's, `g722` at 16 kHz or `opus` at 48 kHz. Opus takes 20 ms at a time and makes a packet of each."""

    def __init__(self, codec: str) -> None:
        self._codec = _codec(codec, "w")
        self._codec.sample_rate = self._rate_hz = OPUS_RATE_HZ if codec == "opus" else G722_RATE_HZ
        self._codec.layout = "mono"
        self._codec.format = "s16"
        if codec == "opus":
            self._codec.bit_rate = _BIT_RATE
            self._codec.options = {"application": "voip", "frame_duration": "20"}
        self._given = 0

    def encode(self, samples: PcmSamples) -> bytes:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.pts = self._given
        self._given += len(samples)
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class VoiceDecoder:
    """One stream's. What cannot be decoded is silence of no length."""

    def __init__(self, codec: str) -> None:
        self._codec = _codec(codec, "r")
        self._codec.sample_rate = OPUS_RATE_HZ if codec == "opus" else G722_RATE_HZ
        self._codec.layout = "mono"

    def decode(self, payload: Payload) -> PcmSamples:
        """Of G.722 any number of bytes, of Opus one packet."""
        try:
            frames = self._codec.decode(av.Packet(bytes(payload)))
        except av.FFmpegError:
            return np.empty(0, np.int16)
        pieces = [frame.to_ndarray().reshape(-1) for frame in frames]
        return np.concatenate(pieces) if pieces else np.empty(0, np.int16)


def _codec(name: str, mode: Literal["r", "w"]) -> AudioCodecContext:
    codec = av.CodecContext.create("libopus" if name == "opus" else name, mode)
    assert isinstance(codec, AudioCodecContext)
    return codec


def opus_packet_ms(packet: Payload) -> float:
    """How long an Opus packet plays, by its first two bytes (RFC 6716 section 3.1); 0 for one that is none."""
    if not packet:
        return 0.0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame_ms = (10.0, 20.0, 40.0, 60.0)[config & 3]
    elif config < 16:
        frame_ms = (10.0, 20.0)[config & 1]
    else:
        frame_ms = (2.5, 5.0, 10.0, 20.0)[config & 3]
    frames = (1, 2, 2)[code] if code < 3 else packet[1] & 0x3F if len(packet) > 1 else 0
    total_ms = frames * frame_ms
    if total_ms > 120.0 or len(packet) > frames * _MAX_OPUS_FRAME_BYTES + _OPUS_HEAD_BYTES:
        return 0.0
    return total_ms
