# SPDX-License-Identifier: GPL-3.0-or-later
"""The ear that a placed call has besides the agent's: for tones and music, which are no speech.

frames > CallProgress (beep, fax, busy, information tones), HoldMusic ─┐
the session's speech events and transcripts ──────────────────────────┴> FarEnd > events

It may hear early media: `is_answered` false at first, and `answered` when the call is. What came before that is known
by it; nothing else changes for who feeds it.
"""

from agent.config import FarEndConfig
from agent.far_end import FarEnd
from agent.speech import SpeechDismissed, SpeechEnded, SpeechEvent, SpeechStarted, SpeechSuspected
from media.frames import PcmFrame
from media.hold_music import HoldMusic
from media.progress import CallProgress

_LISTEN_S = 600.0
"""Tones come at a call's beginning, music when somebody is put through: later than this we know whom we talk to."""


class FarEndWatch:
    """One placed call's; some 0.3 % of a core while it listens."""

    def __init__(self, config: FarEndConfig, sample_rate_hz: int, *, is_answered: bool = True) -> None:
        self.far_end = FarEnd(config, is_answered=is_answered)
        self.is_music = False
        self._sample_rate_hz = sample_rate_hz
        self._tones = CallProgress(sample_rate_hz)
        self._music = HoldMusic(sample_rate_hz)
        self._heard_s = 0.0

    def answered(self, now: float) -> None:
        """The call was answered: frames, speech and words until now were early media."""
        self.far_end.answered(now)

    def receive_frame(self, frame: PcmFrame) -> None:
        """The far end's next frame, as it came; a new rate makes the detectors begin anew."""
        if self._heard_s > _LISTEN_S:
            return
        if frame.sample_rate_hz != self._sample_rate_hz:
            self._sample_rate_hz = frame.sample_rate_hz
            self._tones, self._music = CallProgress(frame.sample_rate_hz), HoldMusic(frame.sample_rate_hz)
        self._heard_s += frame.duration_s
        for tone in self._tones.receive(frame.samples):
            self.far_end.receive_tone(tone, frame.arrived_at)
        was_music, self.is_music = self.is_music, self._music.receive(frame.samples)
        if self.is_music != was_music:
            self.far_end.receive_music(self.is_music, frame.arrived_at)

    def receive_speech(self, event: SpeechEvent) -> None:
        """What the session's detector heard."""
        match event:
            case SpeechSuspected():
                self.far_end.receive_suspicion(True)
            case SpeechDismissed():
                self.far_end.receive_suspicion(False)
            case SpeechStarted(started_at):
                self.far_end.receive_speech(started_at)
            case SpeechEnded(ended_at):
                self.far_end.receive_silence(ended_at)
