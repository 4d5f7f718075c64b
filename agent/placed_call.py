# SPDX-License-Identifier: GPL-3.0-or-later
"""What is different for a session when we called: it finds out who answered, lets them speak first, and does not talk
to machines.

frames, speech, words > FarEndWatch > FarEnd ─ FloorOffered, a person > FirstWords > the greeting
                                             ─ a machine > silence, a message, or the end of the call
"""

from collections.abc import Callable
from typing import assert_never

import structlog

from agent.config import AgentConfig
from agent.dialogue import AgentServices, Dialogue
from agent.do_not_call import REFUSED, asks_not_to_be_called
from agent.early_ear import EarlyEar
from agent.errors import ServiceError
from agent.events import AgentEvent, FarEndKnown
from agent.far_end import (
    EndCall,
    FallSilent,
    FarEndEvent,
    FarEndKind,
    FarEndRecognized,
    FloorOffered,
    InDoubt,
    LeaveMessage,
)
from agent.far_end_judge import CONFIDENCE, FarEndJudge
from agent.far_end_watch import FarEndWatch
from agent.first_words import FirstWords
from agent.pause_questions import PauseQuestions
from agent.recognition import Recognition
from agent.services.stt import Transcript
from agent.speech import SpeechEnded, SpeechEvent, SpeechStarted
from agent.tasks import SessionTasks
from agent.turn import TurnTaking
from agent.turn_actions import Answer
from agent.turn_state import TurnState
from media.frames import PcmFrame

log = structlog.get_logger(__name__)

_PROBABLY_MACHINE_S = 1.2
"""Who speaks for so long may well be a machine that wants a message: rendering one takes a moment, and costs."""


class PlacedCall:
    """One session's."""

    def __init__(
        self,
        config: AgentConfig,
        early_ear: EarlyEar | None,
        sample_rate_hz: int,
        answered_at: float,
        turns: TurnTaking,
        dialogue: Dialogue,
        questions: PauseQuestions,
        recognition: Recognition,
        services: AgentServices,
        tasks: SessionTasks,
        *,
        on_event: Callable[[AgentEvent], None],
        hang_up: Callable[[str, float], None],
        drain: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`early_ear`: what has listened until the answer, if anything was to be heard."""
        self._watch = FarEndWatch(config.far_end, sample_rate_hz) if early_ear is None else early_ear.watch
        self._events: list[FarEndEvent] = [] if early_ear is None else early_ear.kept
        """From before the session began."""
        self._far_end = self._watch.far_end
        self._greeting = ""
        self._greeting_is_protected = False
        self._first_words = FirstWords(config.far_end.greet_after_s, answered_at)
        self._waits = config.far_end.greet_after_s > 0
        self._refused = config.phrases.do_not_call
        """What those hear who do not want to be called."""
        self._turns = turns
        self._dialogue = dialogue
        self._questions = questions
        self._recognition = recognition
        self._on_event = on_event
        self._hang_up = hang_up
        self._clock = clock
        self._drain = drain
        self._phrases = services.phrases
        self._judge = services.far_end_judge
        self._tasks = tasks
        self._message = config.far_end.message
        """To be rendered before it is needed; empty once that is under way."""
        self._speaks_since: float | None = None
        self._late_pause: int | None = None
        """The pause in which we began to speak before its words were known."""
        self._awaits_words = False
        self._is_to_forget = False
        """The sound of those words, once they are known."""

    @property
    def listens(self) -> bool:
        """Whether there is sense in answering."""
        return self._far_end.listens

    @property
    def is_worth_preparing_for(self) -> bool:
        """Most of what machines say needs no answer, and the answer to first words is the greeting."""
        return self._far_end.kind is FarEndKind.PERSON and not self.greeting_is_due

    def open_with(self, greeting: str, *, protected: bool) -> bool:
        """Say this when the far end has said something; False: this agent waits for nobody, say it now."""
        if self._waits:
            self._greeting, self._greeting_is_protected = greeting, protected
        return self._waits

    def receive_frame(self, frame: PcmFrame) -> None:
        self._watch.receive_frame(frame)

    def receive_speech(self, event: SpeechEvent) -> None:
        self._watch.receive_speech(event)
        match event:
            case SpeechStarted(started_at):
                self._speaks_since = started_at
                self._first_words.receive_speech()
            case SpeechEnded(ended_at):
                self._speaks_since = None
                self._first_words.receive_silence(ended_at)

    def receive_partial(self, text: str, now: float) -> None:
        """What the far end has said so far in this turn."""
        self._far_end.receive_words(text, now, is_final=False)

    def receive_quiet(self, is_quiet: bool, now: float) -> None:
        """Whether nobody speaks, and we could."""
        if self.greeting_is_due:
            self._first_words.receive_quiet(is_quiet and self._far_end.kind is not FarEndKind.MENU, now)
            self._speak_first(now)

    def receive_listening(self) -> None:
        """They speak again: what they said before goes with it."""
        self._is_to_forget = False

    def keeps_sound(self) -> bool:
        """Whether the turn's sound must not be forgotten yet: its words are awaited."""
        self._is_to_forget = self._is_to_forget or self._awaits_words
        return self._awaits_words

    def receive_interrupted(self, heard_s: float) -> None:
        """What we said was stopped after so much of it."""
        self._first_words.receive_cut_off(heard_s)

    def receive_audible(self) -> None:
        self._first_words.receive_audible()

    def receive_withdrawn(self) -> None:
        """The far end went on before our reply was audible."""
        self._first_words.receive_withdrawn()
        self._awaits_words = self._is_to_forget = False

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        greeting_due = self._first_words.next_timeout() if self.greeting_is_due else None
        dues = (self._far_end.next_timeout(), greeting_due, self._message_due)
        return min((due for due in dues if due is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        self._far_end.handle_timeout(now)
        if (due := self._message_due) is not None and now >= due:
            self._render_message()
        if self.greeting_is_due:
            self._first_words.handle_timeout(now)
            self._speak_first(now)

    def takes(self, answer: Answer, now: float) -> bool:
        """Whether a turn of the far end's is not for the language model: nobody would hear the answer, or it is the
        greeting."""
        self._far_end.receive_words(answer.text, now, is_final=True)
        if not self._far_end.listens:
            self._dialogue.note_or_await(answer)
            self._await_late_words()
            self._turns.receive_reply_over(answer.reply_id, now)
            return True
        if not self.greeting_is_due or self._far_end.kind is FarEndKind.MENU:
            return False
        self._first_words.receive_given()
        self._dialogue.open(answer, self._greeting)
        if self._greeting_is_protected:
            self._turns.protect(now)
        self._await_late_words()
        return True

    def receive_refusal(self, text: str, now: float) -> None:
        """A turn of a person's who does not want to be called, which is answered without a greeting."""
        self._far_end.receive_words(text, now, is_final=True)
        self._greeting = ""

    def follow(self, now: float) -> bool:
        """Do what follows from what was heard; False: nothing did."""
        events, self._events = [*self._events, *self._far_end.events()], []
        for event in events:
            self._follow(event, now)
        return bool(events)

    @property
    def greeting_is_due(self) -> bool:
        """Nothing else is to be said before it."""
        return bool(self._greeting) and self._first_words.are_due

    def _follow(self, event: FarEndEvent, now: float) -> None:
        match event:
            case FarEndRecognized(kind, cause, confidence):
                self._on_event(FarEndKnown(kind.value, cause, confidence))
                if kind is FarEndKind.PERSON:
                    self._invite(now, is_person=True)
                elif kind in (FarEndKind.VOICEMAIL, FarEndKind.MACHINE):
                    self._render_message()
            case FloorOffered():
                self._invite(now)
            case FallSilent():
                self._turns.stop_speaking(now)
            case LeaveMessage(text, reason):
                self._turns.let_interrupt(False, now)
                self._take_floor(now)  # it does not matter whether its last turn is over: it records
                self._turns.announce(text, now, hang_up=reason)
            case EndCall(reason):
                self._hang_up(reason, now)
            case InDoubt(text) if self._judge is not None:
                self._tasks.errand(self._ask(self._judge, text))
            case InDoubt():
                pass
            case _:
                assert_never(event)

    def _invite(self, now: float, *, is_person: bool = False) -> None:
        if self._greeting:
            self._first_words.receive_invitation(is_person=is_person)
            self._speak_first(now)

    def _speak_first(self, now: float) -> None:
        for _ in self._first_words.events():
            match self._turns.state:
                case TurnState.LISTENING:
                    self._first_words.receive_given()
                    self._turns.announce(self._greeting, now, protected=self._greeting_is_protected)
                case TurnState.PAUSED:
                    self._take_floor(now)
                case _:
                    pass  # they speak again: when they have finished, `takes` answers

    def _take_floor(self, now: float) -> None:
        """What was said is answered now: by `takes`."""
        self._late_pause = self._turns.take_floor(now)

    def _await_late_words(self) -> None:
        pause_id, self._late_pause = self._late_pause, None
        if pause_id is not None:
            self._awaits_words = True
            self._questions.await_words(pause_id, self._receive_late_words)

    @property
    def _message_due(self) -> float | None:
        return None if not self._message or self._speaks_since is None else self._speaks_since + _PROBABLY_MACHINE_S

    def _render_message(self) -> None:
        """So that it can begin right after the beep."""
        message, self._message = self._message, ""
        if message:
            self._tasks.errand(self._render(message))

    async def _render(self, message: str) -> None:
        try:
            await self._phrases.prepare([message])
        except ServiceError as error:  # it is rendered when it is needed, then
            log.info("message_not_rendered_ahead", service=error.service)

    async def _ask(self, judge: FarEndJudge, text: str) -> None:
        try:
            kind = await judge.judge(text)
        except ServiceError as error:  # then length and pauses have to tell
            log.info("far_end_not_judged", service=error.service)
        else:
            self._far_end.receive_judgement(kind, CONFIDENCE, self._clock())
            self._drain()

    def _receive_late_words(self, transcript: Transcript | None) -> None:
        if not self._awaits_words:
            return
        self._awaits_words = False
        if self._is_to_forget:
            self._is_to_forget = False
            self._recognition.ear.forget()
        if transcript is not None:
            self._dialogue.note_late(transcript.text, transcript.confidence)
            now = self._clock()
            self._far_end.receive_words(transcript.text, now, is_final=True)
            if self._refused and self._far_end.listens and asks_not_to_be_called(transcript.text):
                self._turns.stop_speaking(now)
                self._turns.announce(self._refused, now, hang_up=REFUSED)
