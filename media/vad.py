# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice activity: which frames are speech, and when speech began and ended.

    PcmFrame > VoiceDetector.is_speech > mark_speech (frame with its flag) > VadGate > SpeechStarted / SpeechEnded

A detector judges frame by frame and flickers; the gate wants speech, or silence, for a while before it says so. The
detector here is WebRTC's: 2 us per frame, but deaf to the difference between a voice and steady noise. A neural one
(agent.local) stands beside it behind the same Protocol.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import webrtcvad

from media.errors import MediaMisuse
from media.frames import FrameFlags, PcmFrame, PcmSamples, check_rate


class VoiceDetector(Protocol):
    """Hears whether there is a voice in a frame. One per caller: detectors remember the line's noise."""

    def is_speech(self, frame: PcmFrame) -> bool:
        """Judge the next frame of the stream; frames come in order, of any duration."""
        ...


class WebRtcVad:
    """WebRTC's detector (webrtcvad): a model of speech and noise energy in six bands up to 4 kHz."""

    def __init__(self, mode: int = 3) -> None:
        """`mode` 0 to 3: how sure it must be. 3 lets the least noise through and still misses little speech."""
        if mode not in (0, 1, 2, 3):
            raise MediaMisuse(f"WebRTC VAD mode {mode} is none of 0, 1, 2, 3")
        self._vad = webrtcvad.Vad(mode)
        self._rate_hz = 0
        self._left_over = b""
        self._last = False

    def is_speech(self, frame: PcmFrame) -> bool:
        """Whether any part of the frame is speech.

        The library takes 10, 20 or 30 ms. Other durations are judged in 10 ms parts; what remains waits for the next
        frame, and a frame shorter than that repeats the last judgement.
        """
        rate_hz, pcm = frame.sample_rate_hz, frame.pcm
        if rate_hz == 24000:
            rate_hz, pcm = 8000, _third(frame)
        if rate_hz != self._rate_hz:
            self._rate_hz, self._left_over = check_rate(rate_hz), b""
        part_bytes = rate_hz // 100 * 2
        if not self._left_over and len(pcm) in (part_bytes, 2 * part_bytes, 3 * part_bytes):
            self._last = bool(self._vad.is_speech(pcm, rate_hz))
            return self._last
        pcm = self._left_over + pcm
        whole_bytes = len(pcm) // part_bytes * part_bytes
        self._left_over = pcm[whole_bytes:]
        # A list, not any() over a generator: every part must reach the detector, which learns from all it hears.
        judgements = [
            bool(self._vad.is_speech(pcm[start : start + part_bytes], rate_hz))
            for start in range(0, whole_bytes, part_bytes)
        ]
        if judgements:
            self._last = any(judgements)
        return self._last


def _third(frame: PcmFrame) -> bytes:
    """24 kHz as 8 kHz by the mean of every three samples: what folds over is of no account to energy in bands."""
    samples = frame.samples
    triples = samples[: len(samples) // 3 * 3].reshape(-1, 3)
    thirds: PcmSamples = (triples.sum(axis=1, dtype=np.int32) // 3).astype("<i2")
    return thirds.tobytes()


def mark_speech(frame: PcmFrame, detector: VoiceDetector) -> PcmFrame:
    """The frame with its SPEECH flag saying what the detector heard. A DTMF digit is never speech."""
    speech = detector.is_speech(frame) and FrameFlags.DTMF not in frame.flags
    if speech == frame.has_speech:
        return frame
    return replace(frame, flags=frame.flags ^ FrameFlags.SPEECH)


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak."""

    position_samples: int
    """The first sample of the speech, on the leg's timeline."""
    detected_at_samples: int
    """The end of the frame that made it certain."""
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The caller fell silent."""

    position_samples: int
    """The sample after the last one of the speech: silence is counted from here, not from when it was noticed."""
    detected_at_samples: int
    """The end of the frame that made it certain; the start of the next one when a gap did."""
    sample_rate_hz: int


VadEvent = SpeechStarted | SpeechEnded


class VadGate:
    """Turns flickering judgements into speech that starts and ends. Its only clock is the leg's timeline.

                    speech for start_ms without a break
            SILENT ─────────────────────────────────────> SPEAKING
               ^                                             |
               └─────────────────────────────────────────────┘
                    no speech for end_ms, or the timeline jumps back, or the rate changes

    A gap in the timeline (nothing was sent) counts as silence.
    """

    def __init__(self, start_ms: int, end_ms: int) -> None:
        """`start_ms`: a cough is shorter. `end_ms`: a stop consonant or a breath is shorter. Both may be 0."""
        if start_ms < 0 or end_ms < 0:
            raise MediaMisuse(f"VAD gate of {start_ms} and {end_ms} ms")
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._speaking = False
        self._rate_hz = 0
        self._expected = 0  # the position of the next frame when there is no gap
        self._run_began: int | None = None  # SILENT: first sample of the unbroken speech so far
        self._speech_until = 0  # SPEAKING: the sample after the last one of speech
        self._events: deque[VadEvent] = deque()  # at most two per frame; the caller drains it after each

    @property
    def speaking(self) -> bool:
        """Whether speech has started and not yet ended."""
        return self._speaking

    def events(self) -> list[VadEvent]:
        """What has happened since the last call, in order. Drain after each frame."""
        events = list(self._events)
        self._events.clear()
        return events

    def receive_frame(self, frame: PcmFrame) -> None:
        """Take the next frame, its SPEECH flag set by a detector."""
        start = frame.position_samples
        if frame.sample_rate_hz != self._rate_hz or start < self._expected:
            self._restart(frame.sample_rate_hz)
        elif start > self._expected:
            self._silence_until(start)
        self._expected = start + frame.sample_count
        if FrameFlags.SPEECH in frame.flags:
            self._speech(start)
        else:
            self._silence_until(self._expected)

    def _speech(self, start: int) -> None:
        if self._speaking:
            self._speech_until = self._expected
            return
        if self._run_began is None:
            self._run_began = start
        if (self._expected - self._run_began) * 1000 >= self._start_ms * self._rate_hz:
            self._events.append(SpeechStarted(self._run_began, self._expected, self._rate_hz))
            self._speaking, self._speech_until, self._run_began = True, self._expected, None

    def _silence_until(self, end: int) -> None:
        self._run_began = None
        if self._speaking and (end - self._speech_until) * 1000 >= self._end_ms * self._rate_hz:
            self._end(end)

    def _restart(self, rate_hz: int) -> None:
        self._run_began = None
        if self._speaking:
            self._end(self._expected)
        self._rate_hz = rate_hz

    def _end(self, detected_at: int) -> None:
        self._events.append(SpeechEnded(self._speech_until, detected_at, self._rate_hz))
        self._speaking = False
