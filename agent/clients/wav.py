# SPDX-License-Identifier: GPL-3.0-or-later
"""The header in front of 16-bit mono PCM that makes it a WAV file, in memory (RIFF WAVE, format 1)."""

import struct

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM = 1
_BYTES = 2
_FMT_BYTES = 16
_UNKNOWN = 0
"""The length of a stream, whose end nobody knows yet."""


def wav_header(sample_rate_hz: int, data_bytes: int = _UNKNOWN) -> bytes:
    """44 bytes. Without a length it is the beginning of a stream."""
    riff_bytes = _HEADER.size - 8 + data_bytes if data_bytes else _UNKNOWN
    rate_bytes = sample_rate_hz * _BYTES
    fmt = (b"fmt ", _FMT_BYTES, _PCM, 1, sample_rate_hz, rate_bytes, _BYTES, 8 * _BYTES)
    return _HEADER.pack(b"RIFF", riff_bytes, b"WAVE", *fmt, b"data", data_bytes)
