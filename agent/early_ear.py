# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes before the answer of a call that we placed (early media): a ringing tone, the busy tone, "the number you
have dialled", a voicemail that greets first and answers at its beep. A clockless engine; time is in the frames.

    frames > voice flag > SpeechDetector ─┐
                                          v
           > tones ────────────────> FarEndWatch > what is known already, or the end of the call
                                          └─ when it is answered, the session goes on with it
"""

from agent.config import AgentConfig
from agent.far_end import EndCall, FarEndEvent, FarEndRecognized
from agent.far_end_watch import FarEndWatch
from agent.speech import MakeSpeechModel, SpeechDetector
from media.frames import PcmFrame
from media.vad import WebRtcVad, mark_speech


class EarlyEar:
    """One call's, from its first early frame to its answer."""

    def __init__(self, config: AgentConfig, make_speech_model: MakeSpeechModel, sample_rate_hz: int) -> None:
        self.watch = FarEndWatch(config.far_end, sample_rate_hz, is_answered=False)
        self.kept: list[FarEndEvent] = []
        """What can be done after the answer only: the message for a voicemail that has beeped already."""
        self._sample_rate_hz = sample_rate_hz
        self._voice = WebRtcVad(mode=3)
        self._detector = SpeechDetector(make_speech_model, sample_rate_hz, config.speech)

    def receive_frames(self, frames: list[PcmFrame]) -> list[FarEndRecognized | EndCall]:
        """The far end's next frames, as they came: what follows from them."""
        far_end = self.watch.far_end
        for frame in frames:
            if frame.sample_rate_hz != self._sample_rate_hz:
                self._sample_rate_hz = frame.sample_rate_hz
                self._detector.receive_rate(frame.sample_rate_hz)
            flagged = mark_speech(frame, self._voice)
            self.watch.receive_frame(flagged)
            self._detector.receive_frame(flagged)
            for event in self._detector.events():
                self.watch.receive_speech(event)
            due = far_end.next_timeout()
            if due is not None and frame.arrived_at >= due:
                far_end.handle_timeout(frame.arrived_at)
        return self._sort(far_end.events())

    def answered(self, now: float) -> None:
        """The call was answered: from here on the session has the watch. What follows is kept for it."""
        self.watch.answered(now)
        self.kept += self.watch.far_end.events()

    def _sort(self, events: list[FarEndEvent]) -> list[FarEndRecognized | EndCall]:
        told: list[FarEndRecognized | EndCall] = []
        for event in events:
            match event:
                case FarEndRecognized() | EndCall():
                    told.append(event)
                case _:
                    self.kept.append(event)
        return told
