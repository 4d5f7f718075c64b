# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on one call: the shell around the engines.

    feed(frames) > Recognition, TurnDetector ─────┐
                 > SpeechDetector ──────────────> TurnTaking ─> actions ─> Ear, services, Dialogue, AudioOut
    playout(event) > Dialogue ────────────────────^   ^── one timer             └─> on_event(AgentEvent)

It feeds, drains, carries out what the engines say, and decides nothing about turns. `run` owns every task; cancelling
it is how a call ends from outside, returning is how it ends when the agent hangs up. All methods belong to the event
loop; none blocks.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import assert_never

import structlog

from agent.call_facts import CallFacts
from agent.caller_voice import CallerVoice
from agent.config import AgentConfig
from agent.conversation import History
from agent.cues import pressed_keys
from agent.dialogue import AgentServices, Dialogue, LastWordHeard, ReplyAudible, ReplyOver
from agent.do_not_call import REFUSED, asks_not_to_be_called
from agent.ear import Ear
from agent.early_ear import EarlyEar
from agent.errors import ServiceError
from agent.events import (
    AgentEvent,
    AudioOut,
    HangUpRequested,
    LanguageDetected,
    ReplyFinished,
    ReplyInterrupted,
    ToolUsed,
    TranscriptPartial,
)
from agent.expectation import Expectation, ExpectedKind
from agent.folding import Folding
from agent.intents import IntentTracker
from agent.interruption import AskWords, Disregard, Duck, Hold, Restore
from agent.languages import Languages
from agent.markup import INSTRUCTIONS
from agent.pause_questions import PauseQuestions
from agent.placed_call import PlacedCall
from agent.prompting import Prompting
from agent.recognition import Recognition
from agent.secret_keys import SecretKeys
from agent.services.llm import Conversation, ReplyEvent
from agent.services.stt import Transcript
from agent.silence import CallHygiene
from agent.speculation import DropPrepared, Prepare, Speculation
from agent.speech import MakeSpeechModel, SpeechDetector, SpeechEnded, SpeechStarted
from agent.tasks import SessionTasks
from agent.tools.running import Outcome, ToolRunner
from agent.tools.tool import CallControl, OnCall
from agent.turn import TurnTaking
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
from agent.turn_state import TurnState
from media.frames import PcmFrame
from media.playout import PlayoutEvent

log = structlog.get_logger(__name__)

_HEARD_POLL_MS = 20
_DRAIN_EVERY_S = 0.5
"""While frames come and nothing is heard in them: what changes around the call (a hold) is noticed by then."""
_UNKNOWN_CALL = CallFacts()


class AgentSession:
    """One call's agent."""

    def __init__(
        self,
        config: AgentConfig,
        services: AgentServices,
        out: AudioOut,
        make_speech_model: MakeSpeechModel,
        on_event: Callable[[AgentEvent], None],
        *,
        facts: CallFacts = _UNKNOWN_CALL,
        history: History | None = None,
        utterance_ids: Iterator[int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        is_engaged: Callable[[], bool] = lambda: False,
        control: CallControl | None = None,
        caller_energy: Callable[[], float] | None = None,
        early_ear: EarlyEar | None = None,
    ) -> None:
        """`history`: of an earlier session on this call, which is gone on with; what was said already makes a greeting
        superfluous. By default a new one, of `facts`. `utterance_ids` is shared by all who play into this leg: its ids
        only grow; by default nobody else does.

        `clock` is the one that stamps frames and playout events. `is_engaged`: the caller cannot hear or be heard just
        now (hold, transfer, an announcement), so that their silence means nothing.
        `control`: what tools may do to the call; None: the agent has no tools. `caller_energy`: see `CallerVoice`.
        `early_ear`: has listened until the answer of a call that we placed; None: nothing was to be heard.
        """
        if facts.is_placed and config.far_end.message:
            services = replace(services, phrases=services.phrases.of_call())
        self._config = config
        self._services = services
        self._out = out
        self._on_event = on_event
        self._clock = clock
        self._tasks = SessionTasks()
        self._intents = IntentTracker(services.intents, on_event) if services.intents is not None else None
        self._turns = TurnTaking(config)
        self._speculation = Speculation(config.speculation)
        self._languages = Languages(config.language, frozenset(config.voices))
        self._detector = SpeechDetector(make_speech_model, out.sample_rate_hz, config.speech)
        self._recognition = Recognition(
            config, services.stt, out.sample_rate_hz, self._tasks, self._partial, self._service_failed
        )
        prompt = f"{config.prompt}\n\n{INSTRUCTIONS}".strip() if config.voice_style.markup else config.prompt
        self.history = history or History(prompt, facts.caller, facts.metadata)
        ids = count(1) if utterance_ids is None else utterance_ids
        runner = None
        if services.tools is not None and control is not None:
            on_call = OnCall(facts.call_id, facts.caller, dict(facts.metadata), control, self)
            runner = ToolRunner(
                services.tools, on_call, config.tool_use, self.history, self._tasks.use_tool, self._tool_used, clock
            )
        self._dialogue = Dialogue(
            config, services, out, ids, self.history, self._tasks, self._tell, self._drain, clock, runner
        )
        self._folding = Folding(self.history, services.summarizer, self._tasks)
        self._hygiene = CallHygiene(config.silence, clock() - facts.elapsed_s)
        self._prompting = Prompting(self._turns, on_event, self._hang_up)
        self._is_engaged = is_engaged
        self._opening: str | None = None
        """Said first whatever was said before; None: the greeting, unless something was."""
        self._unanswered: Conversation | None = None
        """What another process was to answer."""
        self._caller: CallerVoice | None = None
        if services.prosody is not None and config.voice_style.adapt:
            self._caller = CallerVoice(services.prosody, caller_energy)
        self._questions = PauseQuestions(
            config,
            services,
            self._tasks,
            self._recognition,
            self._caller,
            self._dialogue,
            self._languages,
            self._turns,
            self._speculation,
            listens=self._listens,
            drain=self._drain,
            clock=clock,
        )
        self._hung_up: asyncio.Future[str] | None = None
        self._drained_at = 0.0
        self._can_bar = control is not None and bool(config.phrases.do_not_call)
        self._keys = SecretKeys(config.secret_keys)
        self._is_suspicious = False
        self._placed: PlacedCall | None = None
        if facts.is_placed and config.far_end.recognize:
            self._placed = PlacedCall(
                config,
                early_ear,
                out.sample_rate_hz,
                clock() - facts.elapsed_s,
                self._turns,
                self._dialogue,
                self._questions,
                self._recognition,
                services,
                self._tasks,
                on_event=on_event,
                hang_up=self._hang_up,
                drain=self._drain,
                clock=clock,
            )

    def feed(self, frames: list[PcmFrame], *, suspicious: bool = False) -> None:
        """The caller's next frames, flagged by `media.vad.mark_speech`. `suspicious`: more are held back, by an echo
        gate, and the caller seems to speak in them."""
        for frame in frames:
            if frame.sample_rate_hz != self._ear.sample_rate_hz:
                self.audio_changed(frame.sample_rate_hz)
            if self._placed is not None:
                self._placed.receive_frame(frame)
            self._ear.hear(frame)
            self._detector.receive_frame(frame)
        is_due = bool(frames) and frames[-1].arrived_at >= self._drained_at + _DRAIN_EVERY_S
        if is_due or self._placed is not None or not self._detector.is_idle:
            self._drain()
        if suspicious is not self._is_suspicious:  # after the frames: what they say of the same sound comes first
            self._is_suspicious = suspicious
            self._turns.receive_hint(suspicious, self._clock())
            self._drain()

    def dtmf(self, digit: str, *, secret: bool = False) -> None:
        """A key the caller pressed: 0-9, *, #, A-D. A secret one is `*` to the language model, in events and in the
        record; the key itself waits for `take_secret_keys`."""
        self._turns.receive_digit(self._keys.press(digit, secret=secret), self._clock())
        self._drain()

    def take_secret_keys(self) -> str:
        """The secret keys since this was last asked, at most 64, for whoever is to check them (a tool)."""
        return self._keys.take()

    @property
    def keeps_keys_secret(self) -> bool:
        """Whether a key that is pressed now is secret."""
        return self._keys.are_kept

    def keep_keys_secret(self, are_secret: bool, length: int | None) -> None:
        """See `SecretKeys.keep_next`."""
        self._keys.keep_next(are_secret, length)

    async def until_heard(self) -> None:
        """Until what was said so far has been sent."""
        while (queued_ms := self._out.queued_ms) > 0 or self._dialogue.is_behind:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(max(queued_ms, _HEARD_POLL_MS) / 1e3)

    def expect_answer(self, kind: ExpectedKind, length: int | None) -> None:
        """`expect`, for tools."""
        self.expect(Expectation(kind, length))

    def playout(self, event: PlayoutEvent) -> None:
        """What the leg has sent of ours."""
        self._dialogue.receive_playout(event)
        self._drain()

    def expect(self, expectation: Expectation) -> None:
        """What kind of answer the caller's next turn will be, or the one being spoken; for that turn only."""
        self._turns.expect(expectation, self._clock())
        self._drain()

    def hesitate(self, factor: float) -> None:
        """How hesitant the caller sounds, 1 (not at all) to 3: the agent waits so many times as long."""
        self._turns.receive_hesitation(factor, self._clock())
        self._drain()

    def audio_changed(self, sample_rate_hz: int) -> None:
        """The leg has this rate from the next frame on. If it is a new one, what was just being said is lost."""
        if sample_rate_hz == self._ear.sample_rate_hz:
            return
        self._detector.receive_rate(sample_rate_hz)
        self._recognition.receive_rate(sample_rate_hz)
        self._drain()

    def say(self, text: str, *, protected: bool = False) -> None:
        """Say this as soon as nobody speaks. `protected`: to its end, whoever speaks over it or presses a key; what the
        caller says meanwhile is answered after it. Raises `AgentMisuse` when too much is waiting already."""
        if text.strip():
            self._turns.announce(text, self._clock(), protected=protected)
            self._drain()

    def say_words(self, words: AsyncIterator[ReplyEvent]) -> None:
        """Say what comes, as it comes, as soon as nobody speaks. Raises `AgentMisuse` when too much is waiting."""
        self._turns.announce("", self._clock(), words)
        self._drain()

    def stop_speaking(self) -> None:
        """Stop what is being heard of us. Nothing happens when nothing is."""
        self._turns.stop_speaking(self._clock())
        self._drain()

    def let_interrupt(self, allowed: bool) -> None:
        """Whether the caller's speech may stop us, from now on (until then as `interruption.enabled` says)."""
        self._turns.let_interrupt(allowed, self._clock())
        self._drain()

    def open_with(self, text: str) -> None:
        """Say this at the beginning, in place of the greeting; to be called before `run`."""
        self._opening = text

    def go_on(self, dumped: str, *, apologize: bool) -> None:
        """Be the session that another process had on this call; to be called before `run`. `apologize`: the caller
        has heard a silence. Raises `ValueError`."""
        self.history.load(dumped)
        self._opening = self._config.phrases.taken_over if apologize else ""
        if self.history.awaits_answer:
            self._unanswered = self.history.snapshot()

    async def run(self) -> str:
        """Greet, unless something was said before, and converse until the agent hangs up; returns why, as
        `HangUpRequested` said."""
        self._hung_up = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks.begin(group)
                self._recognition.begin()
                self._open()
                self._drain()  # what came in before this, and the silence begins
                reason = await self._hung_up
                self._tasks.cancel()
            return reason
        finally:
            self._turns.hang_up(self._clock())
            self._dialogue.drop_prepared()
            self._dialogue.stop()
            self._tasks.cancel()

    def _open(self) -> None:
        """Greet; whom we called, when they have said "hello"."""
        greets = self._opening is None and self.history.is_empty
        words = self._config.greeting if greets else self._opening or ""
        protected = greets and self._config.greeting_protected
        if self._placed is None or not self._placed.open_with(words, protected=protected):
            self.say(words, protected=protected)
        if self._unanswered is not None:
            self.say_words(self._services.llm.reply(self._unanswered))

    def _drain(self) -> None:
        """Do what the engines say, and what follows from doing it, until there is nothing more to do."""
        if not self._tasks.is_running:
            return
        now = self._drained_at = self._clock()
        for event in self._detector.events():
            if self._placed is not None:
                self._placed.receive_speech(event)
            self._turns.receive_speech(event, now)
            match event:
                case SpeechStarted():
                    self._speculation.receive_speech(now)
                    self._questions.receive_speech()
                case SpeechEnded(ended_at) if self._turns.state is TurnState.PAUSED:
                    self._speculation.receive_silence(now)
                    self._questions.judge(now - ended_at)
            self._follow(now)
        self._follow(now)
        self._follow_far_end(now)
        self._hygiene.receive_quiet(self._is_quiet, now)
        far_end_due = None if self._placed is None else self._placed.next_timeout()
        engines_due = (self._turns.next_timeout(), self._detector.next_timeout(), self._hygiene.next_timeout())
        dues = (*engines_due, far_end_due, self._speculation.next_timeout())
        due = min((due for due in dues if due is not None), default=None)
        self._tasks.wake_at(due, now, self._timeout)

    def _timeout(self) -> None:
        now = self._clock()
        self._detector.handle_timeout(now)
        self._turns.handle_timeout(now)
        self._keep_order(now)
        self._speculation.handle_timeout(now)
        if self._placed is not None:
            self._placed.handle_timeout(now)
        self._drain()

    @property
    def _ear(self) -> Ear:
        return self._recognition.ear

    @property
    def _is_quiet(self) -> bool:
        """Somebody could speak, and nobody does."""
        if not self._turns.is_quiet or self._is_engaged() or self._tasks.is_using_tool:
            return False
        return self._listens()

    def _keep_order(self, now: float) -> None:
        """What is to be said to silence, and to a call that has lasted long enough."""
        if not self._tasks.is_running:
            return
        self._hygiene.receive_quiet(self._is_quiet, now)
        self._hygiene.handle_timeout(now)
        self._prompting.follow(self._hygiene, now)

    def _follow(self, now: float) -> None:
        for progress in self._dialogue.events():
            match progress:
                case ReplyAudible(reply_id):
                    if self._placed is not None:
                        self._placed.receive_audible()
                    self._turns.receive_audible(reply_id, now)
                case ReplyOver(reply_id):
                    self._turns.receive_reply_over(reply_id, now)
                    self._folding.maybe_fold()
                case LastWordHeard(reason):
                    self._hang_up(reason, now)
                case _:
                    assert_never(progress)
        while actions := self._turns.actions():
            for action in actions:
                self._do(action, now)
        for guess in self._speculation.events():
            match guess:
                case Prepare() if self._placed is not None and not self._placed.is_worth_preparing_for:
                    pass
                case Prepare(text):
                    self._adapt(text)
                    self._dialogue.prepare(self._turns.turn_index, text)
                case DropPrepared():
                    self._dialogue.drop_prepared()
                case _:
                    assert_never(guess)

    def _do(self, action: TurnAction, now: float) -> None:
        match action:
            case Listen():
                if self._placed is not None:
                    self._placed.receive_listening()
                self._ear.listen()
            case Ask(pause_id):
                self._ear.pause()
                self._questions.ask(pause_id)
            case StopAsking():
                self._tasks.stop_asking()
            case Answer() if self._refuses_calls(action.text):
                if self._placed is not None:
                    self._placed.receive_refusal(action.text, now)
                self._dialogue.open(action, self._config.phrases.do_not_call, hang_up=REFUSED)
                self._speculation.receive_answer()
            case Answer() if self._placed is not None and self._placed.takes(action, now):
                self._speculation.receive_answer()
            case Answer():
                self._hygiene.receive_turn(action.text)
                if pressed_keys(action.text) is not None:
                    self._keys.receive_entry()
                self._change_language()
                self._adapt(action.text)
                if self._caller is not None:
                    self._caller.answer(action.turn_index, action.text)
                self._dialogue.answer(action)
                self._track_intent(action.turn_index, action.text, is_final=True)
                self._speculation.receive_answer()
            case Announce():
                self._dialogue.announce(action)
            case Withdraw():
                self._dialogue.withdraw()
                if self._placed is not None:
                    self._placed.receive_withdrawn()
            case Interrupt():
                self._dialogue.stop()
            case ForgetTurn(was_noise):
                if self._placed is None or not self._placed.keeps_sound():
                    self._ear.forget()
                self._questions.last_partial = None
                self._speculation.receive_forgotten()
                if self._caller is not None and (prosody := self._caller.over()) is not None:
                    self._on_event(prosody)
                greets = self._placed is not None and self._placed.greeting_is_due
                if was_noise and self._dialogue.unsaid and self._config.interruption.resume and not greets:
                    self._turns.announce(self._dialogue.unsaid, now)
            case Apologize():
                self._turns.announce(self._dialogue.apology(), now)
            case AskWords(burst_id):
                self._ear.pause()
                self._questions.ask_words(burst_id)
            case Disregard():
                self._ear.pause()
            case Duck():
                self._out.duck(10 ** (self._config.interruption.duck_gain_db / 20))
            case Hold():
                self._out.pause()
            case Restore():
                self._out.resume(self._config.interruption.repeat_ms)
                self._out.duck(1.0)
            case _:
                assert_never(action)

    def _tool_used(self, tool: str, outcome: Outcome, started_at: float, ended_at: float) -> None:
        self._on_event(ToolUsed(tool, outcome, started_at, ended_at))

    def _tell(self, event: AgentEvent) -> None:
        match event:
            case ReplyFinished(text=said) | ReplyInterrupted(heard_text=said):
                self._turns.receive_question(said, self._clock())
                if self._placed is not None and isinstance(event, ReplyInterrupted):
                    self._placed.receive_interrupted(event.ended_at - event.started_at)
            case _:
                pass
        self._on_event(event)

    def _service_failed(self, error: ServiceError) -> None:
        self._dialogue.receive_failure(error)

    def _follow_far_end(self, now: float) -> None:
        if self._placed is None:
            return
        self._placed.receive_quiet(self._is_quiet, now)
        self._follow(now)
        while self._placed.follow(now):
            self._follow(now)

    def _change_language(self) -> None:
        for change in self._languages.events():
            self._on_event(LanguageDetected(change.language))
            self._dialogue.speak_language(change.language)

    def _adapt(self, text: str) -> None:
        """Let the dialogue know how these words of the caller sounded."""
        if self._caller is not None:
            self._dialogue.adapt(self._caller.notes(text), self._caller.style(text))

    def _hang_up(self, reason: str, now: float) -> None:
        self._turns.hang_up(now)
        self._on_event(HangUpRequested(reason))
        if self._hung_up is not None and not self._hung_up.done():
            self._hung_up.set_result(reason)

    def _partial(self, transcript: Transcript) -> None:
        now = self._clock()
        if self._turns.state is TurnState.SPEAKING:
            self._turns.receive_partial(transcript, self._dialogue.saying, now)
        if self._placed is not None:
            self._placed.receive_partial(transcript.text, now)
        if self._turns.state in (TurnState.CALLER_SPEAKING, TurnState.PAUSED) and transcript.text:
            self._on_event(TranscriptPartial(self._turns.turn_index, transcript.text))
            self._questions.last_partial = transcript
            self._track_intent(self._turns.turn_index, transcript.text, is_final=False)
            if self._listens():
                self._speculation.receive_partial(transcript.text, transcript.is_stable, now)
        self._tasks.wake_at(now, now, self._timeout)  # not from here: the ear may be at work on a frame

    def _listens(self) -> bool:
        """Whether there is sense in answering the far end."""
        return self._placed is None or self._placed.listens

    def _refuses_calls(self, text: str) -> bool:
        """Whether the far end asks not to be called any more, and it is for us to answer that."""
        return self._can_bar and self._listens() and asks_not_to_be_called(text)

    def _track_intent(self, turn_index: int, text: str, *, is_final: bool) -> None:
        if self._intents is not None and self._intents.hear(turn_index, text, is_final=is_final):
            self._tasks.track_intent(self._intents.judge())
