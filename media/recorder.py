# SPDX-License-Identifier: GPL-3.0-or-later
"""Records calls to stereo files, caller left, agent right, while they go on.

    event loop: Recorder.caller / .agent > bounded queues | a writer's thread: RecordingFile > disk

One `RecordingWriter` per process, with a fixed number of threads, each of which wakes four times a second and writes
what its calls have gathered. The event loop never waits for the disk.

What survives: a file is playable at every moment; after a kill -9 at most a quarter of a second is missing of a call
whose both sides send audio, a second more when one of them fell silent (`LEAD_S`), and with Opus half a second more
(pages). fsync is called once, when a recording is closed: after a power failure a recording in progress has what the
kernel had written back by then (30 s by default).
"""

import errno
import math
from collections import deque
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, Thread

import structlog

from media.encryption import EncryptionKey
from media.errors import MediaMisuse
from media.frames import PcmFrame, check_rate
from media.recording_file import RecordingFile, RecordingFormat, Run, recording_suffix
from media.stereo import LEAD_S, Track

log = structlog.get_logger(__name__)

WRITE_INTERVAL_S = 0.25
_JOIN_S = 30.0
QUEUE_S = 10
"""How much of each track waits for the disk at most."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished recording."""

    path: Path
    duration_s: float
    start_position_samples: int
    """The leg's position, at the file's rate, at the file's first sample."""
    complete: bool
    """False when it ended early, or audio was dropped, because of the disk; what is in the file is good."""
    paused_s: tuple[tuple[float, float], ...] = ()
    """The stretches, in the file's time, that are silent because the recording was paused."""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """All recordings of the process together, for /metrics."""

    active: int
    queued_s: float
    """How much audio waits for the disk, of the call that waits for longest."""
    stopped: int
    """Recordings that ended early because of the disk (or a fault of ours), since the start."""
    dropped_samples: int
    """Thrown away because the disk was too slow, since the start."""


class Recorder:
    """One call's recording, made by `RecordingWriter.open`. All of it belongs to the event loop; nothing blocks.

    The file keeps the rate it began with; a leg that changes its rate is converted. It begins with the first audio
    given. Gaps in the leg's timeline and paused stretches become silence, so that times in the file stay the leg's.
    """

    def __init__(self, file: RecordingFile, sample_rate_hz: int, wake: Condition) -> None:
        self._file = file
        self._rate_hz = sample_rate_hz
        self._queues = {track: _TrackQueue(QUEUE_S * sample_rate_hz) for track in Track}
        self._wake = wake
        self._pauses: list[_Pause] = []
        self._closed: Future[Recording] | None = None
        self._log_context = copy_context()  # call_id is bound here, and not on the writer's thread

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def queued_samples(self) -> int:
        """Samples waiting for the disk, both tracks together."""
        return sum(queue.sample_count for queue in self._queues.values())

    @property
    def queued_s(self) -> float:
        """How much audio waits for the disk."""
        return max(queue.sample_count for queue in self._queues.values()) / self._rate_hz

    @property
    def dropped_samples(self) -> int:
        """Samples that the disk was too slow for, both tracks together."""
        return sum(queue.dropped_samples for queue in self._queues.values())

    @property
    def stopped(self) -> bool:
        """Whether it ended early: the disk refused."""
        return self._file.stopped

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closed is not None

    def caller(self, frame: PcmFrame) -> None:
        """Record a frame of what the caller said."""
        self._put(Track.CALLER, frame)

    def agent(self, frame: PcmFrame) -> None:
        """Record a frame of what was really sent to the caller, on the same timeline."""
        self._put(Track.AGENT, frame)

    def pause(self) -> None:
        """Record silence (a card number is being read out), until `resume`.

        It acts at once, and a little backwards: what waits for the writer, up to a quarter of a second, is silenced
        too. What comes from now on is silent whatever its place in time.
        """
        last = self._last_pause
        if last is None or last.resumed_at is not None:
            before_s = 0.0 if last is None else last.until_s
            self._pauses.append(_Pause(max(before_s, *(queue.silence() for queue in self._queues.values()))))

    def resume(self, now: float) -> None:
        """Record sound again, but only what was spoken and came after this (`now` is our clock, monotonic seconds)."""
        pause = self._last_pause
        if pause is None or pause.resumed_at is not None:
            return
        # A track that lags, or was silent for long, may still bring what was said before: the other one knows the time.
        pause.until_s = max(pause.from_s, *(queue.end_s for queue in self._queues.values()))
        pause.limit_s = pause.until_s + LEAD_S
        pause.resumed_at = now

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

    @property
    def _last_pause(self) -> "_Pause | None":
        return self._pauses[-1] if self._pauses else None

    def _put(self, track: Track, frame: PcmFrame) -> None:
        if not frame.pcm or self._closed is not None or self._file.stopped:
            return
        pcm = frame.pcm
        if self._pauses and self._pauses[-1].covers(frame):
            pcm = bytes(len(pcm))
        self._queues[track].put(frame.position_samples, frame.sample_rate_hz, pcm)

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
        recording = self._recording()
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

    def _recording(self) -> Recording:
        start, duration_s = self._file.start_position_samples, self._file.duration_s
        # From the leg's time to the file's.
        spans = [
            [min(max(0.0, at_s - start / self._rate_hz), duration_s) for at_s in (pause.from_s, pause.until_s)]
            for pause in self._pauses
        ]
        return Recording(
            path=self._file.path,
            duration_s=duration_s,
            start_position_samples=start,
            complete=not self._file.stopped and not self.dropped_samples,
            paused_s=tuple((begin, end) for begin, end in spans if end > begin),
        )

    def _stop(self, reason: str) -> None:
        self._file.stop()
        self._log_context.run(log.warning, "recording_stopped", reason=reason)


@dataclass(slots=True)
class _Pause:
    """A pause that goes on, or the last one: what lags behind it is still silenced."""

    from_s: float
    """From here on, in the leg's time, both tracks are silent."""
    until_s: float = math.inf
    limit_s: float = math.inf
    """`until_s` grows to this at most."""
    resumed_at: float | None = None
    """Our clock."""

    def covers(self, frame: PcmFrame) -> bool:
        if self.resumed_at is None:
            return True
        start_s = frame.position_samples / frame.sample_rate_hz
        if frame.arrived_at <= self.resumed_at:
            # It waited for the event loop. So far the call had come by then, on the other track too.
            self.until_s = max(self.until_s, min(start_s + frame.duration_s, self.limit_s))
            return True
        return start_s < self.until_s


class RecordingWriter:
    """The threads that bring all recordings of the process to disk; each starts with its first recording."""

    def __init__(self, form: RecordingFormat = "wav", key: EncryptionKey | None = None, threads: int = 1) -> None:
        """`key` encrypts every file. One thread is enough for WAV; Opus costs what a core gives, some hundred calls."""
        if form == "opus":
            import media.ogg_opus  # noqa: F401 - FFmpeg is loaded now, and not while a call begins
        self._key = key
        self._threads = [_WriterThread(number) for number in range(threads)]
        self.suffix = recording_suffix(form, encrypted=key is not None)
        """What the names of the files end with."""
        self.form: RecordingFormat = form
        self.is_encrypted = key is not None

    def open(self, path: Path, sample_rate_hz: int) -> Recorder:
        """Begin a recording. The file must not exist; it will be readable by its owner only.

        A file that cannot be made shows as a log line and in `Recording.complete`, as a full disk does later.
        """
        check_rate(sample_rate_hz)
        thread = min(self._threads, key=lambda thread: thread.active)
        file = RecordingFile(path, sample_rate_hz, self.form, self._key)
        recorder = Recorder(file, sample_rate_hz, thread.wake)
        thread.add(recorder)
        return recorder

    def stats(self) -> WriterStats:
        """Counters and depths. From any thread."""
        found = [thread.stats() for thread in self._threads]
        return WriterStats(
            active=sum(one.active for one in found),
            queued_s=max(one.queued_s for one in found),
            stopped=sum(one.stopped for one in found),
            dropped_samples=sum(one.dropped_samples for one in found),
        )

    def close(self) -> None:
        """End all recordings and wait until they are on the disk. Blocks: for the end of the process."""
        for thread in self._threads:
            thread.end()
        for thread in self._threads:
            thread.join()


class _WriterThread:
    """One thread and the recordings it writes."""

    def __init__(self, number: int) -> None:
        self.wake = Condition()
        self._recorders: list[Recorder] = []
        self._ending = False
        self._stopped = self._dropped_samples = 0  # of recordings that are over
        self._thread = Thread(target=self._run, name=f"recording-writer-{number}", daemon=True)

    @property
    def active(self) -> int:
        return len(self._recorders)

    def add(self, recorder: Recorder) -> None:
        with self.wake:
            if self._ending:
                raise MediaMisuse("the recording writer has been closed")
            self._recorders.append(recorder)
            if not self._thread.is_alive():
                self._thread.start()
            self.wake.notify()

    def stats(self) -> WriterStats:
        with self.wake:
            recorders = list(self._recorders)
            stopped, dropped_samples = self._stopped, self._dropped_samples
        return WriterStats(
            active=len(recorders),
            queued_s=max((recorder.queued_s for recorder in recorders), default=0.0),
            stopped=stopped + sum(recorder.stopped for recorder in recorders),
            dropped_samples=dropped_samples + sum(recorder.dropped_samples for recorder in recorders),
        )

    def end(self) -> None:
        with self.wake:
            self._ending = True
            recorders = list(self._recorders)
            self.wake.notify()
        for recorder in recorders:
            recorder.close()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)  # a disk that never answers must not keep the process

    def _run(self) -> None:
        while True:
            with self.wake:
                if not self._recorders and self._ending:
                    return
                if not any(recorder.closing for recorder in self._recorders):
                    self.wake.wait(WRITE_INTERVAL_S if self._recorders else None)
                recorders = list(self._recorders)
            finished = [recorder for recorder in recorders if recorder.write()]
            with self.wake:
                for recorder in finished:
                    self._recorders.remove(recorder)
                    self._stopped += recorder.stopped
                    self._dropped_samples += recorder.dropped_samples


class _TrackQueue:
    """One track on its way from the event loop to the writer. When full it drops the oldest piece and counts it: a slow
    disk costs a hole in the recording, never memory or the call."""

    def __init__(self, max_samples: int) -> None:
        self._max_samples = max_samples
        self._runs: deque[Run] = deque()
        self._lock = Lock()  # held for a few list operations, never while writing
        self._last: Run | None = None
        self.sample_count = 0
        self.dropped_samples = 0

    def put(self, position_samples: int, sample_rate_hz: int, pcm: bytes) -> None:
        with self._lock:
            run = self._runs[-1] if self._runs else None
            if run is None or (run.end_samples, run.sample_rate_hz) != (position_samples, sample_rate_hz):
                run = Run(position_samples, sample_rate_hz, deque(), position_samples)
                self._runs.append(run)
                self._last = run
            run.pieces.append(pcm)
            run.end_samples += len(pcm) // 2
            self.sample_count += len(pcm) // 2
            while self.sample_count > self._max_samples:
                self._drop_oldest()

    @property
    def end_s(self) -> float:
        """How far the track reaches, in the leg's time."""
        with self._lock:
            run = self._last
        return 0.0 if run is None else run.end_samples / run.sample_rate_hz

    def silence(self) -> float:
        """Silence all that waits; return from where on the track is silent then, in the leg's time."""
        end_s = self.end_s
        with self._lock:
            if not self._runs:
                return end_s
            for run in self._runs:
                run.pieces = deque(bytes(len(piece)) for piece in run.pieces)
            return self._runs[0].position_samples / self._runs[0].sample_rate_hz

    def drain(self) -> deque[Run]:
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
