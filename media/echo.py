# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo gate: our own voice that comes back from a speakerphone or a hybrid is not the caller's speech.

    frame with its voice flag > EchoPath: can this be our echo? > no: pass on   yes: silence, without the flag
                                                                > not sure: hold it back until it is clear

                     unexplained speech                    nothing of ours in it
        CLOSED ─────────────────────────────> UNDECIDED ──────────────────────────> OPEN
          ^                                       │                                   │
          ├──── echo proven, or no more of it ────┘                                   │
          └──── `_OPEN_MS` without unexplained speech, or echo proven ────────────────┘

Holding back costs no time where it matters: barge-in needs `SpeechConfig.min_speech_ms` (128 ms) of speech in any case,
frames that are let go of keep their positions and times, and whoever counts speech by these catches up at once. So a
caller who breaks in is recognised as fast as without a gate, and speech recognition misses nothing of the beginning.

What echo becomes: digital silence, not a quieter echo. The stages after this one lift quiet speech up (gain control) or
recognise it (speech recognition hears a whisper), so anything left of our own words would end up in the transcript.

While nothing was sent lately, nothing is computed; and callers who speak over us on a line without echo are let through
after a test of a few milliseconds of CPU in all.
"""

from dataclasses import dataclass, replace

from media.echo_path import RATE_HZ, EchoFinding, EchoPath
from media.frames import FrameFlags, PcmFrame

_SILENT = 10.0 ** (-60.0 / 10.0)
"""-60 dBov: an idle line, or the end of an echo."""
_FIRST_TEST_MS = 80
"""Less audio proves nothing."""
_OPEN_SPEECH_MS = 60
"""So much of what is held back must be unexplained speech."""
_HOLD_MS = 120
"""Below the 128 ms of speech that barge-in needs."""
_UNTRIED_HOLD_MS = 400
"""The same in the first words of a call, while nobody knows whether the line has an echo."""
_SUSPICIOUS_HOLD_MS = 700
"""The same while what is heard follows in part from what was sent, and no echo is known that would account for it."""
_HINT_FRAMES = 2
"""Unexplained speech in so many frames is worth lowering our voice for."""
_MISSED_HOLD_MS = 240
"""The same when one is known, but not at the delay where this seems to come from."""
_OPEN_MS = 300
"""A caller's pause between words."""
_SHUT = 3
"""Times as fast is the end of OPEN reached when all that is heard is our voice."""
_WINDOW_MS = 256
"""What a search looks at."""
_HELD_WINDOW_MS = 512
"""While frames wait for its result."""
_LEAD_MS = 40
"""Speech has begun a little before the voice detector says so."""
_SEARCH_EVERY_MS = 250
_CONFIRM_EVERY_MS = 600
_TRIED_MS = 1_500
"""So much of our voice without a trace of echo, and the line has none, or none that was heard so far."""


@dataclass(frozen=True, slots=True)
class EchoReport:
    """What the gate found on one call."""

    delay_ms: float | None
    """None: no echo was found."""
    loss_db: float | None
    """How much quieter than sent our voice came back."""
    gated_ms: int
    """Silenced although the voice detector heard speech in it."""


class EchoGate:
    """One call's gate. Give it what was sent and what is heard, in any order that keeps each in its own."""

    def __init__(self) -> None:
        self._path = EchoPath()
        self._held: list[_Held] = []
        """Bounded by `_SUSPICIOUS_HOLD_MS`."""
        self._is_unlike_ours = False
        """What is held back was tested, and nothing in it hints at our voice."""
        self._open_ms = 0.0
        """What is left of OPEN."""
        self._since_search_ms = 0.0
        self._tried_ms = 0.0
        self._gated_ms = 0.0
        self._sent_power = 0.0
        self._rate_hz = 0

    @property
    def suspects_caller(self) -> bool:
        """What is held back may well be a caller who breaks in: on a line that is known, after two frames, on another
        after the first test."""
        if sum(held.speech for held in self._held) < _HINT_FRAMES:
            return False
        return self._is_unlike_ours or self._tried_ms >= _TRIED_MS or self._path.delay_ms is not None

    @property
    def report(self) -> EchoReport:
        delay_ms, loss_db = self._path.delay_ms, self._path.loss_db
        return EchoReport(
            None if delay_ms is None else round(delay_ms, 1),
            None if loss_db is None else round(loss_db, 1),
            round(self._gated_ms),
        )

    def receive_sent(self, frames: list[PcmFrame]) -> None:
        """What really went out, silence included."""
        for frame in frames:
            self._path.receive_sent(frame)

    def process(self, frame: PcmFrame) -> list[PcmFrame]:
        """Take a flagged frame of the caller's; returns those that are decided now, in order: none, one or more."""
        if not self._path.may_carry_echo(frame) or frame.sample_rate_hz != self._rate_hz:
            self._rate_hz, self._open_ms = frame.sample_rate_hz, 0.0
            return [*self._release(), frame] if self._held else [frame]
        duration_ms = frame.duration_s * 1000
        power = self._path.receive_heard(frame)
        self._since_search_ms += duration_ms
        explained = power > _SILENT and self._path.explains()
        speech = power > _SILENT and not explained and FrameFlags.SPEECH in frame.flags
        if self._open_ms > 0:
            return self._while_open(frame, speech, duration_ms * (_SHUT if explained else 1))
        if self._held or speech:
            self._held.append(_Held(frame, speech, duration_ms))
            return self._decide()
        self._tried_ms += duration_ms
        if power > _SILENT:
            self._maybe_search(explained)
        return [self._silenced(frame) if explained else _without_flag(frame)]

    def _while_open(self, frame: PcmFrame, speech: bool, spent_ms: float) -> list[PcmFrame]:
        self._open_ms = _OPEN_MS if speech else self._open_ms - spent_ms
        if self._since_search_ms >= _SEARCH_EVERY_MS:
            finding = self._search(_WINDOW_MS)
            if finding is not None and finding.is_echo and self._path.is_proven:
                self._open_ms = 0.0
                return [self._silenced(frame)]
        return [frame]

    def _decide(self) -> list[PcmFrame]:
        held_ms = sum(held.duration_ms for held in self._held)
        speech_ms = sum(held.duration_ms for held in self._held if held.speech)
        if held_ms < _FIRST_TEST_MS:
            return []
        finding = self._search(min(_HELD_WINDOW_MS, held_ms + _LEAD_MS))
        if finding is not None and finding.is_echo:
            return self._silence_held()
        self._is_unlike_ours = finding is not None and not finding.is_suspicious
        if held_ms < self._hold_ms(finding):
            return []
        if speech_ms < _OPEN_SPEECH_MS:
            return self._silence_held()
        self._open_ms = _OPEN_MS
        return self._release()

    def _hold_ms(self, finding: EchoFinding | None) -> int:
        if finding is None:
            return _HOLD_MS
        if finding.is_suspicious:
            return _SUSPICIOUS_HOLD_MS if self._path.delay_ms is None else _MISSED_HOLD_MS
        return _UNTRIED_HOLD_MS if self._path.delay_ms is None and self._tried_ms < _TRIED_MS else _HOLD_MS

    def _maybe_search(self, explained: bool) -> None:
        """Look for echo in what is no speech to our detector, or confirm that it is still there."""
        if self._since_search_ms < (_CONFIRM_EVERY_MS if self._path.is_trusted else _SEARCH_EVERY_MS):
            return
        finding = self._search(_WINDOW_MS)
        if explained and finding is not None and finding.is_absent:
            self._path.doubt()

    def _search(self, window_ms: float) -> EchoFinding | None:
        self._since_search_ms = 0.0
        finding = self._path.search(round(window_ms) * RATE_HZ // 1000)
        if finding is not None and finding.is_absent and not self._path.is_proven:
            self._path.doubt()  # chance, most likely; a proven echo is not forgotten because somebody talks over it
        return finding

    def _release(self) -> list[PcmFrame]:
        frames = [held.frame for held in self._held]
        self._held.clear()
        self._is_unlike_ours = False
        return frames

    def _silence_held(self) -> list[PcmFrame]:
        return [self._silenced(frame) for frame in self._release()]

    def _silenced(self, frame: PcmFrame) -> PcmFrame:
        if FrameFlags.SPEECH in frame.flags:
            self._gated_ms += frame.duration_s * 1000
        return replace(frame, pcm=bytes(len(frame.pcm)), flags=frame.flags & ~FrameFlags.SPEECH)


def _without_flag(frame: PcmFrame) -> PcmFrame:
    """Too faint to be anybody's speech, whatever the voice detector says: the fading end of an echo, for one."""
    if FrameFlags.SPEECH not in frame.flags:
        return frame
    return replace(frame, flags=frame.flags & ~FrameFlags.SPEECH)


@dataclass(frozen=True, slots=True)
class _Held:
    """A frame that waits for the verdict."""

    frame: PcmFrame
    speech: bool
    """It has the voice flag, and the echo does not explain it."""
    duration_ms: float
