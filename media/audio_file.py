# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings as people have them, WAV, MP3 or Ogg, turned into what a call can play. Behind PyAV's door: FFmpeg.

    first bytes > one demuxer, no guessing > decoder > mono, 8 or 16 kHz > at most so many seconds

Strangers' files come through here, so FFmpeg is told the format and given bytes, never a name that it could open.
"""

import io
from collections.abc import Iterator

import av
import numpy as np

from media.errors import AudioFileError
from media.frames import PcmSamples

NARROW_HZ, WIDE_HZ = 8000, 16000
"""What is recorded at no more than the first stays so; the rest has the second, which no leg exceeds."""


def decode_audio(content: bytes, *, max_s: float) -> tuple[PcmSamples, int]:
    """The recording as (mono int16, rate in Hz: 8000 or 16000). Blocks; call it in a thread.

    Channels are mixed. Raises `AudioFileError` for what is no such file, has no sound, or lasts longer than `max_s`.
    """
    try:
        with av.open(io.BytesIO(content), "r", format=_format(content), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioFileError("it holds no audio")
            stream = container.streams.audio[0]
            rate_hz = NARROW_HZ if stream.rate <= NARROW_HZ else WIDE_HZ
            samples = _mixed_down(container, stream, rate_hz, round(max_s * rate_hz))
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise AudioFileError(f"it cannot be decoded ({type(error).__name__})") from error
    if not len(samples):
        raise AudioFileError("it holds no sound")
    return samples, rate_hz


def _mixed_down(
    container: av.container.InputContainer, stream: av.AudioStream, rate_hz: int, max_samples: int
) -> PcmSamples:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    parts: list[PcmSamples] = []
    count = 0
    for frame in _frames(container, stream):
        for converted in resampler.resample(frame):
            part: PcmSamples = converted.to_ndarray().reshape(-1).view(np.int16)
            parts.append(part)
            count += len(part)
            if count > max_samples:
                raise AudioFileError(f"it is longer than {max_samples / rate_hz:g} s")
    return np.concatenate(parts) if parts else np.empty(0, np.int16)


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame | None]:
    """The decoded frames, and None at the end, which empties the resampler."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue  # one damaged packet: an MP3 that was cut in the middle begins so
    yield None


def _format(content: bytes) -> str:
    """FFmpeg's name of the format, by the first bytes."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "wav"
    if content[:4] == b"OggS":
        return "ogg"
    # A tag, or the first frame's eleven sync bits and a layer that is none (ISO 11172-3 section 2.4.1.3).
    if content[:3] == b"ID3" or (len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 in (0xE2, 0xE4)):
        return "mp3"
    raise AudioFileError("it is neither WAV nor MP3 nor Ogg")
