# SPDX-License-Identifier: GPL-3.0-or-later
"""An opening through the ears of a call, once: what is heard, and when it would be told on an otherwise idle machine.

    samples, 20 ms at a time, in virtual time
        > CallProgress, HoldMusic                                        > tones, music
        > WebRTC flag > SpeechDetector (Silero)                          > speech
        > Ear > WhisperStream on a pool that takes its real time         > partial transcripts, and the final ones

Decoding is real, and its result comes as much later in virtual time as it took on this machine (`TimedPool`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.config import SpeechConfig
from agent.ear import Ear
from agent.local.inference import InferencePool, Job, Priority, T
from agent.local.silero import SileroModel, SileroVad
from agent.local.whisper import WhisperSpeechToText
from agent.local.whisper_model import WhisperModel
from agent.services.stt import Transcript
from agent.speech import SpeechDetector, SpeechEnded, SpeechEvent, SpeechStarted
from media.frames import PcmFrame
from media.hold_music import HoldMusic
from media.progress import CallProgress, ProgressEvent
from media.vad import WebRtcVad, mark_speech
from tests.openings.opening import Opening
from tests.openings.speakers import RATE_HZ

_FRAME = RATE_HZ // 50
_LISTEN_AFTER_S = 0.2
"""Of speech: turn-taking lets recognition listen about then, with what was said until then."""
_TURN_OVER_S = 1.0
"""Of silence: a turn that is plainly over by its words is taken sooner, a doubtful one later."""
_WORDS_FOR_S = 9.0
"""After the first sound: by then every verdict is there."""


@dataclass(frozen=True)
class Words:
    text: str
    is_final: bool


@dataclass(frozen=True)
class Music:
    is_playing: bool


Sound = ProgressEvent | SpeechEvent | Words | Music


@dataclass(frozen=True)
class Heard:
    """What the ears told, each with when, in seconds from the opening's first sample."""

    opening: Opening
    sounds: tuple[tuple[float, Sound], ...]


class TimedPool(InferencePool):
    """Computes at once, for the clock outside, and tells so much later by the loop's own."""

    def __init__(self, workers: int) -> None:
        """Not `super().__init__()`, which starts threads."""
        self.workers = workers
        self.running = 0
        self._queue: deque[Job[object]] = deque()
        self._ages = 0

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def idle(self) -> bool:
        return not self._queue and self.running < self.workers

    def submit(self, priority: Priority, function: Callable[..., T], *arguments: object) -> Job[T]:
        self._ages += 1
        job = Job(priority, self._ages, lambda: function(*arguments), asyncio.get_running_loop().create_future())
        self._queue.append(job)
        asyncio.get_running_loop().call_soon(self._next)
        return job

    def _next(self) -> None:
        waiting = sorted((job for job in self._queue if not job.result.cancelled()), key=lambda job: job.urgency)
        self._queue = deque(waiting)
        if not self._queue or self.running >= self.workers:
            return
        job = self._queue.popleft()
        job.started = True
        self.running += 1
        began = time.perf_counter()
        deliver = job.compute()
        asyncio.get_running_loop().call_later(time.perf_counter() - began, self._done, deliver)
        self._next()

    def _done(self, deliver: Callable[[], None]) -> None:
        self.running -= 1
        deliver()
        self._next()


@dataclass(frozen=True)
class Ears:
    """The models."""

    silero: SileroModel
    whisper: WhisperModel | None
    """None: no words are heard."""


async def hear(opening: Opening, ears: Ears) -> Heard:
    """To be run on a `VirtualClockLoop`."""
    listener = _Listener(opening, ears)
    await listener.open()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for position in range(0, len(opening.samples) - _FRAME + 1, _FRAME):
        now = (position + _FRAME) / RATE_HZ
        await asyncio.sleep(max(0.0, began + now - loop.time()))
        listener.receive(position, now)
    await listener.aclose()
    return Heard(opening, tuple(listener.sounds))


class _Listener:
    def __init__(self, opening: Opening, ears: Ears) -> None:
        self.sounds: list[tuple[float, Sound]] = []
        self._opening = opening
        self._progress, self._music, self._was_music = CallProgress(RATE_HZ), HoldMusic(RATE_HZ), False
        config = SpeechConfig()
        self._flags = WebRtcVad()
        self._detector = SpeechDetector(lambda rate_hz: SileroVad(ears.silero, rate_hz), RATE_HZ, config)
        self._ear = Ear(RATE_HZ, config.preroll_ms)
        self._stt = WhisperSpeechToText(ears.whisper, TimedPool(4)) if ears.whisper is not None else None
        self._began = asyncio.get_running_loop().time()
        self._silent_since: float | None = None
        self._speaks_since: float | None = None
        self._has_turn = False
        self._finals: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        if self._stt is not None:
            self._stream = await self._stt.open(sample_rate_hz=RATE_HZ, on_partial=self._hear_words)
            self._ear.attach(self._stream)

    async def aclose(self) -> None:
        for task in self._finals:
            await task
        if self._stt is not None:
            await self._stream.aclose()

    def receive(self, position: int, now: float) -> None:
        pcm = self._opening.samples[position : position + _FRAME].astype("<i2").tobytes()
        frame = mark_speech(PcmFrame(pcm, RATE_HZ, position, now), self._flags)
        self.sounds += [(now, tone) for tone in self._progress.receive(frame.samples)]
        if (is_music := self._music.receive(frame.samples)) is not self._was_music:
            self._was_music = is_music
            self.sounds.append((now, Music(is_music)))
        if now < self._opening.spoke_s + _WORDS_FOR_S:
            self._ear.hear(frame)
        self._detector.receive_frame(frame)
        for event in self._detector.events():
            self.sounds.append((now, event))
            match event:
                case SpeechStarted(started_at):
                    self._speaks_since, self._silent_since = started_at, None
                case SpeechEnded(ended_at):
                    self._speaks_since, self._silent_since = None, ended_at
        if self._speaks_since is not None and now >= self._speaks_since + _LISTEN_AFTER_S:
            self._has_turn = True
            self._ear.listen()
        if self._has_turn and self._silent_since is not None and now >= self._silent_since + _TURN_OVER_S:
            self._has_turn = False
            if self._stt is not None:
                self._finals.add(asyncio.get_running_loop().create_task(self._end_turn()))

    async def _end_turn(self) -> None:
        self._hear_words(await self._stream.final())
        self._ear.forget()

    def _hear_words(self, transcript: Transcript) -> None:
        now = asyncio.get_running_loop().time() - self._began
        self.sounds.append((now, Words(transcript.text, transcript.is_final)))
