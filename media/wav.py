# SPDX-License-Identifier: GPL-3.0-or-later
"""WAV files in and out. All of it blocks on the disk: from the event loop, call it in a thread.

The reader walks the RIFF chunks itself: `wave` (before Python 3.12) refuses the extensible header that 24-bit files
have and knows no floats; `scipy.io.wavfile` refuses files that were cut short.
"""

import struct
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media.errors import AudioFileError, MediaMisuse
from media.frames import PcmSamples

HEADER_BYTES = 44
UNKNOWN_BYTES = 0xFFFFFFFF
"""A header's length of data that are being streamed, by custom."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8)}


def read_wav(path: Path) -> tuple[PcmSamples, int]:
    """Read a WAV file of integer or float samples, any width, any channels, any rate, as (mono int16, rate in Hz).

    Channels are averaged; nothing is resampled. A file that was cut short, or was being streamed and has no lengths in
    its header, gives what is there. Raises `AudioFileError`, which names the file and the fault.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        coding, data = _walk(content)
        return _decode(coding, data), coding.sample_rate_hz
    except ValueError as error:
        raise AudioFileError(f"{path}: {error}") from error


def write_wav(path: Path, samples: PcmSamples, sample_rate_hz: int) -> None:
    """Write a mono 16-bit WAV file, over whatever was there. Raises `AudioFileError`."""
    if sample_rate_hz <= 0:
        raise MediaMisuse(f"no WAV file has a sample rate of {sample_rate_hz} Hz")
    try:
        with path.open("wb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(sample_rate_hz)
            wav.writeframes(samples.astype("<i2").tobytes())
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be written: {error.strerror}") from error


def wav_header(sample_rate_hz: int, channels: int, data_bytes: int) -> bytes:
    """The header, `HEADER_BYTES` long, of a 16-bit PCM file with `data_bytes` (or `UNKNOWN_BYTES`) after it."""
    frame_bytes = 2 * channels
    riff = struct.pack("<4sI4s", b"RIFF", min(HEADER_BYTES - 8 + data_bytes, UNKNOWN_BYTES), b"WAVE")
    coding = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, _PCM, channels, sample_rate_hz, sample_rate_hz * frame_bytes, frame_bytes, 16
    )
    return riff + coding + struct.pack("<4sI", b"data", data_bytes)


def with_length(header: bytes, file_bytes: int) -> bytes:
    """Such a header again, for a file that has turned out to be so long."""
    channels, sample_rate_hz = struct.unpack_from("<HI", header, 22)
    return wav_header(sample_rate_hz, channels, file_bytes - HEADER_BYTES)


@dataclass(frozen=True, slots=True)
class _Coding:
    """What the `fmt ` chunk says."""

    format_tag: int
    channels: int
    sample_rate_hz: int
    width_bytes: int
    """Of one sample of one channel as stored: a 20-bit sample takes 3."""

    @classmethod
    def parse(cls, chunk: bytes) -> "_Coding":
        if len(chunk) < 16:
            raise ValueError("its fmt chunk is too short")
        tag, channels, sample_rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
        if tag == _EXTENSIBLE and len(chunk) >= 26:
            tag = struct.unpack_from("<H", chunk, 24)[0]  # the format tag again, as the start of a GUID
        if not channels or frame_bytes % channels:
            raise ValueError(f"its header gives {channels} channels in {frame_bytes} bytes")
        if not 1000 <= sample_rate_hz <= 384000:
            raise ValueError(f"its sample rate of {sample_rate_hz} Hz makes no sense")
        width_bytes = frame_bytes // channels
        if width_bytes not in _WIDTHS.get(tag, ()):
            raise ValueError(f"its format (tag {tag}, {bits} bits) is neither integer nor float samples")
        return cls(tag, channels, sample_rate_hz, width_bytes)


def _walk(content: bytes) -> tuple[_Coding, bytes]:
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("it is not a WAV file")
    coding: _Coding | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        body = content[at + 8 : at + 8 + size]
        if name == b"fmt ":
            coding = _Coding.parse(body)
        elif name == b"data":
            if coding is None:
                raise ValueError("its data come before its fmt chunk")
            return coding, body
        at += 8 + size + size % 2
    raise ValueError("it has no data chunk")


def _decode(coding: _Coding, data: bytes) -> PcmSamples:
    width, channels = coding.width_bytes, coding.channels
    data = data[: len(data) // (width * channels) * width * channels]
    if coding.format_tag == _FLOAT:
        floats = np.frombuffer(data, f"<f{width}").astype(np.float64)
        scaled = np.nan_to_num(floats, posinf=1.0, neginf=-1.0) * 32768.0
    elif width == 1:  # the only width without a sign
        scaled = (np.frombuffer(data, np.uint8).astype(np.float64) - 128.0) * 256.0
    elif width == 3:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        scaled = padded.reshape(-1).view("<i4").astype(np.float64) / 65536.0
    else:
        scaled = np.frombuffer(data, f"<i{width}").astype(np.float64) / 2.0 ** (8 * width - 16)
    return _to_pcm(scaled.reshape(-1, channels).mean(axis=1))


def _to_pcm(scaled: NDArray[np.float64]) -> PcmSamples:
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
