# SPDX-License-Identifier: GPL-3.0-or-later
"""One scripted call: says each step when the scenario has it, and keeps everything that was heard."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.calls.keypad import Keypad
from gateway.evaluation.mouth import Mouth, Utterance
from gateway.evaluation.scenario import Scenario, Step
from gateway.evaluation.speech import Speech
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallConfirmed, CallEnded, DigitReceived, MediaActive, SipEvent
from gateway.sip.sip_thread import new_handle
from gateway.softphone.spurts import SpurtDetector
from media.frames import PcmFrame
from media.keys import dialled_ms
from media.playout import PlayoutEvent
from media.ports import CallAudio, PcmHub
from media.resample import resample

_SETUP_WAIT_S = 30.0
_GREETING_WAIT_S = 6.0
_POLL_S = 0.01
_END_WAIT_S = 5.0


@dataclass(slots=True)
class Done:
    """One step as it went; times are monotonic seconds."""

    step: Step
    began_at: float
    ended_at: float = float("inf")
    utterance: Utterance | None = None
    was_in_time: bool = True
    """False: what it was to be said into did not come."""


@dataclass(slots=True)
class CallLog:
    """What became of a call."""

    caller: str
    """The user part that we called under: names the call's record in the gateway."""
    answered_at: float | None = None
    ended_at: float = 0.0
    codec: str = ""
    code: int = 0
    reason: str = ""
    ended_by_peer: bool = False
    frames: list[PcmFrame] = field(default_factory=list)
    steps: list[Done] = field(default_factory=list)


class ScriptedCaller:
    """Feed `receive` to a `SipEndpoint`, then await `run` once."""

    def __init__(
        self, hub: PcmHub, scenario: Scenario, speech: Mapping[int, Speech], background: Speech | None
    ) -> None:
        """`speech` of the steps that say something, by their number; `background`: the noise, at its level."""
        self.handle = new_handle()
        self.log = CallLog(f"eval-{self.handle.rpartition('_')[2][:12]}")
        self._hub = hub
        self._scenario = scenario
        self._speech = speech
        self._background = background
        self._spurts = SpurtDetector(scenario.gap_ms)
        self._heard_until = 0.0
        """When the newest spurt that is over had its last sound."""
        self._audio: CallAudio | None = None
        self._mouth: Mouth | None = None
        self._keypad: Keypad | None = None
        self._confirmed = asyncio.Event()
        self._ended = asyncio.Event()

    def receive(self, event: SipEvent) -> None:
        """Take an event of the endpoint."""
        match event:
            case MediaActive():
                self.log.codec = event.codec
                if self._audio is None:
                    self._audio = CallAudio(self._hub, event.port)
                    self._mouth = self._new_mouth(self._audio)
                    self._audio.on_frames = self._receive_frames
                    self._audio.on_playout = self._receive_playout
            case CallConfirmed():
                self.log.answered_at = time.monotonic()
                self._confirmed.set()
            case DigitReceived() if self._keypad is not None:
                self._keypad.receive_info(event)
            case CallEnded():
                self.log.code, self.log.reason = event.code, event.reason
                self.log.ended_by_peer = event.ended_by_peer
                self._end()
            case _:
                pass

    async def run(self, endpoint: SipEndpoint, to: str, address: str) -> CallLog:
        """Place the call and carry it through. Raises `CallError` when it cannot even be dialled."""
        self._keypad = Keypad(self.handle, endpoint, lambda _: None)
        await endpoint.place(self.handle, to, caller_id=f"<sip:{self.log.caller}@{address}>")
        try:
            await self._until(lambda: self._confirmed.is_set(), _SETUP_WAIT_S)
            if self._confirmed.is_set():
                await self._talk()
            elif not self._ended.is_set():
                self.log.reason = f"no answer within {_SETUP_WAIT_S:.0f} s"
        finally:
            await endpoint.hang_up(self.handle)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _END_WAIT_S)
            self._end()
            if self._audio is not None:
                self._audio.close()
        return self.log

    async def _talk(self) -> None:
        if self._scenario.greeting:
            await self._until(lambda: self._heard_until > 0.0, _GREETING_WAIT_S)
        steps = self._scenario.step
        for index, step in enumerate(steps):
            if self._ended.is_set():
                return
            following = steps[index + 1] if index + 1 < len(steps) else None
            await self._do(index, step, answer_follows=following is None or following.into_answer_ms is None)
        await self._until(lambda: False, self._scenario.hang_up_wait_ms / 1e3)

    async def _do(self, index: int, step: Step, *, answer_follows: bool) -> None:
        in_time = step.into_answer_ms is None or await self._until_into_answer(step.into_answer_ms)
        done = Done(step, time.monotonic(), was_in_time=in_time)
        if self.log.steps:
            self.log.steps[-1].ended_at = done.began_at
        self.log.steps.append(done)
        if step.wait_ms is not None:
            await self._until(lambda: False, step.wait_ms / 1e3)
            return
        if step.keys:
            await self._press(step.keys)
        else:
            await self._say(done, self._speech[index])
        if answer_follows:
            await self._until_answered(time.monotonic())

    async def _say(self, done: Done, speech: Speech) -> None:
        assert self._audio is not None, "media came before the answer"
        assert self._mouth is not None, "with the audio"
        rate_hz = self._audio.sample_rate_hz
        samples = resample(speech.samples, speech.sample_rate_hz, rate_hz)
        utterance = Utterance(samples, rate_hz)
        self._mouth.say(utterance)
        await self._until(lambda: utterance.is_over, len(samples) / rate_hz + _END_WAIT_S)
        if utterance.began_at is not None:
            done.utterance, done.began_at = utterance, utterance.began_at

    async def _press(self, keys: str) -> None:
        assert self._keypad is not None, "the call was placed"
        assert self._audio is not None, "media came before the answer"
        await self._keypad.dial(self._audio, keys.upper().replace("W", "w"), None)
        await self._until(lambda: False, dialled_ms(keys) / 1e3)

    async def _until_into_answer(self, into_ms: int) -> bool:
        """Until the agent has been speaking for so long; False: it did not speak."""
        lead_s = 0.0 if self._mouth is None else self._mouth.lead_ms / 1e3

        def is_due() -> bool:
            since = self._spurts.speaking_since
            return since is not None and time.monotonic() >= since + into_ms / 1e3 - lead_s

        return await self._until(is_due, self._scenario.answer_wait_ms / 1e3 + into_ms / 1e3)

    async def _until_answered(self, said_until: float) -> None:
        """Until the agent has spoken after that moment and is quiet again, or has said nothing for too long."""
        quiet_since = said_until
        while not self._ended.is_set():
            now = time.monotonic()
            if self._spurts.speaking_since is not None:
                quiet_since = now
            elif self._heard_until > said_until or now - quiet_since > self._scenario.answer_wait_ms / 1e3:
                return
            await asyncio.sleep(_POLL_S)

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for it; False when the call ended, or time did, before."""
        deadline = time.monotonic() + limit_s
        while not condition():
            if self._ended.is_set() or time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _new_mouth(self, audio: CallAudio) -> Mouth:
        table = self._scenario.caller
        background = self._background
        noise = None
        if background is not None:
            noise = resample(background.samples, background.sample_rate_hz, audio.sample_rate_hz)
        echo = None if table.echo is None else (float(table.echo.delay_ms), table.echo.loss_db)
        return Mouth(audio, lambda: next(audio.utterance_ids), noise, echo)

    def _receive_frames(self, frames: list[PcmFrame]) -> None:
        assert self._mouth is not None, "it is there before the frames"
        self._mouth.receive_frames(frames)
        self.log.frames.extend(frames)
        for frame in frames:
            spurt = self._spurts.receive_frame(frame)
            if spurt is not None:
                self._heard_until = spurt.ended_at

    def _receive_playout(self, event: PlayoutEvent) -> None:
        assert self._mouth is not None, "it is there before the playout"
        self._mouth.receive_playout(event)

    def _end(self) -> None:
        if not self._ended.is_set():
            self.log.ended_at = time.monotonic()
            if self.log.steps:
                self.log.steps[-1].ended_at = self.log.ended_at
            self._ended.set()
