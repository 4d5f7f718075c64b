# SPDX-License-Identifier: GPL-3.0-or-later
"""Records calls to stereo WAV files, caller left, agent right, while they go on.

    event loop: Recorder.caller / .agent > bounded queues | writer thread: TrackConverter > StereoTimeline > file

One `RecordingWriter` per process, with one thread, which wakes four times a second and writes what all calls have
gathered. The event loop never waits for the disk.

What survives: the header is brought up to date after every write, so a file is playable at every moment; after a
kill -9 at most the last second and a quarter is missing. fsync is called once, when a recording is closed: after a
power failure a recording in progress has what the kernel had written back by then (30 s by default).
"""

import errno
import os
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, Thread

import numpy as np
import structlog

from media.errors import MediaMisuse
from media.frames import PcmFrame, check_rate
from media.stereo import StereoSamples, StereoTimeline, Track, TrackConverter
from media.wav import HEADER_BYTES, wav_header

log = structlog.get_logger(__name__)

WRITE_INTERVAL_S = 0.25
QUEUE_S = 10
"""How much of each track waits for the disk at most."""

_CHANNELS = 2
_MAX_DATA_BYTES = 0xFFFFFFFF - HEADER_BYTES
"""What a WAV header can say: 37 hours at 8 kHz, 6 at 48."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished recording."""

    path: Path
    duration_s: float
    start_position_samples: int
    """The leg's position, at the file's rate, at the file's first sample."""
    complete: bool
    """False when it ended early, or audio was dropped, because of the disk; what is in the file is good."""


@dataclass(slots=True)
class _Run:
    """Pieces of one track that follow on each other: a dozen frames cost the writer as much as one."""

    position_samples: int
    sample_rate_hz: int
    pieces: deque[bytes]
    end_samples: int


class Recorder:
    """One call's recording, made by `RecordingWriter.open`. All of it belongs to the event loop; nothing blocks.

    The file keeps the rate it began with; a leg that changes its rate is converted. It begins with the first audio
    given. Gaps in the leg's timeline and paused stretches become silence, so that times in the file stay the leg's.
    """

    def __init__(self, path: Path, sample_rate_hz: int, wake: Condition) -> None:
        self._file = _RecordingFile(path, sample_rate_hz)
        self._rate_hz = sample_rate_hz
        self._queues = {track: _TrackQueue(QUEUE_S * sample_rate_hz) for track in Track}
        self._wake = wake
        self._paused = False
        self._closed: Future[Recording] | None = None
        self._log_context = copy_context()  # call_id is bound here, and not on the writer's thread

    @property
    def queued_samples(self) -> int:
        """Samples waiting for the disk, both tracks together."""
        return sum(queue.sample_count for queue in self._queues.values())

    @property
    def dropped_samples(self) -> int:
        """Samples that the disk was too slow for, both tracks together."""
        return sum(queue.dropped_samples for queue in self._queues.values())

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closed is not None

    def caller(self, frame: PcmFrame) -> None:
        """Record a frame of what the caller said."""
        self._put(Track.CALLER, frame.position_samples, frame.sample_rate_hz, frame.pcm)

    def agent(self, position_samples: int, pcm: bytes, sample_rate_hz: int | None = None) -> None:
        """Record what was really sent to the caller, on the same timeline; the rate is the file's unless given."""
        self._put(Track.AGENT, position_samples, sample_rate_hz or self._rate_hz, pcm)

    def pause(self) -> None:
        """From here on record silence (a card number is being read out). What is paused never reaches the disk."""
        self._paused = True

    def resume(self) -> None:
        """Record sound again."""
        self._paused = False

    def close(self) -> "Future[Recording]":
        """End the recording. The future is done when the file is whole and on the disk; it never fails.

        On the event loop: `await asyncio.wrap_future(recorder.close())`.
        """
        if self._closed is None:
            self._closed = Future()
            self._closed.set_running_or_notify_cancel()  # a cancelled waiter must not cancel the writing
            with self._wake:
                self._wake.notify()
        return self._closed

    def _put(self, track: Track, position_samples: int, sample_rate_hz: int, pcm: bytes) -> None:
        if pcm and self._closed is None and not self._file.stopped:
            self._queues[track].put(position_samples, sample_rate_hz, bytes(len(pcm)) if self._paused else pcm)

    # From here on: the writer's thread.

    def write(self) -> bool:
        """Bring to disk what has gathered; return whether the recording is finished."""
        closed = self._closed  # read before the queues: what was queued before close() is written before the end
        try:
            self._file.write({track: queue.drain() for track, queue in self._queues.items()})
            if closed is not None:
                self._file.finish()
        except OSError as error:
            # Disk full, folder gone, quota ...: the recording ends here, the call goes on.
            self._stop(errno.errorcode.get(error.errno or 0, "unknown"))
        except Exception:
            # A fault of ours in one recording must not end the thread that writes all the others.
            self._log_context.run(log.exception, "recording_fault")
            self._stop("fault")
        if closed is None:
            return False
        recording = self._file.recording(complete=not self._file.stopped and not self.dropped_samples)
        self._log_context.run(
            log.info,
            "recording_closed",
            duration_s=round(recording.duration_s, 2),
            complete=recording.complete,
            dropped_samples=self.dropped_samples,
            late_samples=self._file.late_samples,
        )
        closed.set_result(recording)
        return True

    def _stop(self, reason: str) -> None:
        self._file.stop()
        self._log_context.run(log.warning, "recording_stopped", reason=reason)


class RecordingWriter:
    """The thread that brings all recordings of the process to disk; it starts with the first one."""

    def __init__(self) -> None:
        self._wake = Condition()
        self._recorders: list[Recorder] = []
        self._ending = False
        self._thread = Thread(target=self._run, name="recording-writer", daemon=True)

    def open(self, path: Path, sample_rate_hz: int) -> Recorder:
        """Begin a recording. The file must not exist; it will be readable by its owner only.

        A file that cannot be made shows as a log line and in `Recording.complete`, as a full disk does later.
        """
        check_rate(sample_rate_hz)
        recorder = Recorder(path, sample_rate_hz, self._wake)
        with self._wake:
            if self._ending:
                raise MediaMisuse("the recording writer has been closed")
            self._recorders.append(recorder)
            if not self._thread.is_alive():
                self._thread.start()
            self._wake.notify()
        return recorder

    def close(self) -> None:
        """End all recordings and wait until they are on the disk. Blocks: for the end of the process."""
        with self._wake:
            self._ending = True
            recorders = list(self._recorders)
            self._wake.notify()
        for recorder in recorders:
            recorder.close().result()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._recorders and self._ending:
                    return
                if not any(recorder.closing for recorder in self._recorders):
                    self._wake.wait(WRITE_INTERVAL_S if self._recorders else None)
                recorders = list(self._recorders)
            finished = [recorder for recorder in recorders if recorder.write()]
            with self._wake:
                for recorder in finished:
                    self._recorders.remove(recorder)


class _TrackQueue:
    """One track on its way from the event loop to the writer. When full it drops the oldest piece and counts it: a slow
    disk costs a hole in the recording, never memory or the call."""

    def __init__(self, max_samples: int) -> None:
        self._max_samples = max_samples
        self._runs: deque[_Run] = deque()
        self._lock = Lock()  # held for a few list operations, never while writing
        self.sample_count = 0
        self.dropped_samples = 0

    def put(self, position_samples: int, sample_rate_hz: int, pcm: bytes) -> None:
        with self._lock:
            run = self._runs[-1] if self._runs else None
            if run is None or (run.end_samples, run.sample_rate_hz) != (position_samples, sample_rate_hz):
                run = _Run(position_samples, sample_rate_hz, deque(), position_samples)
                self._runs.append(run)
            run.pieces.append(pcm)
            run.end_samples += len(pcm) // 2
            self.sample_count += len(pcm) // 2
            while self.sample_count > self._max_samples:
                self._drop_oldest()

    def drain(self) -> deque[_Run]:
        with self._lock:
            runs, self._runs = self._runs, deque()
            self.sample_count = 0
        return runs

    def _drop_oldest(self) -> None:
        run = self._runs[0]
        dropped = len(run.pieces.popleft()) // 2
        run.position_samples += dropped
        if not run.pieces:
            self._runs.popleft()
        self.sample_count -= dropped
        self.dropped_samples += dropped


class _RecordingFile:
    """The file and what goes into it, in the writer's thread. Any `OSError` goes up."""

    def __init__(self, path: Path, sample_rate_hz: int) -> None:
        self._path = path
        self._rate_hz = sample_rate_hz
        self._converters = {track: TrackConverter(sample_rate_hz) for track in Track}
        self._timeline = StereoTimeline(sample_rate_hz)
        self._fd: int | None = None
        self._data_bytes = 0
        self.stopped = False
        """Set once, read by the event loop: nothing more can be written."""

    @property
    def late_samples(self) -> int:
        return self._timeline.late_samples

    def recording(self, complete: bool) -> Recording:
        frames = self._data_bytes // (2 * _CHANNELS)
        return Recording(self._path, frames / self._rate_hz, self._timeline.start_position_samples, complete)

    def write(self, runs: Mapping[Track, Iterable[_Run]]) -> None:
        """Write what has become certain with these; the header follows the data it speaks of."""
        if self.stopped:
            return
        if self._fd is None:
            # The path is ours alone (O_EXCL also refuses a link somebody has put there), and private.
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._write_header(self._fd)
        written = self._data_bytes
        for track, converter in self._converters.items():
            for run in runs[track]:
                samples = np.frombuffer(b"".join(run.pieces), "<i2")
                for position, converted in converter.convert(run.position_samples, samples, run.sample_rate_hz):
                    self._timeline.put(track, position, converted)
        self._append(self._fd, self._timeline.take())
        if self._data_bytes != written:
            self._write_header(self._fd)

    def finish(self) -> None:
        """Write what is left, make it durable, close the file."""
        if self._fd is None:
            return
        for track, converter in self._converters.items():
            for position, converted in converter.finish():
                self._timeline.put(track, position, converted)
        self._append(self._fd, self._timeline.finish())
        self._write_header(self._fd)
        os.fsync(self._fd)
        fd, self._fd = self._fd, None
        os.close(fd)

    def stop(self) -> None:
        """Give up after an error; what has been written stays, and stays playable."""
        self.stopped = True
        if self._fd is None:
            return
        self._data_bytes -= self._data_bytes % (2 * _CHANNELS)
        fd, self._fd = self._fd, None
        with suppress(OSError):
            self._write_header(fd)
        with suppress(OSError):
            os.close(fd)

    def _append(self, fd: int, blocks: Iterable[StereoSamples]) -> None:
        for block in blocks:
            left = memoryview(block.astype("<i2").tobytes())
            if self._data_bytes + len(left) > _MAX_DATA_BYTES:
                raise OSError(errno.EFBIG, "a WAV file cannot be longer")
            while left:
                count = os.pwrite(fd, left, HEADER_BYTES + self._data_bytes)
                self._data_bytes += count
                left = left[count:]

    def _write_header(self, fd: int) -> None:
        os.pwrite(fd, wav_header(self._rate_hz, _CHANNELS, self._data_bytes), 0)
