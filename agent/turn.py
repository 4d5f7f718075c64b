# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is: the engine that runs the state machine of `agent.turn_state`.

`TurnTaking` takes what was heard and what services answered, and says what to do (`TurnAction`). It opens nothing and
never asks the time. Answers about a pause or a reply that is gone carry its id and are dropped before the table.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import assert_never

import structlog

from agent.config import AgentConfig
from agent.endpointing import AskIfOver, Endpointing, PauseBroken, TurnEmpty, TurnOver
from agent.errors import AgentMisuse
from agent.expectation import Expectation, ExpectedAnswer
from agent.interruption import AskWords, BargeIn, BrokenIn, Deferred, Disregard, Duck, Hold, Overhear, Restore, Saying
from agent.keypad import Keypad
from agent.ledger import LedgerMarks, Stage
from agent.services.llm import ReplyEvent
from agent.services.stt import Transcript
from agent.speech import SpeechDismissed, SpeechEnded, SpeechEvent, SpeechStarted, SpeechSuspected
from agent.turn_actions import (
    Announce,
    Answer,
    Apologize,
    Ask,
    ForgetTurn,
    Interrupt,
    Listen,
    StopAsking,
    TurnAction,
    Withdraw,
)
from agent.turn_state import Cause, TurnState, next_state

log = structlog.get_logger(__name__)

_SAME_TURN_S = 1.0
"""What was passed over belongs to what the caller says next, if that begins so soon: "okay ... but on Sunday?" """


@dataclass(slots=True)
class _CallerTurn:
    """What is known of the turn that is being spoken, or was last."""

    index: int
    started_at: float = 0.0
    ended: SpeechEnded | None = None
    keys: str = ""
    """What was pressed in it."""
    answered: Transcript | None = None
    """What was recognised of it, when it was thought over already."""
    may_be_nothing: bool = False
    """It interrupted us before all its words were known."""


@dataclass(slots=True)
class _Overheard:
    """What the caller says over us."""

    started: SpeechStarted
    ended: SpeechEnded | None = None
    is_wanted: bool = False
    """It is to be answered when what we say is over."""


@dataclass(frozen=True, slots=True)
class _Announcement:
    """Something to be said on our own account."""

    text: str
    words: AsyncIterator[ReplyEvent] | None
    protected: bool
    hang_up: str | None


class TurnTaking:
    """One call's turns."""

    def __init__(self, config: AgentConfig) -> None:
        self.state = TurnState.LISTENING
        self._endpointing = Endpointing(config.turn)
        self._barge_in = BargeIn(config.interruption)
        self._expected = ExpectedAnswer(
            Expectation(config.turn.expect, config.turn.expect_length, config.turn.expect_terminator)
        )
        self._endpointing.receive_expectation(self._expected.expectation, 0.0)
        self._keypad = Keypad(config.turn.digit_wait_ms / 1e3)
        self._turn = _CallerTurn(0)
        self._speech: SpeechStarted | None = None
        """The caller's present speech."""
        self._overheard: _Overheard | None = None
        self._reply_id = 0
        self._protects_all = config.interruption.protected
        self._is_protected = False
        """The present reply is said to its end."""
        self._announcements: deque[_Announcement] = deque()
        """Waiting for their turn; `announce` refuses when full."""
        self._actions: list[TurnAction] = []

    @property
    def turn_index(self) -> int:
        """Of the turn that is being spoken, or will be next."""
        return self._turn.index

    @property
    def is_quiet(self) -> bool:
        """Nobody speaks, presses keys or thinks."""
        return self.state is TurnState.LISTENING and not self._keypad.is_waiting

    def receive_speech(self, event: SpeechEvent, now: float) -> None:
        """What the speech detector heard."""
        if self.state is TurnState.ENDED:
            return
        match event:
            case SpeechSuspected():
                self._barge_in.receive_suspicion(now)
                if self.state is TurnState.PAUSED:
                    self._endpointing.receive_suspicion(now)
            case SpeechDismissed():
                self._barge_in.receive_dismissal(now)
                self._endpointing.receive_dismissal(now)
            case SpeechStarted():
                self._speech = event
                self._barge_in.receive_speech(event.started_at, now)
                if not self._has_floor:
                    self._caller_speaks(event, now)
            case SpeechEnded():
                self._speech = None
                if self._overheard is not None:
                    self._overheard.ended = event
                self._barge_in.receive_silence(event.ended_at, now)
                if self.state is TurnState.CALLER_SPEAKING:
                    self._turn.ended = event
                    self._change(Cause.SPEECH_ENDED)
                    self._endpointing.receive_silence(event.ended_at, now)
            case _:
                assert_never(event)
        self._follow(now)

    def receive_probability(self, pause_id: int, probability: float, now: float) -> None:
        """The end-of-turn model's answer to `Ask`."""
        self._endpointing.receive_probability(pause_id, probability, now)
        self._follow(now)

    def receive_transcript(self, pause_id: int, transcript: Transcript, now: float) -> None:
        """Speech recognition's answer to `Ask`."""
        self._endpointing.receive_transcript(pause_id, transcript, now)
        self._follow(now)

    def receive_no_transcript(self, pause_id: int, now: float) -> None:
        """Speech recognition failed to answer `Ask`."""
        if self._endpointing.pause_id != pause_id:
            return
        self._endpointing.receive_end(now)
        self._actions.append(StopAsking())
        if self._turn.answered is not None:
            self._answer(self._turn.answered, now, now)
        else:
            self._drop_turn(Cause.TURN_EMPTY, was_noise=False)
            self._actions.append(Apologize())
        self._follow(now)

    def receive_hint(self, suspicious: bool, now: float) -> None:
        """The line suspects, or does so no more, that the caller speaks in what has not come through yet."""
        self._barge_in.receive_hint(suspicious, now)
        self._follow(now)

    def receive_partial(self, transcript: Transcript, saying: Saying, now: float) -> None:
        """What speech recognition has understood so far of what the caller says over us, who are saying this."""
        self._barge_in.receive_partial(transcript, saying, now)
        self._follow(now)

    def receive_words(self, burst_id: int, transcript: Transcript, saying: Saying, now: float) -> None:
        """Speech recognition's answer to `AskWords`, and what we are saying."""
        self._barge_in.receive_words(burst_id, transcript, saying, now)
        self._follow(now)

    def receive_no_words(self, burst_id: int, now: float) -> None:
        """Speech recognition failed to answer `AskWords`."""
        self._barge_in.receive_no_words(burst_id, now)
        self._follow(now)

    def receive_digit(self, digit: str, now: float) -> None:
        """A key was pressed (RFC 4733). Keys make a turn of their own, or go with the words being spoken."""
        if self.state is TurnState.ENDED:
            return
        self._keypad.receive_digit(digit, now)
        if self.state is TurnState.SPEAKING and not self._is_protected:
            self._stop_reply(now)
        self._follow(now)

    def receive_audible(self, reply_id: int, now: float) -> None:
        """The first sample of a reply has been sent."""
        if reply_id != self._reply_id or self.state is not TurnState.PREPARING:
            return
        self._change(Cause.AUDIBLE)
        self._endpointing.receive_answered(now)
        self._next_turn()
        self._expect(now)
        if not self._is_protected:
            self._overheard = None
            self._actions.append(ForgetTurn(was_noise=False))
            self._is_protected = self._protects_all
            self._barge_in.receive_audible(now, protected=self._is_protected)
            if self._keypad.is_waiting and not self._is_protected:
                self._stop_reply(now)
        self._follow(now)

    def receive_reply_over(self, reply_id: int, now: float) -> None:
        """All of a reply has been sent; it may have had nothing to say."""
        if reply_id != self._reply_id or self.state not in (TurnState.PREPARING, TurnState.SPEAKING):
            return
        if self.state is TurnState.PREPARING:
            self._drop_turn(Cause.REPLY_OVER, was_noise=False)
        else:
            self._change(Cause.REPLY_OVER)
        self._let_caller_speak(now)
        self._follow(now)

    def expect(self, expectation: Expectation, now: float) -> None:
        """What kind of answer the caller's next turn will be, or the one being spoken; for that turn only."""
        self._expected.receive_told(expectation, is_answered=self._turn.answered is not None)
        self._expect(now)

    def receive_question(self, said: str, now: float) -> None:
        """What we have said last: what is expected may follow from it."""
        self._expected.receive_question(said)
        self._expect(now)

    def receive_hesitation(self, factor: float, now: float) -> None:
        """How hesitant the caller sounds: 1 not at all, up to 3; see `Endpointing.receive_hesitation`."""
        self._endpointing.receive_hesitation(factor, now)
        self._follow(now)

    def announce(
        self,
        text: str,
        now: float,
        words: AsyncIterator[ReplyEvent] | None = None,
        *,
        protected: bool = False,
        hang_up: str | None = None,
    ) -> None:
        """Say something as soon as nobody speaks; `protected`: to its end; `hang_up`: and end the call then, for this
        reason. Raises `AgentMisuse` when too much is waiting.
        """
        if len(self._announcements) >= 8:
            raise AgentMisuse("eight announcements are waiting already")
        self._announcements.append(_Announcement(text, words, protected, hang_up))
        self._follow(now)

    def take_floor(self, now: float) -> int | None:
        """Answer what was said before this pause at once, whatever its words are. Returns the id of the pause when they
        are still to come; None: they are known, or nobody pauses."""
        pause_id, transcript = self._endpointing.pause_id, self._endpointing.transcript
        if self.state is not TurnState.PAUSED:
            return None
        self._endpointing.receive_end(now)
        self._answer(transcript or Transcript("", True, 0.0), now, now)
        self._follow(now)
        return pause_id if transcript is None else None

    def protect(self, now: float) -> None:
        """The reply that has just begun is said to its end."""
        self._is_protected = True
        self._barge_in.receive_audible(now, protected=True)

    def stop_speaking(self, now: float) -> None:
        """Stop the reply that is heard, if there is one; what is waiting to be said comes next."""
        if self.state is TurnState.SPEAKING:
            self._stop_reply(now)
            self._follow(now)

    def let_interrupt(self, allowed: bool, now: float) -> None:
        """Whether the caller's speech may stop what we say, from now on."""
        self._barge_in.enable(allowed, now)
        self._follow(now)

    def hang_up(self, now: float) -> None:
        """Nothing matters any more."""
        self._endpointing.receive_end(now)
        self._actions.clear()
        self._change(Cause.HUNG_UP)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        keypad_due = self._keypad.next_timeout() if self.state is TurnState.LISTENING else None
        dues = (self._endpointing.next_timeout(), self._barge_in.next_timeout(), keypad_due)
        return min((due for due in dues if due is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        if self.state is TurnState.ENDED:
            return
        self._endpointing.handle_timeout(now)
        self._barge_in.handle_timeout(now)
        self._follow(now)

    def actions(self) -> list[TurnAction]:
        """What to do now, in order; drain after each input."""
        actions, self._actions = self._actions, []
        return actions

    def _follow(self, now: float) -> None:
        """Carry out what the policies decided."""
        for event in self._endpointing.events():
            match event:
                case AskIfOver(pause_id):
                    self._actions.append(Ask(pause_id))
                case PauseBroken():
                    self._actions.append(StopAsking())
                case TurnOver(_, transcript) if self._was_nothing(transcript):
                    self._drop_turn(Cause.TURN_EMPTY, was_noise=True)
                case TurnOver(_, transcript, decided_at):
                    self._answer(transcript, decided_at, now)
                case TurnEmpty() if self._turn.answered is not None:
                    self._answer(self._turn.answered, now, now)
                case TurnEmpty():
                    self._drop_turn(Cause.TURN_EMPTY, was_noise=True)
                case _:
                    assert_never(event)
        for interruption in self._barge_in.events():
            match interruption:
                case Overhear(goes_on):
                    self._overhear(goes_on)
                case BrokenIn(is_certain):
                    self._actions.append(Interrupt(self._reply_id))
                    self._begin_overheard(now, Cause.INTERRUPTED)
                    self._turn.may_be_nothing = not is_certain
                case Deferred():
                    assert self._overheard is not None, "only what was overheard is wanted"
                    self._overheard.is_wanted = True
                case AskWords() | Disregard() | Duck() | Hold() | Restore():
                    self._actions.append(interruption)
                case _:
                    assert_never(interruption)
        if self.state is TurnState.LISTENING:
            if self._keypad.is_due(now):
                self._answer_keys(now)
            elif self._announcements and not self._keypad.is_waiting:
                announcement = self._announcements.popleft()
                self._begin_reply(Cause.ANNOUNCED)
                self._is_protected = announcement.protected
                if announcement.protected:
                    self._barge_in.receive_audible(now, protected=True)
                self._actions.append(
                    Announce(self._reply_id, announcement.text, announcement.words, announcement.hang_up)
                )

    @property
    def _has_floor(self) -> bool:
        """Speech does not simply begin a turn: we speak, or will in a moment what has to be said."""
        return self.state is TurnState.SPEAKING or (self.state is TurnState.PREPARING and self._is_protected)

    def _overhear(self, goes_on: bool) -> None:
        assert self._speech is not None, "only speech is overheard"
        if not goes_on:
            self._forget_overheard(self._speech)
        if self._overheard is None:
            self._overheard = _Overheard(self._speech)
        self._actions.append(Listen())

    def _forget_overheard(self, speech: SpeechStarted) -> None:
        """Unless this speech goes on with it."""
        overheard = self._overheard
        if overheard is None or overheard.ended is None or overheard.is_wanted:
            return
        if speech.started_at - overheard.ended.ended_at > _SAME_TURN_S:
            self._overheard = None
            self._actions.append(ForgetTurn(was_noise=False))

    def _begin_overheard(self, now: float, cause: Cause) -> None:
        """What the caller said over us is a turn, that may be over already."""
        overheard = self._overheard
        assert overheard is not None, "only what was overheard interrupts"
        self._caller_speaks(overheard.started, now, cause)
        if self._speech is None:
            assert overheard.ended is not None, "speech that is over has ended"
            self._turn.ended = overheard.ended
            self._change(Cause.SPEECH_ENDED)
            self._endpointing.receive_silence(overheard.ended.ended_at, now)

    def _let_caller_speak(self, now: float) -> None:
        """We are not heard any more: whoever speaks over us, or wanted to say something after it, has the floor."""
        overheard = self._overheard
        is_waiting = overheard is not None and (overheard.is_wanted or self._barge_in.is_undecided)
        self._barge_in.receive_inaudible(now)
        self._is_protected = False
        if is_waiting:
            self._begin_overheard(now, Cause.SPEECH_STARTED)
        elif self._speech is not None:
            self._caller_speaks(self._speech, now)

    def _was_nothing(self, transcript: Transcript) -> bool:
        """Of a turn that is over: it interrupted us before its words were known, and they ask for nothing."""
        return self._turn.may_be_nothing and not self._keypad.is_waiting and self._barge_in.is_nothing(transcript)

    def _caller_speaks(self, speech: SpeechStarted, now: float, cause: Cause = Cause.SPEECH_STARTED) -> None:
        self._forget_overheard(speech)
        self._overheard = None
        if self.state is TurnState.PREPARING:
            self._actions.append(Withdraw(self._reply_id))
            self._expected.receive_reopened()
        self._change(cause)
        if not self._turn.started_at:
            self._turn.started_at = speech.started_at
        self._endpointing.receive_speech(speech.started_at, now)
        self._actions.append(Listen())

    def _answer(self, transcript: Transcript, decided_at: float, now: float) -> None:
        ended = self._turn.ended
        assert ended is not None, "a pause begins where speech ended"
        marks = LedgerMarks(ended.ended_at)
        marks.mark(Stage.ARRIVAL, ended.arrived_at)
        marks.mark(Stage.ENDPOINTING, decided_at)
        marks.mark(Stage.STT_FINAL, now)
        self._commit(transcript, marks)

    def _answer_keys(self, now: float) -> None:
        pressed_at = self._keypad.pressed_at
        self._turn.started_at = pressed_at
        marks = LedgerMarks(pressed_at)
        marks.mark(Stage.ARRIVAL, pressed_at)
        marks.mark(Stage.ENDPOINTING, now)
        marks.mark(Stage.STT_FINAL, now)
        self._commit(Transcript("", True, 1.0), marks)

    def _commit(self, transcript: Transcript, marks: LedgerMarks) -> None:
        turn = self._turn
        turn.answered = transcript
        turn.keys += self._keypad.take()
        pressed = f"[pressed {turn.keys}]" if turn.keys else ""
        text = f"{transcript.text.strip()} {pressed}".strip()
        self._begin_reply(Cause.TURN_OVER)
        answer = Answer(self._reply_id, turn.index, text, transcript.confidence, turn.started_at, marks)
        self._actions.append(answer)

    def _drop_turn(self, cause: Cause, *, was_noise: bool) -> None:
        """Back to listening, without an answer that could be heard."""
        if was_noise and self._turn.may_be_nothing:
            self._barge_in.receive_false_stop()
        self._next_turn()
        self._change(cause)
        self._actions.append(ForgetTurn(was_noise))

    def _expect(self, now: float) -> None:
        self._endpointing.receive_expectation(self._expected.expectation, now)
        self._keypad.length = self._expected.keys
        self._follow(now)

    def _next_turn(self) -> None:
        if self._turn.answered is not None:
            self._expected.receive_answered()
        self._turn = _CallerTurn(self._turn.index + (self._turn.answered is not None))

    def _stop_reply(self, now: float) -> None:
        self._actions.append(Interrupt(self._reply_id))
        self._change(Cause.STOPPED)
        self._let_caller_speak(now)

    def _begin_reply(self, cause: Cause) -> None:
        self._reply_id += 1
        self._is_protected = False
        self._change(cause)

    def _change(self, cause: Cause) -> None:
        old, self.state = self.state, next_state(self.state, cause)
        log.debug("turn_state_changed", old=old.value, new=self.state.value, cause=cause.value)
