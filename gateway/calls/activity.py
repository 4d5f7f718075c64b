# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call is for: an activity hears frames and keys, speaks, and ends the call by returning from `run`."""

import asyncio
from typing import Protocol

import numpy as np

from gateway.api.control import ActivityKind
from gateway.calls.announcements import Announcements
from gateway.calls.prompts import Prompt
from gateway.calls.uplink import LineReport
from media.frames import PcmFrame, PcmSamples
from media.limiter import Limiter
from media.playout import PlayoutEvent, UtteranceFinished
from media.ports import CallAudio
from media.resample import StreamResampler


class Activity(Protocol):
    """`receive_*` are called on the event loop for every batch and must not block."""

    @property
    def kind(self) -> ActivityKind: ...

    def receive_frames(self, frames: list[PcmFrame]) -> None: ...

    def receive_playout(self, event: PlayoutEvent) -> None: ...

    @property
    def hears_keys(self) -> bool:
        """Whether keys matter: if not, none are looked for in the audio."""
        ...

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        """A key was pressed; a secret one must not reach a record."""

    def audio_changed(self) -> None:
        """The leg's sample rate is another one after a re-INVITE."""

    @property
    def line(self) -> LineReport | None:
        """Levels and echo of the call so far, where somebody listens to it; else None."""

    async def run(self) -> str:
        """Until there is nothing more to do; returns the call's end reason. Cancelled when the call ends first."""
        ...


class Ended:
    """Is over before it begins: nobody can go on with what the call was for."""

    kind: ActivityKind = "play"
    hears_keys = False
    line = None

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        """Nobody listens."""

    def receive_playout(self, event: PlayoutEvent) -> None:
        """Nobody speaks."""

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        """Nobody reads keys."""

    def audio_changed(self) -> None:
        """It does not matter."""

    async def run(self) -> str:
        return self._reason


class Echo:
    """Sends the caller's audio back: PCM out of the uplink, through Python, into the playout. The yardstick.

    Frames come as the network brings them, while the playout takes one every 20 ms. So a little silence goes first, and
    when the queue has run dry; when it has grown too long, quiet frames are left out, and at twice that any.
    """

    kind: ActivityKind = "echo"
    hears_keys = False
    _LEAD_S = 0.04
    _LONG_S = 0.16
    _CHECK_S = 1.0
    """How often the queue is really looked at: in between it is as long as frames played and time passed make it."""
    _QUIET = 100
    """Mean of the samples' absolute values, some -50 dBov."""

    def __init__(self, audio: CallAudio) -> None:
        self._audio = audio
        self._utterance_id = next(audio.utterance_ids)
        self._play = audio.play
        self._byte_s = 0.5 / audio.sample_rate_hz
        self._empty_at = 0.0
        """When the last sample in the queue will have been sent."""
        self._check_at = 0.0

    @property
    def line(self) -> None:
        """Nobody listens."""

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        now = frames[-1].arrived_at
        if now >= self._check_at:
            self._check_at = now + self._CHECK_S
            self._empty_at = now + self._audio.queued_ms / 1000
        for frame in frames:
            pcm = frame.pcm
            if 0.0 < self._empty_at - now <= self._LONG_S or self._makes_room(frame, now):
                self._play(self._utterance_id, pcm)
                self._empty_at += len(pcm) * self._byte_s

    def _makes_room(self, frame: PcmFrame, now: float) -> bool:
        """Put silence into an empty queue; False: the queue is long, and the frame is to be left out."""
        queued_s = self._empty_at - now
        if queued_s <= 0.0:
            self._empty_at = now + self._LEAD_S
            self._play(self._utterance_id, bytes(2 * round(self._LEAD_S * frame.sample_rate_hz)))
            return True
        return queued_s <= 2 * self._LONG_S and np.abs(frame.samples.astype(np.int32)).mean() >= self._QUIET

    def receive_playout(self, event: PlayoutEvent) -> None:
        pass

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        pass

    def audio_changed(self) -> None:
        """What is queued is converted, and what comes has the new rate already."""
        self._byte_s = 0.5 / self._audio.sample_rate_hz

    async def run(self) -> str:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("an echo ends by cancellation only")


class Play:
    """Plays a recording once."""

    kind: ActivityKind = "play"
    hears_keys = False
    _AHEAD_MS = 2000
    """So much is queued ahead of the wire; a long recording is not rendered at once."""

    def __init__(self, audio: CallAudio, samples: PcmSamples, sample_rate_hz: int) -> None:
        self._audio = audio
        self._utterance_id = next(audio.utterance_ids)
        self._samples = samples
        self._sample_rate_hz = sample_rate_hz
        self._limiter = Limiter(sample_rate_hz)
        self._finished = asyncio.Event()

    @property
    def line(self) -> None:
        """Nobody listens."""

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        pass

    def receive_playout(self, event: PlayoutEvent) -> None:
        if isinstance(event, UtteranceFinished) and event.utterance_id == self._utterance_id:
            self._finished.set()

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        pass

    def audio_changed(self) -> None:
        """What is queued is converted; the next step is rendered at the new rate."""

    async def run(self) -> str:
        step = self._sample_rate_hz * self._AHEAD_MS // 2000
        rate_hz = self._audio.sample_rate_hz
        resampler = StreamResampler(self._sample_rate_hz, rate_hz)
        for begin in range(0, len(self._samples), step):
            if rate_hz != self._audio.sample_rate_hz:
                rate_hz = self._audio.sample_rate_hz
                resampler = StreamResampler(self._sample_rate_hz, rate_hz)
            self._send(resampler.process(self._limiter.process(self._samples[begin : begin + step])), rate_hz)
            await asyncio.sleep(max(0.0, self._audio.queued_ms - self._AHEAD_MS) / 1000)
        self._send(resampler.flush(), rate_hz)
        self._audio.end_utterance(self._utterance_id)
        await self._finished.wait()
        return "completed"

    def _send(self, samples: PcmSamples, rate_hz: int) -> None:
        self._audio.play(self._utterance_id, np.ascontiguousarray(samples, dtype="<i2").tobytes(), rate_hz)


class DeafActivity:
    """For what goes on while Python hears and says nothing: announcements, native lines, waiting."""

    kind: ActivityKind
    hears_keys = False

    @property
    def line(self) -> LineReport | None:
        """Nobody listens."""

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        pass

    def receive_playout(self, event: PlayoutEvent) -> None:
        pass

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        pass

    def audio_changed(self) -> None:
        """Announcements and lines see it themselves."""


class Desk(DeafActivity):
    """An operator's own leg: silent, until it supervises a call or takes one over."""

    kind: ActivityKind = "desk"

    async def run(self) -> str:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a desk ends by cancellation only")


class PlayPrompt(DeafActivity):
    """Plays a recording that the API named, as an announcement."""

    kind: ActivityKind = "play"

    def __init__(self, announcements: Announcements, prompt: Prompt, *, loop: int, gain: float) -> None:
        self._announcements = announcements
        self._prompt = prompt
        self._loop = loop
        self._gain = gain

    async def run(self) -> str:
        await self._announcements.play_to_its_end(self._prompt, loop=self._loop, gain=self._gain)
        return "completed"
