# SPDX-License-Identifier: GPL-3.0-or-later
"""Who took the call that we placed: a person, a voicemail, a menu, a queue, a fax? A clockless engine.

    words, cadence, tones, music ──> FarEndRecognized, whenever the answer changes
        "hello?" and a pause > FloorOffered: the caller may speak, whoever it turns out to be
        voicemail ──> EndCall, or FallSilent ── its beep, or its silence ──> LeaveMessage
        hold ───────> FallSilent, until somebody speaks ── max_hold_s ──> EndCall
        fax, busy, no such number ──> EndCall

Four kinds of evidence, each with what it is worth:

    tones      certain (fax, busy, information tones, the beep after a greeting), before the answer, too
    words      machines say what they are ("leave a message after the tone", "press one for sales", "please hold"), in
               partial transcripts already; people ask ("how can I help you?") or say hello and wait
    cadence    length and pauses (agent/greeting_cadence.py), for as long as words do not tell: they come later
    judgement  a language model's, asked only when all of these leave it open (`InDoubt`)

Whoever says anything else is a person, until they put us on hold; only a voicemail stays one. One who was never
recognised is `UNKNOWN`, and is talked to like a person. Nothing but words and tones ends a call: a person who answers
for a firm speaks as long as a short recording does, and is not hung up on for it.

Before the answer (`is_answered` false: early media) there are no people, and music is only a ringing tone.
"""

from dataclasses import dataclass

from agent.config import FarEndConfig
from agent.far_end_kind import FarEndKind, Verdict
from agent.far_end_words import is_asked, is_introduction, is_persons, said_by_machine
from agent.greeting_cadence import GreetingCadence, GreetingPaused, SoundsLikePerson, SoundsLikeRecording
from media.cadence import BusyHeard, CongestionHeard, RingbackHeard
from media.progress import BeepHeard, FaxAnswered, FaxCalling, ProgressEvent, SitHeard

__all__ = [
    "EndCall",
    "FallSilent",
    "FarEnd",
    "FarEndEvent",
    "FarEndKind",
    "FarEndRecognized",
    "FloorOffered",
    "InDoubt",
    "LeaveMessage",
    "Verdict",
]


@dataclass(frozen=True, slots=True)
class FarEndRecognized:
    """The far end is something else than was known."""

    kind: FarEndKind
    cause: str
    """`words`, `cadence`, `tone`, `music` or `judgement`."""
    confidence: float
    """0 to 1. Below 0.7 nothing should be done that cannot be undone."""


@dataclass(frozen=True, slots=True)
class FloorOffered:
    """They said something short and have stopped: whoever it is, a caller speaks now. Told once for every pause, until
    somebody is recognised, and once after that if it was in the midst of a sentence; a machine that goes on has lost
    nothing by it."""

    ended_at: float
    """When the last sample of it was spoken, monotonic seconds."""


@dataclass(frozen=True, slots=True)
class FallSilent:
    """Stop what is being said: nobody listens. A message that was being left was begun too early: it comes again."""


@dataclass(frozen=True, slots=True)
class LeaveMessage:
    """A voicemail has said all it had to say and records: say this, then end the call for this reason."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndCall:
    """There is nobody to talk to."""

    reason: str
    """`voicemail`, `fax`, `busy`, `not_in_service`, `unreachable`, `on_hold_too_long`."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """This much was said, and nothing tells who says it: ask a language model, and let `receive_judgement` know."""

    text: str


FarEndEvent = FarEndRecognized | FloorOffered | FallSilent | LeaveMessage | EndCall | InDoubt

_GREETING_PAUSE_S = 2.5
"""A voicemail that is silent for so long records: its beep was none that we know."""
_PERSONS_WORDS_PAUSE_S, _PERSONS_QUESTION_PAUSE_S = 0.5, 0.4
"""After "hello." and "hello?": recordings greet, too, but do not ask. (Speech recognition hears the difference.)"""
_INTRODUCTION_PAUSE_S = 1.0
"""After a name, or thanks for calling, recordings pause as people do, and then go on."""
_UNTOLD_S = 0.3
"""Words that were told no longer before the end of speech are all that was said."""
_STRADDLES_S = 1.0
"""Who is heard for so long before the answer, and goes on, is no person who took the call."""
_MUSIC_S = 1.0
"""So long after the last word music is no background any more."""
_LONE_BEEP_S = 1.5
"""A beep before a word was said is somebody's equipment, unless so much silence follows."""
_MESSAGE_AGAIN_S = (0.2, 6.0)
"""A beep in this part of our message is the one that we should have waited for."""
_GREETING_RESUMED_S = 1.0
"""So much speech over our message is the rest of the greeting."""
_MOST_MESSAGES = 3
_MOST_WORDS_OF_A_GREETING = 14
"""Said in one breath by whoever answers, without a question or a machine's words: in doubt."""
_TONE, _MAYBE_WORDS, _MUSIC, _PERSONS_WORDS, _ANY_WORDS = 0.98, 0.85, 0.8, 0.95, 0.8
_ENDS = {
    FarEndKind.FAX: "fax",
    FarEndKind.FAILED: "not_in_service",
    FarEndKind.UNREACHABLE: "unreachable",
    FarEndKind.BUSY: "busy",
}
_FINAL = frozenset((*_ENDS, FarEndKind.VOICEMAIL))
_PUT_THROUGH_TO = frozenset((FarEndKind.VOICEMAIL, FarEndKind.MENU, FarEndKind.HOLD))
"""Somebody may connect us to these, in the midst of a call."""
_BEFORE_ANSWER = frozenset((*_ENDS, FarEndKind.VOICEMAIL, FarEndKind.MACHINE))


class FarEnd:
    """One placed call's."""

    def __init__(self, config: FarEndConfig, *, is_answered: bool = True) -> None:
        self.kind = FarEndKind.UNKNOWN
        self.confidence = 0.0
        self.is_answered = is_answered
        self._config = config
        self._cadence = GreetingCadence()
        self._speaks_since: float | None = None
        self._silent_since: float | None = None
        self._is_suspected = False
        """A sound that may become speech: a silence is not judged by its length meanwhile."""
        self._held_since: float | None = None
        self._beeped_at: float | None = None
        """Before anything was said."""
        self._is_music = False
        self._music_since: float | None = None
        """Until it is known to be all that is to be heard."""
        self._persons_pause_s = 0.0
        self._persons_words_at: float | None = None
        """When the newest words were some that people say, and wait."""
        self._owes_floor = False
        """A person was recognised in the midst of a sentence."""
        self._left_message_at: float | None = None
        self._messages = 0
        self._has_spoken = False
        self._turns_taken = 0
        """By somebody who said nothing that a machine says."""
        self._events: list[FarEndEvent] = []

    @property
    def verdict(self) -> Verdict:
        return self.kind.verdict

    @property
    def listens(self) -> bool:
        """Whether there is sense in answering: nobody hears us in a queue, and a voicemail does not converse."""
        return self.kind in (FarEndKind.UNKNOWN, FarEndKind.PERSON, FarEndKind.MENU)

    def answered(self, now: float) -> None:
        """The call was answered: what was heard until now was early media."""
        if self.is_answered:
            return
        self.is_answered = True
        goes_on = self._speaks_since is not None and now - self._speaks_since > _STRADDLES_S
        self._cadence, self._persons_words_at = GreetingCadence(), None
        if self._speaks_since is not None:
            self._cadence.receive_speech(max(now, self._speaks_since))
        if goes_on:
            self._recognize(FarEndKind.MACHINE, "cadence", _MAYBE_WORDS, now)
        elif self.kind is FarEndKind.MACHINE:
            self.kind, self.confidence = FarEndKind.UNKNOWN, 0.0  # "you are being connected": the network's

    def receive_words(self, text: str, now: float, *, is_final: bool) -> None:
        """What the far end says, or said so far in this turn."""
        said = said_by_machine(text)
        is_opening = self._turns_taken <= 1
        if said is not None and said.kind in (FarEndKind.MACHINE, FarEndKind.HOLD) and is_asked(text):
            said = None  # who answers for somebody else, or asks us to hold
        if said is not None and (is_opening or said.kind in _PUT_THROUGH_TO):
            self._recognize(said.kind, "words", said.confidence, now)
        elif text.strip() and self.is_answered and not (self._is_music and self.kind is FarEndKind.HOLD):
            self._receive_nobodys_words(text, now, is_final)  # speech recognition hears words in music, too

    def receive_tone(self, event: ProgressEvent, now: float) -> None:
        match event:
            case BeepHeard():
                self._receive_beep(now)
            case FaxAnswered() | FaxCalling():
                self._recognize(FarEndKind.FAX, "tone", _TONE, now)
            case SitHeard():
                self._recognize(FarEndKind.FAILED, "tone", _TONE, now)
            case BusyHeard() if self.kind is not FarEndKind.PERSON:
                self._recognize(FarEndKind.BUSY, "tone", _TONE, now)
            case CongestionHeard() if self.kind is not FarEndKind.PERSON:
                self._recognize(FarEndKind.UNREACHABLE, "tone", _TONE, now)
            case RingbackHeard() if self.kind is FarEndKind.UNKNOWN:
                self._cadence = GreetingCadence()  # it rings on: put through to someone who is not there yet

    def receive_music(self, is_playing: bool, now: float) -> None:
        """Who speaks over it has it in the background."""
        self._is_music = is_playing
        self._music_since = now if is_playing else None
        self.handle_timeout(now)

    def receive_judgement(self, kind: FarEndKind, confidence: float, now: float) -> None:
        """What a language model makes of the text of `InDoubt`; `UNKNOWN` if nothing. Too late, it is ignored."""
        if kind is not FarEndKind.UNKNOWN and self.kind in (FarEndKind.UNKNOWN, FarEndKind.MACHINE):
            self._recognize(kind, "judgement", confidence, now)

    def receive_speech(self, started_at: float) -> None:
        """The far end speaks (again), since then."""
        self._speaks_since, self._silent_since, self._beeped_at = started_at, None, None
        self._has_spoken, self._is_suspected = True, False
        self._cadence.receive_speech(started_at)
        self._follow_cadence(started_at)

    def receive_suspicion(self, is_suspected: bool) -> None:
        """The far end may have begun to speak, or has not after all."""
        self._is_suspected = is_suspected

    def receive_silence(self, ended_at: float) -> None:
        """It has stopped, at that time, or says nothing yet."""
        self._speaks_since, self._silent_since = None, ended_at
        self._cadence.receive_silence(ended_at)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        cadence_due = self._cadence.next_timeout() if self._is_open else None
        message_dues = (self._records_at, self._resumes_at, self._lone_beep_at)
        dues = (self._hold_ends_at, self._music_at, *message_dues, self._person_at, cadence_due)
        return min((due for due in dues if due is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        if (due := self._hold_ends_at) is not None and now >= due:
            self._held_since = None
            self._events.append(EndCall("on_hold_too_long"))
        if (due := self._music_at) is not None and now >= due:
            self._music_since = None
            self._recognize(FarEndKind.HOLD, "music", _MUSIC, now)
        if (due := self._records_at) is not None and now >= due:
            self._recognize(FarEndKind.VOICEMAIL, "cadence", _MAYBE_WORDS, now)
            self._leave_message(now)
        if (due := self._resumes_at) is not None and now >= due:
            self._left_message_at = None
            self._events.append(FallSilent())
        if (due := self._lone_beep_at) is not None and now >= due:
            self._beeped_at = None
            self._recognize(FarEndKind.VOICEMAIL, "tone", _ANY_WORDS, now)
            self._leave_message(now)
        if (due := self._person_at) is not None and now >= due:
            self._recognize(FarEndKind.PERSON, "words", _PERSONS_WORDS, now)
        if self._is_open:
            self._cadence.handle_timeout(now)
            self._follow_cadence(now)

    def events(self) -> list[FarEndEvent]:
        """What follows from the latest input; drain after each."""
        events, self._events = self._events, []
        return events

    @property
    def _is_open(self) -> bool:
        """Length and pauses can tell more than is known."""
        if self._is_suspected and self._speaks_since is None:
            return False
        is_open = self.kind in (FarEndKind.UNKNOWN, FarEndKind.MACHINE) or self._owes_floor
        return is_open and self.is_answered

    @property
    def _hold_ends_at(self) -> float | None:
        return None if self._held_since is None else self._held_since + self._config.max_hold_s

    @property
    def _music_at(self) -> float | None:
        """When music is all that there is."""
        if self._music_since is None or self._speaks_since is not None or not self.is_answered:
            return None
        return (
            self._music_since if self._silent_since is None else max(self._music_since, self._silent_since + _MUSIC_S)
        )

    @property
    def _records_at(self) -> float | None:
        is_due = self.kind is FarEndKind.VOICEMAIL and self._config.voicemail == "message"
        if self._silent_since is None or self._left_message_at is not None or not self.is_answered:
            return None
        return self._silent_since + _GREETING_PAUSE_S if is_due or self.kind is FarEndKind.MACHINE else None

    @property
    def _resumes_at(self) -> float | None:
        """When a message turns out to be spoken into the greeting."""
        if self._left_message_at is None or self._speaks_since is None or self._messages >= _MOST_MESSAGES:
            return None
        began_late = self._speaks_since > self._left_message_at + _MESSAGE_AGAIN_S[1]
        return None if began_late else self._speaks_since + _GREETING_RESUMED_S

    @property
    def _lone_beep_at(self) -> float | None:
        return None if self._beeped_at is None else self._beeped_at + _LONE_BEEP_S

    @property
    def _person_at(self) -> float | None:
        if self._silent_since is None or self._persons_words_at is None or not self._is_open or self._owes_floor:
            return None
        told_all = self._persons_words_at > self._silent_since - _UNTOLD_S
        return self._silent_since + self._persons_pause_s if told_all else None

    @property
    def _has_barely_spoken(self) -> bool:
        """A greeting at most ("Hi, this is Bob"): a beep after it makes it a voicemail's; later it is just a beep."""
        return self.kind not in _FINAL and self._turns_taken <= 1

    def _receive_nobodys_words(self, text: str, now: float, is_final: bool) -> None:
        """Words that no machine says, or not yet."""
        self._persons_words_at = now if is_persons(text) else None
        self._persons_pause_s = _PERSONS_QUESTION_PAUSE_S if "?" in text else _PERSONS_WORDS_PAUSE_S
        if is_asked(text) and self.kind in (FarEndKind.UNKNOWN, FarEndKind.MACHINE):
            self._owes_floor = self._silent_since is None
            self._recognize(FarEndKind.PERSON, "words", _PERSONS_WORDS, now)
        self._cadence.receive_words(_INTRODUCTION_PAUSE_S if is_introduction(text) else 0.0)
        if not is_final:
            return
        self._turns_taken += 1
        if is_persons(text):
            self._recognize(FarEndKind.PERSON, "words", _PERSONS_WORDS, now)
        elif self.kind is FarEndKind.MACHINE or (self._is_open and len(text.split()) > _MOST_WORDS_OF_A_GREETING):
            self._events.append(InDoubt(text))
        else:
            self._recognize(FarEndKind.PERSON, "words", _ANY_WORDS, now)

    def _receive_beep(self, now: float) -> None:
        if self.kind is FarEndKind.UNKNOWN and not self._has_spoken and not self._turns_taken:
            self._beeped_at = now if self.is_answered else None
        elif self.kind in (FarEndKind.VOICEMAIL, FarEndKind.MACHINE) or self._has_barely_spoken:
            self._recognize(FarEndKind.VOICEMAIL, "tone", _TONE, now)
            since_s = 0.0 if self._left_message_at is None else now - self._left_message_at
            first_s, last_s = _MESSAGE_AGAIN_S
            if self._messages < _MOST_MESSAGES and first_s <= since_s <= last_s:
                self._left_message_at = None
                self._events.append(FallSilent())
            self._leave_message(now)

    def _follow_cadence(self, now: float) -> None:
        for evidence in self._cadence.evidence():
            match evidence:
                case GreetingPaused(ended_at) if self.kind is FarEndKind.UNKNOWN or self._owes_floor:
                    self._owes_floor = False
                    self._events.append(FloorOffered(ended_at))
                case SoundsLikePerson(confidence) if self.confidence < _MAYBE_WORDS:
                    self._recognize(FarEndKind.PERSON, "cadence", confidence, now)
                case SoundsLikeRecording(confidence) if self.kind is not FarEndKind.PERSON:
                    self._recognize(FarEndKind.MACHINE, "cadence", confidence, now)
                case _:
                    pass

    def _recognize(self, kind: FarEndKind, cause: str, confidence: float, now: float) -> None:
        if kind is self.kind:
            self.confidence = max(self.confidence, confidence)
            return
        if self.kind in _FINAL or (not self.is_answered and kind not in _BEFORE_ANSWER):
            return
        if kind is FarEndKind.MACHINE and self.kind in (FarEndKind.MENU, FarEndKind.HOLD):
            return  # which says more
        was, self.kind, self.confidence = self.kind, kind, confidence
        self._beeped_at = None
        self._owes_floor = self._owes_floor and kind is FarEndKind.PERSON
        self._events.append(FarEndRecognized(kind, cause, confidence))
        self._held_since = now if kind is FarEndKind.HOLD else None
        if kind is FarEndKind.PERSON and was is FarEndKind.MACHINE and self._silent_since is not None:
            self._events.append(FloorOffered(self._silent_since))  # who was met with silence
        if kind in _ENDS:
            self._events.append(EndCall(_ENDS[kind]))
        elif kind is FarEndKind.VOICEMAIL and self._config.voicemail == "hang_up":
            self._events.append(EndCall("voicemail"))
        elif kind in (FarEndKind.VOICEMAIL, FarEndKind.MACHINE, FarEndKind.HOLD):
            self._events.append(FallSilent())

    def _leave_message(self, now: float) -> None:
        if self._left_message_at is None and self._config.voicemail == "message":
            self._left_message_at = now
            self._messages += 1
            self._events.append(LeaveMessage(self._config.message, "voicemail_message"))
