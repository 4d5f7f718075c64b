# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording's file while it is written: what the writer's thread does with the audio of one call.

    runs of frames > TrackConverter > StereoTimeline > WAV or Ogg Opus > sealed when there is a key > disk

Everything blocks on the disk; an `OSError` goes up. At every moment the file is playable: a WAV header is brought up to
date after every write, an encrypted one says "length unknown" and the reader knows the length; Ogg pages and sealed
chunks stand for themselves.
"""

import errno
import os
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from media.encryption import EncryptionKey
from media.sealed import SEALED_SUFFIX, Sealer
from media.stereo import StereoSamples, StereoTimeline, Track, TrackConverter
from media.wav import HEADER_BYTES, UNKNOWN_BYTES, wav_header

RecordingFormat = Literal["wav", "opus"]

_SUFFIXES: dict[RecordingFormat, str] = {"wav": ".wav", "opus": ".ogg"}
_CHANNELS = 2
_FRAME_BYTES = 2 * _CHANNELS
_MAX_WAV_BYTES = UNKNOWN_BYTES - 1 - HEADER_BYTES
"""What a WAV header can say: 37 hours at 8 kHz, 6 at 48."""


@dataclass(slots=True)
class Run:
    """Frames of one track that follow on each other: a dozen of them cost the writer as much as one."""

    position_samples: int
    sample_rate_hz: int
    pieces: deque[bytes]
    end_samples: int


class Encoder(Protocol):
    """Makes a file of stereo blocks; what its methods return, put together, is the file."""

    def begin(self) -> bytes: ...

    def encode(self, block: StereoSamples) -> bytes: ...

    def finish(self) -> bytes: ...


class _WavEncoder:
    """The header is written by the file, which knows the length."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._bytes = 0

    def begin(self) -> bytes:
        return wav_header(self._rate_hz, _CHANNELS, UNKNOWN_BYTES)

    def encode(self, block: StereoSamples) -> bytes:
        self._bytes += block.nbytes
        if self._bytes > _MAX_WAV_BYTES:
            raise OSError(errno.EFBIG, "a WAV file cannot be longer")
        return block.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        return b""


def _encoder(form: RecordingFormat, sample_rate_hz: int) -> Encoder:
    if form == "wav":
        return _WavEncoder(sample_rate_hz)
    from media.ogg_opus import OggOpusEncoder  # FFmpeg takes some 25 MB: only for those who want it

    return OggOpusEncoder(sample_rate_hz)


def recording_suffix(form: RecordingFormat, *, encrypted: bool) -> str:
    """`.wav`, `.ogg`, `.wav.enc`, `.ogg.enc`."""
    return _SUFFIXES[form] + (SEALED_SUFFIX if encrypted else "")


class RecordingFile:
    """The file and what goes into it. `stopped` may be read by any thread, the rest belongs to the writer's."""

    def __init__(self, path: Path, sample_rate_hz: int, form: RecordingFormat, key: EncryptionKey | None) -> None:
        self.path = path
        self._rate_hz = sample_rate_hz
        self._form: RecordingFormat = form
        self._key = key
        self._sealer: Sealer | None = None
        self._encoder: Encoder | None = None
        self._converters = {track: TrackConverter(sample_rate_hz) for track in Track}
        self._timeline = StereoTimeline(sample_rate_hz)
        self._fd: int | None = None
        self._size = 0
        """Bytes in the file."""
        self._frames = 0
        self.stopped = False
        """Nothing more can be written."""

    @property
    def late_samples(self) -> int:
        """Samples that came after their place was written."""
        return self._timeline.late_samples

    @property
    def duration_s(self) -> float:
        return self._frames / self._rate_hz

    @property
    def start_position_samples(self) -> int:
        """The leg's position, at the file's rate, at the file's first sample."""
        return self._timeline.start_position_samples

    def write(self, runs: Mapping[Track, deque[Run]]) -> None:
        """Write what has become certain with these."""
        if self.stopped:
            return
        if self._fd is None:
            self._create()
        firsts = [track_runs[0] for track_runs in runs.values() if track_runs]
        if firsts:  # the earlier of the two tracks is where the recording begins
            self._timeline.begin(min(run.position_samples * self._rate_hz // run.sample_rate_hz for run in firsts))
        for track, converter in self._converters.items():
            for run in runs[track]:
                samples = np.frombuffer(b"".join(run.pieces), "<i2")
                for position, converted in converter.convert(run.position_samples, samples, run.sample_rate_hz):
                    self._timeline.put(track, position, converted)
        self._write_blocks(self._timeline.take())

    def finish(self) -> None:
        """Write what is left, make it durable, close the file."""
        if self._fd is None:
            return
        for track, converter in self._converters.items():
            for position, converted in converter.finish():
                self._timeline.put(track, position, converted)
        self._write_blocks(self._timeline.finish())
        assert self._encoder is not None
        self._append(self._encoder.finish(), last=True)
        os.fsync(self._fd)
        fd, self._fd = self._fd, None
        os.close(fd)

    def stop(self) -> None:
        """Give up after an error; what has been written stays, and stays playable."""
        self.stopped = True
        self._encoder = None
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        if self._form == "wav" and self._sealer is None:  # what fitted of the write that failed counts
            self._frames = max(0, self._size - HEADER_BYTES) // _FRAME_BYTES
        with suppress(OSError):
            self._maybe_write_wav_header(fd)
        with suppress(OSError):
            os.close(fd)

    def _create(self) -> None:
        # The path is ours alone (O_EXCL also refuses a link somebody has put there), and private.
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        suffix = recording_suffix(self._form, encrypted=self._key is not None)
        if self._key is not None:
            self._sealer = Sealer(self._key, _SUFFIXES[self._form], self.path.name.removesuffix(suffix))
            self._pwrite(self._sealer.header)
        self._encoder = _encoder(self._form, self._rate_hz)
        self._append(self._encoder.begin())

    def _write_blocks(self, blocks: Iterable[StereoSamples]) -> None:
        assert self._encoder is not None
        for block in blocks:
            self._append(self._encoder.encode(block))
            self._frames += len(block)

    def _append(self, data: bytes, *, last: bool = False) -> None:
        if self._sealer is not None:
            data = self._sealer.seal(data, last=last)
        if data:
            self._pwrite(data)
            assert self._fd is not None
            self._maybe_write_wav_header(self._fd)

    def _pwrite(self, data: bytes) -> None:
        assert self._fd is not None
        left = memoryview(data)
        while left:
            count = os.pwrite(self._fd, left, self._size)
            self._size += count
            left = left[count:]

    def _maybe_write_wav_header(self, fd: int) -> None:
        """The header follows the data it speaks of, and speaks of whole frames only."""
        if self._form == "wav" and self._sealer is None and self._size >= HEADER_BYTES:
            data_bytes = (self._size - HEADER_BYTES) // _FRAME_BYTES * _FRAME_BYTES
            os.pwrite(fd, wav_header(self._rate_hz, _CHANNELS, data_bytes), 0)
