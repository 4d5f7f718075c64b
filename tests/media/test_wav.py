# SPDX-License-Identifier: GPL-3.0-or-later
"""WAV files of every kind come in; a bad one says what is wrong with it."""

import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import wavfile

from media.errors import AudioFileError, MediaMisuse
from media.wav import HEADER_BYTES, read_wav, wav_header, write_wav
from tests.media.sound import sine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prompt.wav"


def test_what_is_written_is_read_again(file: Path) -> None:
    samples = sine(440, 0.5, 16000)
    write_wav(file, samples, 16000)
    again, sample_rate_hz = read_wav(file)
    assert sample_rate_hz == 16000
    assert np.array_equal(again, samples)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("sample_rate_hz", [8000, 44100])
def test_what_another_program_wrote_is_read(
    file: Path, dtype: type[np.generic], channels: int, sample_rate_hz: int
) -> None:
    mono = sine(440, 0.2, sample_rate_hz, -10)
    full_scale = {np.int16: 1.0, np.int32: 65536.0, np.float32: 1 / 32768, np.float64: 1 / 32768}[dtype]
    stored: NDArray[np.generic] = (mono.astype(np.float64) * full_scale).astype(dtype)
    wavfile.write(file, sample_rate_hz, stored if channels == 1 else np.column_stack([stored] * channels))
    samples, rate_hz = read_wav(file)
    assert rate_hz == sample_rate_hz
    assert np.array_equal(samples, mono)


@pytest.mark.parametrize("width_bytes", [1, 2, 3, 4])
def test_every_integer_width_is_read(file: Path, width_bytes: int) -> None:
    mono = sine(440, 0.2, 8000, -10)
    wide = (mono.astype(np.int64) << 16).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 4 - width_bytes :]
    if width_bytes == 1:
        wide = np.bitwise_xor(wide, np.uint8(0x80))  # 8 bits are stored without sign
    with wave.open(str(file), "wb") as wav:
        wav.setparams((1, width_bytes, 8000, 0, "NONE", ""))
        wav.writeframes(wide.tobytes())
    samples, _ = read_wav(file)
    assert np.abs(samples.astype(int) - mono).max() <= (255 if width_bytes == 1 else 0)


def test_the_extensible_header_of_24_bit_files_is_understood(file: Path) -> None:
    guid = struct.pack("<HH", 1, 0) + bytes.fromhex("000010008000 00aa00389b71".replace(" ", ""))
    coding = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 48000, 144000, 3, 24, 22, 24, 4) + guid
    data = b"\x00\x00\x40\x00\x00\xc0\x00\x00\x00\x00"  # 16384, -16384, 0 and half a sample
    chunks = b"fmt " + struct.pack("<I", len(coding)) + coding + b"LIST\x03\x00\x00\x00abc\x00"
    chunks += b"data" + struct.pack("<I", len(data)) + data
    file.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    samples, sample_rate_hz = read_wav(file)
    assert (samples.tolist(), sample_rate_hz) == ([16384, -16384, 0], 48000)


def test_channels_are_averaged(file: Path) -> None:
    wavfile.write(file, 8000, np.array([[1000, 3000], [-5, -6]], np.int16))
    assert read_wav(file)[0].tolist() == [2000, -6]


@pytest.mark.filterwarnings("error")
def test_floats_beyond_full_scale_clip_and_no_number_is_silence(file: Path) -> None:
    wavfile.write(file, 8000, np.array([2.0, -2.0, np.nan, -np.inf, 0.5], np.float32))
    assert read_wav(file)[0].tolist() == [32767, -32768, 0, -32768, 16384]


def test_a_file_cut_short_gives_what_is_there(file: Path) -> None:
    write_wav(file, np.arange(100, dtype=np.int16), 8000)
    os.truncate(file, HEADER_BYTES + 101)
    assert read_wav(file)[0].tolist() == list(range(50))


def test_a_file_that_was_being_streamed_has_no_lengths_and_is_read(file: Path) -> None:
    endless = bytearray(wav_header(8000, 1, 0))
    endless[4:8] = endless[40:44] = b"\xff\xff\xff\xff"
    file.write_bytes(bytes(endless) + np.arange(100, dtype="<i2").tobytes())
    assert read_wav(file)[0].tolist() == list(range(100))


def test_our_header_is_what_the_standard_library_expects(file: Path) -> None:
    file.write_bytes(wav_header(48000, 2, 400) + bytes(400))
    with wave.open(str(file), "rb") as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate(), wav.getnframes()) == (2, 2, 48000, 100)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a WAV file"),
        (b"ID3\x04 this is an MP3", "not a WAV file"),
        (wav_header(8000, 1, 0)[:36], "no data chunk"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "before its fmt chunk"),
        (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\0\0", "too short"),
        (wav_header(8000, 0, 0), "0 channels"),
        (wav_header(12, 1, 0), "12 Hz"),
        (wav_header(8000, 1, 0)[:20] + b"\x07\x00" + wav_header(8000, 1, 0)[22:], "tag 7"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(file: Path, content: bytes, fault: str) -> None:
    file.write_bytes(content)
    with pytest.raises(AudioFileError, match=fault) as raised:
        read_wav(file)
    assert str(file) in str(raised.value)


def test_files_that_cannot_be_opened_are_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"none\.wav: cannot be read: No such file"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(AudioFileError, match="Is a directory"):
        read_wav(tmp_path)
    with pytest.raises(AudioFileError, match=r"none/a\.wav: cannot be written: No such file"):
        write_wav(tmp_path / "none" / "a.wav", np.zeros(1, np.int16), 8000)
    with pytest.raises(MediaMisuse):
        write_wav(tmp_path / "a.wav", np.zeros(1, np.int16), 0)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(0, 59), st.integers(0, 255), max_size=8), st.integers(0, 80))
def test_no_damage_to_a_file_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, damage: dict[int, int], length: int
) -> None:
    content = bytearray(wav_header(8000, 2, 36) + bytes(36))
    for at, value in damage.items():
        content[at] = value
    file = tmp_path_factory.getbasetemp() / "damaged.wav"
    file.write_bytes(content[:length])
    try:
        samples, sample_rate_hz = read_wav(file)
    except AudioFileError:
        return
    assert samples.dtype == np.int16
    assert samples.ndim == 1
    assert sample_rate_hz >= 1000
