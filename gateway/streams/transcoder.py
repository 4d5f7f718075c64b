# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the leg's PCM and the stream's format, piece by piece. What is equal already passes as it is.

    leg's frames > rate > encoding > payload            payload > encoding > rate > leg's PCM

A leg that speaks G.711 gives G.711 to the stream without loss: decoding and encoding it are each other's inverse.
"""

from typing import TYPE_CHECKING

import numpy as np

from gateway.streams.messages import Encoding, StreamFormat
from media import g711
from media.frames import PcmSamples
from media.resample import StreamResampler

if TYPE_CHECKING:
    from media.voice_codecs import VoiceDecoder, VoiceEncoder

Payload = bytes | bytearray | memoryview
_BYTES_PER_S: dict[Encoding, int] = {"pcmu": 8000, "pcma": 8000, "g722": 8000}


def payload_ms(format: StreamFormat, payload: Payload) -> float:
    """How long a payload plays."""
    if format.encoding == "opus":
        from media.voice_codecs import opus_packet_ms

        return opus_packet_ms(payload)
    return len(payload) / bytes_per_ms(format)


def bytes_per_ms(format: StreamFormat) -> float:
    """Of every encoding but Opus."""
    return _BYTES_PER_S.get(format.encoding, 2 * format.sample_rate_hz) / 1000


class Encoder:
    """The way of one track to the backend."""

    def __init__(self, format: StreamFormat) -> None:
        self._rate_hz = format.sample_rate_hz
        self._encoding = format.encoding
        self._resampler: StreamResampler | None = None
        self._law = _law(format.encoding)
        self._codec: VoiceEncoder | None = _encoder(format.encoding)
        self._held = np.empty(0, np.int16)
        """Samples that make no whole packet of Opus yet, or of G.722 half a byte."""

    def encode(self, pcm: bytes, sample_rate_hz: int) -> list[bytes]:
        """Payloads for the next frame; none while a packet or a filter waits for more."""
        if sample_rate_hz == self._rate_hz and self._encoding == "l16":
            return [pcm]
        samples: PcmSamples = np.frombuffer(pcm, "<i2")
        if sample_rate_hz != self._rate_hz:
            if self._resampler is None or self._resampler.from_hz != sample_rate_hz:
                self._resampler = StreamResampler(sample_rate_hz, self._rate_hz)
            samples = self._resampler.process(samples)
        if self._codec is not None:
            return self._packets(self._codec, samples)
        if not len(samples):
            return []
        return [samples.tobytes() if self._law is None else self._law.encode(samples)]

    def _packets(self, codec: "VoiceEncoder", samples: PcmSamples) -> list[bytes]:
        held = np.concatenate((self._held, samples)) if len(self._held) else samples
        size = self._rate_hz // 50 if self._encoding == "opus" else len(held) // 2 * 2
        whole = len(held) // size * size if size else 0
        self._held = held[whole:]
        packets = [codec.encode(held[begin : begin + size]) for begin in range(0, whole, size)]
        return [packet for packet in packets if packet]


class Decoder:
    """The way of the backend's audio to the leg."""

    def __init__(self, format: StreamFormat) -> None:
        self._format = format
        self._law = _law(format.encoding)
        self.reset()

    def reset(self) -> None:
        """What follows does not continue what went before."""
        self._resampler: StreamResampler | None = None
        self._codec: VoiceDecoder | None = _decoder(self._format.encoding)
        self._odd = b""
        """Half a sample."""

    def decode(self, payload: Payload, sample_rate_hz: int) -> Payload:
        """PCM at the leg's rate, s16le."""
        rate_hz = self._format.sample_rate_hz
        if self._format.encoding == "l16":
            if self._odd or len(payload) & 1:
                payload = self._whole(payload)
            if sample_rate_hz == rate_hz:
                return payload
            samples: PcmSamples = np.frombuffer(payload, "<i2")
        elif self._law is not None:
            samples = self._law.decode(payload)
        else:
            assert self._codec is not None
            samples = self._codec.decode(payload)
        if sample_rate_hz != rate_hz:
            if self._resampler is None or self._resampler.to_hz != sample_rate_hz:
                self._resampler = StreamResampler(rate_hz, sample_rate_hz)
            samples = self._resampler.process(samples)
        return samples.tobytes()

    def flush(self, sample_rate_hz: int) -> bytes:
        """What the filter still holds, once no more will come for now; the next piece begins anew."""
        if self._resampler is None or self._resampler.to_hz != sample_rate_hz:
            return b""
        return self._resampler.flush().tobytes()

    def _whole(self, payload: Payload) -> bytes:
        joined = self._odd + payload
        end = len(joined) & ~1
        self._odd = joined[end:]
        return joined[:end]


def _law(encoding: Encoding) -> g711.G711 | None:
    return g711.mu_law() if encoding == "pcmu" else g711.a_law() if encoding == "pcma" else None


def _encoder(encoding: Encoding) -> "VoiceEncoder | None":
    if encoding not in ("g722", "opus"):
        return None
    from media.voice_codecs import VoiceEncoder

    return VoiceEncoder(encoding)


def _decoder(encoding: Encoding) -> "VoiceDecoder | None":
    if encoding not in ("g722", "opus"):
        return None
    from media.voice_codecs import VoiceDecoder

    return VoiceDecoder(encoding)
