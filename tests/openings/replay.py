# SPDX-License-Identifier: GPL-3.0-or-later
"""What was heard of an opening through the far end's engine, in no time; and what that says of the engine."""

from dataclasses import dataclass

from agent.config import FarEndConfig
from agent.far_end import FallSilent, FarEnd, FarEndEvent, FarEndRecognized, FloorOffered, LeaveMessage, Verdict
from agent.speech import SpeechDismissed, SpeechEnded, SpeechStarted, SpeechSuspected
from media.cadence import BusyHeard, CongestionHeard, RingbackHeard
from media.progress import BeepHeard, FaxAnswered, FaxCalling, SitHeard
from tests.openings.ears import Heard, Music, Words
from tests.openings.opening import Opening
from tests.openings.speakers import RATE_HZ

_CONFIG = FarEndConfig(voicemail="message", message="Please call us back.")
_BEGIN_S = 100.0
"""Not 0: a clock that starts there hides forgotten stamps."""


@dataclass(frozen=True)
class Told:
    """What the engine said, each with when, seconds from the opening's first sample."""

    opening: Opening
    events: tuple[tuple[float, FarEndEvent], ...]

    @property
    def recognized(self) -> list[tuple[float, FarEndRecognized]]:
        return [(when, event) for when, event in self.events if isinstance(event, FarEndRecognized)]

    @property
    def first(self) -> Verdict:
        """The verdict that was told first."""
        return self.recognized[0][1].kind.verdict if self.recognized else Verdict.UNKNOWN

    @property
    def settled(self) -> Verdict:
        """The verdict at the end of the opening."""
        return self.recognized[-1][1].kind.verdict if self.recognized else Verdict.UNKNOWN

    @property
    def after_s(self) -> float | None:
        """From the far end's first sound to the first verdict."""
        return self.recognized[0][0] - self.opening.spoke_s if self.recognized else None

    @property
    def floor_after_s(self) -> float | None:
        """From the end of the first thing said to when the caller was told to speak."""
        offers = [when - event.ended_at for when, event in self.events if isinstance(event, FloorOffered)]
        return offers[0] if offers else None

    @property
    def message_after_s(self) -> float | None:
        """From the end of the last beep to the message that was not broken off; None: there is no such message."""
        if self.opening.recording_s is None:
            return None
        left: float | None = None
        for when, event in self.events:
            match event:
                case LeaveMessage():
                    left = when
                case FallSilent():
                    left = None
                case _:
                    pass
        return None if left is None else left - self.opening.recording_s


def replay(heard: Heard, *, with_words: bool = True) -> Told:
    """`with_words` false: as for a language, or a line, of which nothing is understood."""
    opening = heard.opening
    far_end = FarEnd(_CONFIG, is_answered=False)
    told: list[tuple[float, FarEndEvent]] = []
    answered_at = _BEGIN_S + opening.answered_s
    end = _BEGIN_S + len(opening.samples) / RATE_HZ
    waiting = [(_BEGIN_S + when, sound) for when, sound in heard.sounds]
    while True:
        moments = [when for when, _ in waiting[:1]] + ([] if far_end.is_answered else [answered_at])
        timeout = far_end.next_timeout()
        now = min([*moments, *([timeout] if timeout is not None else [])], default=end)
        if now >= end:
            return Told(opening, tuple(told))
        if now >= answered_at:
            far_end.answered(now)
        if waiting and waiting[0][0] <= now:
            _feed(far_end, waiting.pop(0)[1], now, with_words=with_words)
        far_end.handle_timeout(now)
        told += [(now - _BEGIN_S, _moved(event)) for event in far_end.events()]


def _feed(far_end: FarEnd, sound: object, now: float, *, with_words: bool) -> None:
    match sound:
        case Words(text, is_final):
            if with_words:
                far_end.receive_words(text, now, is_final=is_final)
        case Music(is_playing):
            far_end.receive_music(is_playing, now)
        case SpeechStarted(started_at):
            far_end.receive_speech(_BEGIN_S + started_at)
        case SpeechEnded(ended_at):
            far_end.receive_silence(_BEGIN_S + ended_at)
        case SpeechSuspected() | SpeechDismissed():
            far_end.receive_suspicion(isinstance(sound, SpeechSuspected))
        case (
            BeepHeard() | FaxAnswered() | FaxCalling() | SitHeard() | BusyHeard() | CongestionHeard() | RingbackHeard()
        ):
            far_end.receive_tone(sound, now)
        case _:
            raise AssertionError(f"nothing like {sound} is heard")


def _moved(event: FarEndEvent) -> FarEndEvent:
    return FloorOffered(event.ended_at - _BEGIN_S) if isinstance(event, FloorOffered) else event
