# SPDX-License-Identifier: GPL-3.0-or-later
"""Stereo Opus in Ogg (RFC 7845), encoded as it comes. The one door to PyAV, which brings FFmpeg's libopus and Ogg.

Settings, chosen by measurement (scripts/bench/recorder): 32 kbit/s for both channels together, libopus in its general
mode at complexity 0. Its voice mode costs twice the CPU at 48 kHz, complexity 5 half as much again at every rate. Pages
end every quarter of a second, the first after a whole one, so that a file that breaks off lacks little.
"""

import av
import numpy as np

from media.stereo import StereoSamples

_PAGE_US = 250_000
_BIT_RATE = 32_000


class _Gathered:
    """What the muxer has written since it was last asked: a file that is only ever appended to."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        return data


class OggOpusEncoder:
    """One file's encoder; the bytes it returns, put together, are the file. The rate is one of `SAMPLE_RATES_HZ`."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._given = 0  # samples, which are the encoder's time
        self._out = _Gathered()
        self._container = av.open(
            self._out, "w", format="ogg", options={"page_duration": str(_PAGE_US), "flush_packets": "1"}
        )
        self._stream = self._container.add_stream(
            "libopus", rate=sample_rate_hz, layout="stereo", options={"application": "audio", "compression_level": "0"}
        )
        self._stream.bit_rate = _BIT_RATE

    def begin(self) -> bytes:
        """The file's headers."""
        self._container.start_encoding()
        return self._out.take()

    def encode(self, block: StereoSamples) -> bytes:
        """What can be written with this block, of any length."""
        if not len(block):
            return b""
        interleaved = np.ascontiguousarray(block).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout="stereo")
        frame.sample_rate = self._rate_hz
        frame.pts = self._given
        self._given += len(block)
        self._container.mux(self._stream.encode(frame))
        return self._out.take()

    def finish(self) -> bytes:
        """The rest of the file, whose last page says how long it really is (RFC 7845 section 4.4)."""
        if not self._given:
            self.encode(np.zeros((1, 2), np.int16))  # FFmpeg opens no Ogg file without a packet of audio
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._out.take()
