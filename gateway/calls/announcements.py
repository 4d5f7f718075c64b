# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API says on a call, over whatever the call is for: recordings and words, one after the other.

    play, say > waiting > being written, two seconds ahead of the wire > `playback.finished`
                                              stop, hang-up, a voice that fails ---^

They go through the leg's second playout (`CallAudio.announce`), during which the activity's waits. The next one is
written half a second before the last has been sent, so that nothing of the activity is heard between the two.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import repeat
from typing import Literal

import numpy as np
import structlog

from agent.errors import ServiceError
from gateway.api.control import Playback, Stopped, StoppedPlayback
from gateway.calls.prompts import Prompt
from gateway.calls.voices import Speech
from gateway.errors import WrongCallState
from media.frames import PcmSamples
from media.gain import soft_limit
from media.limiter import Limiter
from media.playout import PlayoutEvent, UtteranceFinished
from media.ports import CallAudio
from media.resample import StreamResampler

log = structlog.get_logger(__name__)

MAX_WAITING = 16
"""One more is refused."""
_STEP_MS = 500
_AHEAD_MS = 2000
"""So much is written ahead of the wire."""
_JOIN_MS = 500
"""The next announcement is written when no more than this of the one before is left."""
_LOOK_AGAIN_S = 0.05
"""The shortest sleep: on hold the wire takes nothing."""

PlaybackEnd = Literal["completed", "stopped", "failed", "hung_up"]
Sound = Callable[[], AsyncGenerator[tuple[PcmSamples, int], None]]
"""Samples with their rate; each call begins anew."""
Told = Callable[[str, PlaybackEnd, int], None]
"""Is told the end of each announcement: its id, how it ended, and the milliseconds that were sent."""


@dataclass(slots=True, eq=False)
class _Announcement:
    """One that waits, or is with the leg."""

    sound: Sound
    playback_id: str = field(default_factory=lambda: f"playback_{secrets.token_hex(8)}")
    utterance_id: int = 0
    """The leg's name of it; 0: nothing of it is written."""
    written_samples: int = 0
    end: PlaybackEnd = "completed"
    """How it ends when all that was written has been heard."""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Announcements:
    """Those of one call, whose audio is there."""

    def __init__(
        self, audio: CallAudio, told: Told, spawn: Callable[[Coroutine[object, object, None]], asyncio.Task[None]]
    ) -> None:
        """`spawn` runs a coroutine as a task of the call."""
        self._audio = audio
        self._told = told
        self._spawn = spawn
        self._waiting: deque[_Announcement] = deque()
        self._written: deque[_Announcement] = deque()
        """With the leg, at least in part; the first is the one that is heard."""
        self._unwanted: set[int] = set()
        """Utterances that were stopped before their turn: they are broken off when it comes."""
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        """Writes, as long as there is something to be written or heard."""
        self._is_closed = False
        audio.on_announcement = self._receive

    @property
    def is_playing(self) -> bool:
        """Something is being said, or waits to be."""
        return bool(self._written or self._waiting)

    def play(self, prompt: Prompt, *, loop: int, gain: float) -> Playback:
        """A recording, so many times (0: until it is stopped). Raises `WrongCallState` when too many wait."""
        return self._offered(self._add(lambda: _recorded(prompt, loop, gain)))

    async def play_to_its_end(self, prompt: Prompt, *, loop: int, gain: float) -> None:
        """The same, and wait until it is over; on cancellation it is stopped."""
        await self._to_its_end(lambda: _recorded(prompt, loop, gain))

    async def say_to_its_end(self, speech: Speech) -> None:
        """Likewise, words."""
        await self._to_its_end(lambda: _spoken(speech))

    async def _to_its_end(self, sound: Sound) -> None:
        one = self._add(sound)
        try:
            await one.over.wait()
        finally:
            self.stop(one.playback_id)

    def say(self, speech: Speech) -> Playback:
        """Words. Raises the same."""
        return self._offered(self._add(lambda: _spoken(speech)))

    def stop(self, playback_id: str | None = None) -> Stopped:
        """End one, or all of them: what they are called and what was heard. The next one begins at once."""
        waiting = [one for one in self._waiting if playback_id in (None, one.playback_id)]
        for one in waiting:
            self._waiting.remove(one)
        stopped = [*self._stop_written(playback_id), *((one, 0) for one in waiting)]
        for one, played_ms in stopped:
            self._tell(one, "stopped", played_ms)
        self._news.set()
        return Stopped(
            played_ms=sum(played_ms for _, played_ms in stopped),
            playbacks=[StoppedPlayback(playback_id=one.playback_id, played_ms=played) for one, played in stopped],
        )

    def close(self) -> None:
        """The call is over: end them all."""
        self._is_closed = True
        for one, played_ms in self._break_off():
            self._tell(one, "hung_up", played_ms)
        while self._waiting:
            self._tell(self._waiting.popleft(), "hung_up", 0)
        self._audio.on_announcement = None
        if self._task is not None:
            self._task.cancel()  # a voice that is slow must not keep the call from its end

    # The task

    async def _run(self) -> None:
        """Write one after the other, until all have been heard."""
        try:
            while self._waiting or self._written:
                left_ms = self._audio.announcement_queued_ms if self._written else 0.0
                if self._waiting and left_ms <= _JOIN_MS:
                    await self._write(self._waiting.popleft())
                else:
                    await self._sleep((left_ms - _JOIN_MS) / 1000 if self._waiting else None)
        finally:
            self._task = None

    async def _write(self, one: _Announcement) -> None:
        """Hand it to the leg, block by block; returns when all is written, or it has been stopped."""
        utterance_id = one.utterance_id = next(self._audio.utterance_ids)
        self._written.append(one)
        writer = _Writer(self._audio, utterance_id)
        try:
            async with aclosing(one.sound()) as blocks:
                async for samples, rate_hz in blocks:
                    if one.utterance_id != utterance_id:  # stopped, or to be begun anew
                        return
                    one.written_samples += writer.write(samples, rate_hz)
                    while one.utterance_id == utterance_id and self._audio.announcement_queued_ms > _AHEAD_MS:
                        await self._sleep((self._audio.announcement_queued_ms - _AHEAD_MS) / 1000)
            if one.utterance_id == utterance_id:
                one.written_samples += writer.flush()
        except ServiceError as error:
            log.warning("announcement_failed", cause=str(error))
            one.end = "failed"
        if one.utterance_id != utterance_id:
            return
        if one.written_samples:
            self._audio.end_announcement(utterance_id)
        else:  # silence: the leg will have nothing to tell
            self._written.remove(one)
            self._tell(one, one.end, 0)

    async def _sleep(self, seconds: float | None) -> None:
        """Until there is news, at most so long."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds is None else max(seconds, _LOOK_AGAIN_S)):
                await self._news.wait()

    # What becomes of them

    def _add(self, sound: Sound) -> _Announcement:
        if self._is_closed:
            raise WrongCallState("the call is over")
        if len(self._waiting) >= MAX_WAITING:
            raise WrongCallState(f"{MAX_WAITING} announcements are waiting already")
        one = _Announcement(sound)
        self._waiting.append(one)
        self._news.set()
        if self._task is None:
            self._task = self._spawn(self._run())
        return one

    def _offered(self, one: _Announcement) -> Playback:
        return Playback(playback_id=one.playback_id, ahead=len(self._waiting) + len(self._written) - 1)

    def _stop_written(self, playback_id: str | None) -> list[tuple[_Announcement, int]]:
        """Those with the leg that are meant, and what was heard of each in milliseconds."""
        if playback_id is None:
            return self._break_off()
        if self._written and self._written[0].playback_id == playback_id:
            first, *behind = self._break_off()
            self._begin_anew(behind)
            return [first]
        found = [one for one in self._written if one.playback_id == playback_id]
        for one in found:  # behind one that is still heard
            self._written.remove(one)
            self._unwanted.add(one.utterance_id)
            one.utterance_id = 0
        return [(one, 0) for one in found]

    def _break_off(self) -> list[tuple[_Announcement, int]]:
        """Take everything back from the leg: what it was, and what was heard of each in milliseconds."""
        if not self._written and not self._unwanted:
            return []
        heard = {cut.utterance_id: cut.heard_samples for cut in self._audio.clear_announcement().utterances}
        # One that is not among them has just been heard to its end.
        taken = [(one, self._ms(heard.get(one.utterance_id, one.written_samples))) for one in self._written]
        for one in self._written:
            one.utterance_id = 0
        self._written.clear()
        self._unwanted.clear()
        return taken

    def _begin_anew(self, cut: list[tuple[_Announcement, int]]) -> None:
        for one, _ in reversed(cut):
            one.written_samples = 0
            self._waiting.appendleft(one)

    def _receive(self, event: PlayoutEvent) -> None:
        if not isinstance(event, UtteranceFinished):
            return
        self._unwanted.discard(event.utterance_id)
        if self._written and self._written[0].utterance_id == event.utterance_id:
            one = self._written.popleft()
            self._tell(one, one.end, self._ms(event.heard_samples))
        if self._unwanted and (not self._written or min(self._unwanted) < self._written[0].utterance_id):
            self._begin_anew(self._break_off())
        self._news.set()

    def _tell(self, one: _Announcement, end: PlaybackEnd, played_ms: int) -> None:
        one.over.set()
        self._told(one.playback_id, end, played_ms)

    def _ms(self, samples: int) -> int:
        return round(samples * 1000 / self._audio.sample_rate_hz)


class _Writer:
    """Brings one announcement to the leg's rate, whatever that is meanwhile."""

    def __init__(self, audio: CallAudio, utterance_id: int) -> None:
        self._audio = audio
        self._utterance_id = utterance_id
        self._resampler = StreamResampler(audio.sample_rate_hz, audio.sample_rate_hz)
        self._limiter = Limiter(audio.sample_rate_hz)

    def write(self, samples: PcmSamples, rate_hz: int) -> int:
        """How many samples the leg took."""
        taken = 0
        if (rate_hz, self._audio.sample_rate_hz) != (self._resampler.from_hz, self._resampler.to_hz):
            taken = self.flush()
            self._resampler = StreamResampler(rate_hz, self._audio.sample_rate_hz)
            self._limiter = Limiter(rate_hz)
        return taken + self._send(self._resampler.process(self._limiter.process(samples)))

    def flush(self) -> int:
        return self._send(self._resampler.flush())

    def _send(self, samples: PcmSamples) -> int:
        pcm = np.ascontiguousarray(samples, dtype="<i2").tobytes()
        return self._audio.announce(self._utterance_id, pcm, self._resampler.to_hz) if pcm else 0


async def _recorded(prompt: Prompt, loop: int, gain: float) -> AsyncGenerator[tuple[PcmSamples, int], None]:
    for _ in repeat(None) if loop == 0 else repeat(None, loop):
        for samples in _steps(prompt.samples, prompt.sample_rate_hz):
            loud = samples if gain == 1.0 else soft_limit(samples.astype(np.float32) * np.float32(gain))
            yield loud, prompt.sample_rate_hz


async def _spoken(speech: Speech) -> AsyncGenerator[tuple[PcmSamples, int], None]:
    async with aclosing(speech()) as chunks:
        async for chunk in chunks:
            for samples in _steps(chunk.samples, chunk.sample_rate_hz):
                yield samples, chunk.sample_rate_hz


def _steps(samples: PcmSamples, rate_hz: int) -> Iterator[PcmSamples]:
    step = rate_hz * _STEP_MS // 1000
    return (samples[begin : begin + step] for begin in range(0, len(samples), step))
