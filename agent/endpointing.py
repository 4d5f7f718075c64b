# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpointing: has the caller finished, or only paused? A clockless engine; `agent.turn` feeds it.

    speech ends ─ ask_after ─> AskIfOver ──> probability, transcript (side by side, in any order)
                                   │
        a turn by its form: goodbye, ten digits ─> at once if the model is sure, else short_wait
        a complete question ─────────────────────> at once if the model is sure, else clear_wait
        a request, an answer of the kind asked ──> clear_wait, if the model does not doubt it
        any other statement ─────────────────────> sure_wait, as this caller's pauses shape it, or max_wait
        thanks, a greeting, "yes" ───────────────> max_wait
        a sentence that trails off, half a number > open_wait, whatever the probability
                                   └─ and the transcript is there ─> TurnOver / TurnEmpty

All waits are silence, counted from the last speech sample. Speech breaks the pause and drops what was asked about it;
a mere suspicion of speech holds every decision until it is confirmed or dismissed. After a false cut-off no wait but
those for turns by their form is shorter than that pause was (`agent.pauses`), and a caller who sounds hesitant is
waited for longer.
"""

from dataclasses import dataclass, replace

from agent.completeness import Completeness, judge
from agent.config import TurnConfig
from agent.cues import is_backchannel
from agent.expectation import FREE, Expectation
from agent.pauses import CallerPauses
from agent.services.stt import Transcript

_NEVER = float("inf")
_MOST_HESITATION = 3.0
_INTO_FIRST_WORD_S = 0.5
"""Who speaks so soon after our first sound does not react to it: he had not finished."""


@dataclass(frozen=True, slots=True)
class AskIfOver:
    """Ask for the transcript and for the end-of-turn model's opinion; answers carry this id back."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class PauseBroken:
    """The caller goes on: answers about this pause are of no use any more."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The caller has finished."""

    pause_id: int
    transcript: Transcript
    decided_at: float


@dataclass(frozen=True, slots=True)
class TurnEmpty:
    """The sound is over and was no speech."""

    pause_id: int


EndpointingEvent = AskIfOver | PauseBroken | TurnOver | TurnEmpty


@dataclass(slots=True)
class _Pause:
    """What is known of the present silence."""

    pause_id: int
    silent_since: float
    is_asked: bool = False
    probability: float | None = None
    transcript: Transcript | None = None
    completeness: Completeness = Completeness.WORDLESS
    """Of the transcript, once that is there."""
    believed_at: float | None = None
    """When the model was believed; the words may still overrule it."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A turn that we took: was that too early?"""

    silent_since: float
    text: str
    answered_at: float | None = None
    """Our answer became audible."""


class Endpointing:
    """One caller's pauses, one at a time."""

    def __init__(self, config: TurnConfig) -> None:
        self._config = config
        waits_ms = (config.ask_after_ms, config.fluent_wait_ms, config.sure_wait_ms, config.open_wait_ms)
        self._habit = CallerPauses(*(wait_ms / 1e3 for wait_ms in waits_ms))
        self._expectation = FREE
        self._hesitation = 1.0
        self._pause: _Pause | None = None
        self._is_held = False
        self._taken: _Taken | None = None
        self._maybe_cut_off_s: float | None = None
        """The pause before speech that came upon a turn we had taken; its words will tell."""
        self._last_pause_id = 0
        self._events: list[EndpointingEvent] = []

    @property
    def pause_id(self) -> int | None:
        """The present pause, if the caller pauses."""
        return None if self._pause is None else self._pause.pause_id

    @property
    def transcript(self) -> Transcript | None:
        """What was said before the present pause, once that is known."""
        return None if self._pause is None else self._pause.transcript

    def receive_expectation(self, expectation: Expectation, now: float) -> None:
        """What kind of answer the present turn is expected to be, or the next one if nobody speaks. Stays in force."""
        self._expectation = expectation
        if self._pause is not None and self._pause.transcript is not None:
            self._pause.completeness = judge(self._pause.transcript.text, expectation)
        self.handle_timeout(now)

    def receive_hesitation(self, factor: float, now: float) -> None:
        """How hesitant the caller sounds: waits become so many times as long, 1 to 3 (others are cut to that).

        In force for this turn, or until the next report. Turns that are whole by their form do not wait longer.
        """
        self._hesitation = min(max(factor, 1.0), _MOST_HESITATION)
        self.handle_timeout(now)

    def receive_speech(self, started_at: float, now: float) -> None:
        """The caller speaks (again), since `started_at`."""
        self._is_held = False
        if self._pause is not None:
            self._habit.receive_pause(started_at - self._pause.silent_since)
            if self._pause.is_asked:
                self._events.append(PauseBroken(self._pause.pause_id))
        self._pause = None
        if self._taken is not None:
            answered_at = self._taken.answered_at
            if answered_at is None or started_at - answered_at < _INTO_FIRST_WORD_S:
                self._maybe_cut_off_s = started_at - self._taken.silent_since
            else:
                self._habit.receive_turn()
                self._taken = None

    def receive_suspicion(self, now: float) -> None:
        """Something that may become speech: decide nothing until `receive_speech` or `receive_dismissal`."""
        self._is_held = True

    def receive_dismissal(self, now: float) -> None:
        self._is_held = False
        self.handle_timeout(now)

    def receive_silence(self, silent_since: float, now: float) -> None:
        """The caller has stopped; the last speech sample was spoken at `silent_since`."""
        self._last_pause_id += 1
        self._pause = _Pause(self._last_pause_id, silent_since)
        self.handle_timeout(now)

    def receive_probability(self, pause_id: int, probability: float, now: float) -> None:
        """The end-of-turn model's answer. Late ones are dropped."""
        if self._pause is not None and self._pause.pause_id == pause_id:
            self._pause.probability = probability
            if probability > self._config.over_probability:
                self._pause.believed_at = now
            self.handle_timeout(now)

    def receive_transcript(self, pause_id: int, transcript: Transcript, now: float) -> None:
        """Speech recognition's answer. Late ones are dropped."""
        if self._pause is not None and self._pause.pause_id == pause_id:
            self._pause.transcript = transcript
            self._pause.completeness = judge(transcript.text, self._expectation)
            self._weigh_cut_off(transcript.text)
            self.handle_timeout(now)

    def receive_answered(self, now: float) -> None:
        """Our answer to the turn is audible."""
        self._hesitation = 1.0
        if self._taken is not None:
            self._taken = replace(self._taken, answered_at=now)

    def receive_end(self, now: float) -> None:
        """The turn was ended otherwise: forget the pause."""
        self._pause = None

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        pause = self._pause
        if pause is None or self._is_held:
            return None
        if not pause.is_asked:
            return pause.silent_since + self._config.ask_after_ms / 1e3
        if pause.transcript is None:
            return None
        return self._decided_at(pause)

    def handle_timeout(self, now: float) -> None:
        pause = self._pause
        due = self.next_timeout()
        if pause is None or due is None or now < due:
            return
        if not pause.is_asked:
            pause.is_asked = True
            self._events.append(AskIfOver(pause.pause_id))
            return
        assert pause.transcript is not None, "next_timeout() waits for the transcript"
        if pause.transcript.text.strip():
            self._take_turn(pause, pause.transcript, due)
        else:
            self._events.append(TurnEmpty(pause.pause_id))
        self._pause = None

    def events(self) -> list[EndpointingEvent]:
        """What follows from the latest input; drain after each."""
        events, self._events = self._events, []
        return events

    def _take_turn(self, pause: _Pause, transcript: Transcript, decided_at: float) -> None:
        if self._taken is not None and self._taken.answered_at is not None:
            self._habit.receive_turn()
        self._taken = _Taken(pause.silent_since, transcript.text)
        self._events.append(TurnOver(pause.pause_id, transcript, decided_at))

    def _weigh_cut_off(self, text: str) -> None:
        """The words that came upon a turn we had taken are there: did the caller go on with it?"""
        pause_s, taken = self._maybe_cut_off_s, self._taken
        self._maybe_cut_off_s = None
        if pause_s is None or taken is None or not text.strip():
            return
        is_reopened = taken.answered_at is None
        # The transcript of a reopened turn has its first part, too; after our answer it is of the new words alone.
        if text != taken.text if is_reopened else not is_backchannel(text):
            self._habit.receive_cut_off(pause_s)
            self._taken = None

    def _decided_at(self, pause: _Pause) -> float:
        """When the decision falls, or fell: the ledger's word for it, even if the transcript came later."""
        config, habit = self._config, self._habit
        believed_s = None if pause.believed_at is None else pause.believed_at - pause.silent_since
        # A model that does not answer doubts nothing.
        probability = 1.0 if pause.probability is None else pause.probability
        at_once_s = _NEVER if believed_s is None else believed_s
        match pause.completeness:
            case Completeness.WHOLE:
                return pause.silent_since + min(at_once_s, config.short_wait_ms / 1e3)
            case Completeness.WORDLESS:
                return pause.silent_since + min(at_once_s, config.fluent_wait_ms / 1e3)
            case Completeness.QUESTION if probability < config.open_probability:
                wait_s = config.open_wait_ms / 1e3
            case Completeness.QUESTION:
                wait_s = max(min(at_once_s, config.clear_wait_ms / 1e3), habit.least_s)
            case Completeness.CLEAR if probability < config.request_probability:
                wait_s = config.max_wait_ms / 1e3
            case Completeness.CLEAR:
                wait_s = max(config.clear_wait_ms / 1e3, habit.least_s)
            case Completeness.DOUBTFUL:
                wait_s = config.max_wait_ms / 1e3 if believed_s is None else max(believed_s, habit.sure_s)
            case Completeness.LONE:
                wait_s = config.max_wait_ms / 1e3
            case Completeness.OPEN:
                wait_s = config.open_wait_ms / 1e3
        return pause.silent_since + wait_s * self._hesitation
