# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as people have them, encoded here by FFmpeg, and what is no such file."""

import io

import av
import numpy as np
import pytest

from media.audio_file import decode_audio
from media.errors import AudioFileError
from media.tones import has_tone, tone


def encoded(format_name: str, codec: str, rate_hz: int, layout: str = "mono", seconds: float = 1.0) -> bytes:
    """A tone of 440 Hz in a file."""
    out = io.BytesIO()
    with av.open(out, "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        samples = tone([440], round(seconds * 1000), rate_hz)
        frame = av.AudioFrame.from_ndarray(
            np.repeat(samples, 2 if layout == "stereo" else 1).reshape(1, -1), format="s16", layout=layout
        )
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout=layout, rate=rate_hz, frame_size=stream.codec_context.frame_size
        )
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(
    ("format_name", "codec", "rate_hz", "layout", "decoded_hz"),
    [
        ("wav", "pcm_s16le", 44100, "stereo", 16000),
        ("wav", "pcm_s24le", 48000, "mono", 16000),
        ("wav", "pcm_alaw", 8000, "mono", 8000),
        ("mp3", "libmp3lame", 44100, "stereo", 16000),
        ("ogg", "libopus", 48000, "mono", 16000),
    ],
)
def test_each_format_is_read(format_name: str, codec: str, rate_hz: int, layout: str, decoded_hz: int) -> None:
    samples, sample_rate_hz = decode_audio(encoded(format_name, codec, rate_hz, layout), max_s=10)
    assert sample_rate_hz == decoded_hz
    assert abs(len(samples) / decoded_hz - 1.0) < 0.06
    assert has_tone(samples, 440, decoded_hz)


def test_a_file_that_was_cut_short_gives_what_is_there() -> None:
    whole = encoded("ogg", "libopus", 48000, seconds=4.0)
    samples, sample_rate_hz = decode_audio(whole[: len(whole) // 2], max_s=10)
    assert len(samples) > sample_rate_hz // 2


def test_what_lasts_too_long_is_refused_before_it_is_decoded_whole() -> None:
    with pytest.raises(AudioFileError, match="longer than"):
        decode_audio(encoded("wav", "pcm_s16le", 8000), max_s=0.5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"<html></html>",
        b"OggS" + bytes(100),
        b"ID3" + bytes(2000),
        b"\xff\xfb" + b"x" * 5000,
        b"RIFF\0\0\0\0WAVE" + b"x" * 100,
        b"#EXTM3U\nhttp://127.0.0.1/",
        b"ffconcat version 1.0\nfile /etc/passwd",
    ],
)
def test_what_is_no_audio_is_refused(content: bytes) -> None:
    with pytest.raises(AudioFileError):
        decode_audio(content, max_s=10)
