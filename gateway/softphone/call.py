# SPDX-License-Identifier: GPL-3.0-or-later
"""One softphone call: speak each prompt, wait for the answer, measure it on the RTP clock."""

import asyncio
import contextlib
from dataclasses import asdict, dataclass, field

import numpy as np

from gateway.calls.keypad import Keypad
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import (
    CallConfirmed,
    CallDialled,
    CallEnded,
    CallProgress,
    DigitReceived,
    HoldChanged,
    IncomingCall,
    LegQuality,
    MediaActive,
    RegistrationChanged,
    SignallingSeen,
    SipEvent,
)
from gateway.sip.sip_thread import new_handle
from gateway.softphone.spurts import Spurt, SpurtDetector, last_audible_sample
from media.frames import PcmFrame, PcmSamples
from media.keys import KeyMethod, ToneDetection, dialled_ms
from media.playout import PlayoutEvent, UtteranceFinished, UtteranceStarted
from media.ports import CallAudio, PcmHub
from media.resample import resample

_FRAME_S = 0.020
_GREETING_WAIT_S = 4.0
_ANSWER_WAIT_S = 15.0
_SETUP_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """Something the softphone says."""

    label: str
    samples: PcmSamples
    sample_rate_hz: int


@dataclass(slots=True)
class Turn:
    """One prompt and what was heard from its first sample until the next one."""

    label: str
    response_ms: float | None
    """End of our speech to start of the answer, as mouth and ear have it; negative when the answer began before we had
    finished; None when nothing was heard."""
    spurts: list[Spurt] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What became of the call."""

    answered: bool = False
    codec: str = ""
    srtp: bool = False
    code: int = 0
    reason: str = ""
    ended_by_peer: bool = False
    greeting: list[Spurt] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    digits: str = ""
    recording: list[PcmFrame] = field(default_factory=list)
    quality: LegQuality = field(default_factory=LegQuality)
    uplink: dict[str, int] = field(default_factory=dict)


class SoftphoneCall:
    """Feed `receive` to a `SipEndpoint`, then await `run` once."""

    def __init__(self, hub: PcmHub, *, gap_ms: int, keep_audio: bool, dtmf_method: KeyMethod | None = None) -> None:
        self.handle = new_handle()
        """Names the call in the endpoint's events."""
        self._hub = hub
        self._keep_audio = keep_audio
        self._dtmf_method = dtmf_method
        self._keypad: Keypad | None = None
        self._detector = SpurtDetector(gap_ms)
        self._outcome = Outcome()
        self._audio: CallAudio | None = None
        self._confirmed = asyncio.Event()
        self._ended = asyncio.Event()
        self._heard = asyncio.Event()
        self._played = asyncio.Event()
        self._began_at = 0.0
        self._spurts = self._outcome.greeting

    def receive(self, event: SipEvent) -> None:
        """Take an event of the endpoint."""
        outcome = self._outcome
        match event:
            case MediaActive():
                outcome.codec, outcome.srtp = event.codec, event.srtp
                if self._audio is None:
                    self._audio = CallAudio(self._hub, event.port)
                    self._audio.on_frames = self._receive_frames
                    self._audio.on_playout = self._receive_playout
                    if self._keypad is not None:
                        self._audio.on_key = self._keypad.receive_key
                        self._audio.detect_tones(ToneDetection.AUTO)
            case CallConfirmed():
                outcome.answered = True
                self._confirmed.set()
            case DigitReceived():
                if self._keypad is not None:
                    self._keypad.receive_info(event)
            case CallEnded():
                outcome.code, outcome.reason, outcome.quality = event.code, event.reason, event.quality
                outcome.ended_by_peer = event.ended_by_peer
                self._ended.set()
            case (
                CallDialled()
                | CallProgress()
                | HoldChanged()
                | IncomingCall()
                | RegistrationChanged()
                | SignallingSeen()
            ):
                pass

    async def run(
        self,
        endpoint: SipEndpoint,
        to: str,
        prompts: list[Prompt],
        *,
        digits: str = "",
        duration_s: float | None = None,
    ) -> Outcome:
        """Place the call and carry it through. Raises `CallError` when it cannot even be dialled."""
        handle = self.handle
        self._keypad = Keypad(handle, endpoint, self._receive_press)
        await endpoint.place(handle, to)
        try:
            async with asyncio.timeout(_SETUP_WAIT_S):
                await self._first(self._confirmed, self._ended)
            if not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(duration_s):
                        await self._talk(prompts, digits, stay=duration_s is not None)
        except TimeoutError:
            self._outcome.reason = f"no answer within {_SETUP_WAIT_S:.0f} s"
        finally:
            await endpoint.hang_up(handle)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 5)
            self._close()
        return self._outcome

    async def _talk(self, prompts: list[Prompt], digits: str, *, stay: bool) -> None:
        await self._listen(_GREETING_WAIT_S)
        if digits:
            turn = self._begin_turn(f"dtmf {len(digits)} digits")
            await self._press(digits)
            await self._listen(_ANSWER_WAIT_S)
            self._end_turn(turn, None)
        for index, prompt in enumerate(prompts):
            if self._ended.is_set():
                return
            await self._speak(index + 1, prompt)
        if stay:
            await self._ended.wait()

    async def _speak(self, utterance_id: int, prompt: Prompt) -> None:
        audio = self._audio
        assert audio is not None
        rate_hz = audio.sample_rate_hz
        samples = resample(prompt.samples, prompt.sample_rate_hz, rate_hz)
        turn = self._begin_turn(prompt.label)
        self._played.clear()
        audio.play(utterance_id, np.ascontiguousarray(samples, dtype="<i2").tobytes())
        audio.end_utterance(utterance_id)
        await self._first(self._played, self._ended)
        await self._listen(_ANSWER_WAIT_S)
        # The first sample of a frame left the mouth one frame before the frame was sent.
        speech_ended = self._began_at - _FRAME_S + last_audible_sample(samples, rate_hz) / rate_hz
        self._end_turn(turn, speech_ended)

    async def _press(self, digits: str) -> None:
        assert self._keypad is not None
        assert self._audio is not None
        await self._keypad.dial(self._audio, digits, self._dtmf_method)
        if self._dtmf_method is not KeyMethod.INFO:  # queued: until the last one has sounded
            await self._first(self._ended, wait_s=dialled_ms(digits) / 1000)

    def _receive_press(self, digit: str) -> None:
        self._outcome.digits += digit

    def _begin_turn(self, label: str) -> Turn:
        turn = Turn(label, None)
        self._outcome.turns.append(turn)
        self._spurts = turn.spurts
        self._heard.clear()
        return turn

    def _end_turn(self, turn: Turn, speech_ended: float | None) -> None:
        if self._ended.is_set():
            self._hear_the_end()
        if turn.spurts and speech_ended is not None:
            turn.response_ms = round((turn.spurts[0].started_at - speech_ended) * 1000, 1)

    async def _listen(self, wait_s: float) -> None:
        """Until the far end has spoken and is quiet again, or has been silent for `wait_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s) as limit:
                while not self._heard.is_set() and not self._ended.is_set():
                    if self._detector.speaking_since is not None:
                        limit.reschedule(None)
                    await self._first(self._heard, self._ended, wait_s=0.1)

    async def _first(self, *events: asyncio.Event, wait_s: float | None = None) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=wait_s)
        finally:
            for wait in waits:
                wait.cancel()

    def _receive_frames(self, frames: list[PcmFrame]) -> None:
        if self._keep_audio:
            self._outcome.recording.extend(frames)
        for frame in frames:
            spurt = self._detector.receive_frame(frame)
            if spurt is not None:
                self._spurts.append(spurt)
                self._heard.set()

    def _receive_playout(self, event: PlayoutEvent) -> None:
        match event:
            case UtteranceStarted():
                self._began_at = event.sent_at
            case UtteranceFinished():
                self._played.set()
            case _:
                pass

    def _hear_the_end(self) -> None:
        """The call is over: what was being said then is complete."""
        last = self._detector.finish()
        if last is not None:
            self._spurts.append(last)

    def _close(self) -> None:
        self._hear_the_end()
        if self._audio is not None:
            self._outcome.uplink = asdict(self._audio.counters())
            self._audio.close()
