# SPDX-License-Identifier: GPL-3.0-or-later
"""Our side of the conversation: the reply in progress, what was heard of the last ones, and what to say in trouble.

Answer, Announce > Reply (a task in Speaker) > playout events > ReplyAudible, ReplyOver / LastWordHeard
prepare > Reply, silent > Answer to the same words in the same context? it goes on, audible : dropped
Withdraw, Interrupt > stop > what was heard goes into the history, what was not waits in `unsaid`
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import structlog

from agent.clauses import plain_text
from agent.config import AgentConfig
from agent.conversation import History
from agent.deadlines import within
from agent.errors import ServiceError
from agent.events import (
    AgentEvent,
    AudioOut,
    ReplyFinished,
    ReplyInterrupted,
    ReplyPrepared,
    ReplyStarted,
    ServiceFailed,
    TurnCommitted,
    TurnMeasured,
    TurnReopened,
)
from agent.far_end_judge import FarEndJudge
from agent.filler import Filler
from agent.intents import IntentClassifier
from agent.interruption import Saying
from agent.ledger import LedgerMarks
from agent.phrases import Phrases
from agent.reply import Reply, Speaker
from agent.services.context import ContextSource
from agent.services.llm import ContextNote, Conversation, LanguageModel, Message, ReplyEvent, TextDelta
from agent.services.prosody import ProsodyAnalyser
from agent.services.realtime import SpeechToSpeech
from agent.services.stt import SpeechToText
from agent.services.tts import SpeechStyle, TextToSpeech
from agent.services.turn import TurnDetector
from agent.speculation import essence
from agent.summary import Summarizer
from agent.tasks import SessionTasks
from agent.thinking import Thinking
from agent.tools.running import ToolRunner
from agent.tools.toolbox import Toolbox
from agent.turn_actions import Announce, Answer
from media.playout import Cleared, PlayoutEvent

log = structlog.get_logger(__name__)

_AT_ITS_END_MS = 1_500
"""Of a question so much is left to hear: callers answer before they have heard the last word."""


@dataclass(frozen=True, slots=True)
class AgentServices:
    """What one configured agent works with; shared by all its calls."""

    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    turn_detector: TurnDetector | None
    """None: the waits alone decide."""
    phrases: Phrases
    sources: tuple[ContextSource, ...] = ()
    """What the language model is told for each turn."""
    summarizer: Summarizer | None = None
    """Who puts the beginning of a long call into words; None: rules do (agent/summary.py)."""
    intents: IntentClassifier | None = None
    """Tells what callers want while they speak; None: nobody asked for it."""
    tools: Toolbox | None = None
    """What it may do; None: only end the call."""
    prosody: ProsodyAnalyser | None = None
    """Measures how callers sound; None: nobody listens for it."""
    realtime: SpeechToSpeech | None = None
    """One service in place of all this, but for the tools (agent/realtime_session.py)."""
    far_end_judge: FarEndJudge | None = None
    """Who is asked who took a call that we placed, when nothing else tells; None: nobody."""
    joins_sentences: bool = False
    """The text to speech says several sentences better, or cheaper, in one request than one by one."""


@dataclass(frozen=True, slots=True)
class ReplyAudible:
    """The first audible sample of a reply has been sent."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class ReplyOver:
    """All of a reply has been sent; it may have had nothing to say."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class LastWordHeard:
    """All of a reply has been sent, and there is nothing to say after it: end the call for this reason."""

    reason: str


ReplyProgress = ReplyAudible | ReplyOver | LastWordHeard


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A reply to a turn that is not over yet."""

    reply: Reply
    is_ours: asyncio.Event
    conversation: Conversation
    """What it answers."""

    def fits(self, conversation: Conversation) -> bool:
        """It answers this, too: the last words come to the same, and everything else is the same."""
        *before, last = self.conversation.messages
        *before_now, last_now = conversation.messages
        return (
            not self.reply.has_failed
            and essence(last.text) == essence(last_now.text)
            and before == before_now
            and replace(self.conversation, messages=()) == replace(conversation, messages=())
        )


class Dialogue:
    """One call's replies, one at a time."""

    def __init__(
        self,
        config: AgentConfig,
        services: AgentServices,
        out: AudioOut,
        utterance_ids: Iterator[int],
        history: History,
        tasks: SessionTasks,
        on_event: Callable[[AgentEvent], None],
        on_progress: Callable[[], None],
        clock: Callable[[], float],
        tools: ToolRunner | None = None,
    ) -> None:
        """`on_progress` says that `events` has something new, when that is not the effect of a call from outside."""
        self._phrases = config.phrases
        self._renders_ahead = config.speculation.mode == "speech"
        self._deadlines = config.deadlines
        self._tools = tools
        self._thinking = Thinking(services.llm, services.sources, deadlines=config.deadlines, tools=tools)
        self._speaker = Speaker(
            config,
            services.tts,
            services.phrases,
            out,
            utterance_ids,
            self._apologize_for,
            clock,
            joins_sentences=services.joins_sentences,
        )
        self._filler = Filler(config.phrases, self._speaker, tasks, lambda: self._thinking.is_acting, clock)
        self._out = out
        self._history = history
        self._tasks = tasks
        self._on_event = on_event
        self._on_progress = on_progress
        self._clock = clock
        self._reply: Reply | None = None
        """The one being answered with: thought over, rendered or spoken."""
        self._prepared: _Prepared | None = None
        self._failures_in_a_row = 0
        self._caller_notes: tuple[ContextNote, ...] = ()
        self._voices = {**config.voices, config.language: config.voice}
        self._language_notes: tuple[ContextNote, ...] = ()
        self._events: list[ReplyProgress] = []
        self.unsaid = ""
        """What the caller's sound kept us from saying: to be said again if that turns out to have been no speech."""
        self._hang_up_after_unsaid: str | None = None
        self._unnoted: Answer | None = None
        """A turn that was answered before its words were known."""

    def answer(self, answer: Answer) -> None:
        """Answer a turn."""
        self.note(answer)
        conversation = self._snapshot()
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared.fits(conversation):
            self._on_event(ReplyPrepared(answer.turn_index, "used"))
            self._use(prepared, answer)
            return
        self._prepared = prepared
        self.drop_prepared()
        reply = Reply(answer.reply_id, answer.turn_index, answer.marks)
        self._begin(reply, self._thinking.reply(conversation))
        self._filler.watch(reply, answer.marks.spoken_at)

    def adapt(self, notes: tuple[ContextNote, ...], style: SpeechStyle) -> None:
        """How the turn to be answered sounds: what the language model is told of it, and how we speak from now on."""
        self._caller_notes = notes
        self._speaker.adapt(style)

    def speak_language(self, language: str) -> None:
        """The caller speaks this now: so do we, from the next answer on."""
        self._speaker.use_voice(self._voices.get(language))
        self._language_notes = (ContextNote("caller", f"The caller speaks {language!r} (ISO 639) now: answer in it."),)

    def prepare(self, turn_index: int, text: str) -> None:
        """Begin the answer to a turn that seems to be these words; nobody hears of it until `answer`."""
        self.drop_prepared()
        before = self._snapshot()
        conversation = replace(before, messages=(*before.messages, Message("user", text)))
        is_ours = asyncio.Event()
        reply = Reply(0, turn_index, LedgerMarks(self._clock()), is_ours=is_ours, renders_ahead=self._renders_ahead)
        self._prepared = _Prepared(reply, is_ours, conversation)
        self._tasks.prepare(self._speak(reply, self._thinking.reply(conversation, is_ours)))
        self._on_event(ReplyPrepared(turn_index, "begun"))

    def drop_prepared(self) -> None:
        """What was prepared is of no use."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            self._tasks.drop_prepared()
            assert prepared.reply.turn_index is not None, "it answers a turn"
            self._on_event(ReplyPrepared(prepared.reply.turn_index, "wasted"))

    def open(self, answer: Answer, text: str, *, hang_up: str | None = None) -> None:
        """Answer a turn (the far end's first words, a request that rules understand) with what is known beforehand.
        `hang_up`: end the call for this reason when it has been heard."""
        self.drop_prepared()
        self.note_or_await(answer)
        reply = Reply(answer.reply_id, answer.turn_index, answer.marks, announcement=plain_text(text), hang_up=hang_up)
        self._begin(reply, _words(text))

    def note_or_await(self, answer: Answer) -> None:
        """Enter a turn, now or when its words are known: `note_late`."""
        if answer.text:
            self.note(answer)
        else:
            self._unnoted = answer

    def note_late(self, text: str, confidence: float) -> None:
        """The words of a turn that was over before they were known; without any there were none. Nothing happens when
        they are not awaited."""
        unnoted, self._unnoted = self._unnoted, None
        if unnoted is not None and text:
            self.note(replace(unnoted, text=text, confidence=confidence))

    def note(self, answer: Answer) -> None:
        """Enter a turn that gets no answer."""
        ended_at = answer.marks.spoken_at
        self._on_event(TurnCommitted(answer.turn_index, answer.text, answer.confidence, answer.started_at, ended_at))
        self._history.caller_said(answer.text)

    def announce(self, announce: Announce) -> None:
        """Say what is known beforehand."""
        if announce.words is not None:
            deadlines = self._deadlines
            first_ms, next_ms = deadlines.llm_first_token_ms, deadlines.llm_stall_ms
            words = within(announce.words, "llm", first_ms=first_ms, next_ms=next_ms)
            self._begin(Reply(announce.reply_id, hang_up=announce.hang_up), words)
            return
        hang_up = announce.hang_up or (self._hang_up_after_unsaid if announce.text == self.unsaid else None)
        self._begin(
            Reply(announce.reply_id, announcement=plain_text(announce.text), hang_up=hang_up), _words(announce.text)
        )

    def withdraw(self) -> None:
        """Drop the reply: nothing of it was audible, and the turn it answered goes on."""
        reply = self.stop()
        if reply is None or reply.turn_index is None:
            return
        if self._unnoted is not None and self._unnoted.turn_index == reply.turn_index:
            self._unnoted = None
        else:
            self._history.take_back_caller()
            self._on_event(TurnReopened(reply.turn_index))

    def stop(self) -> Reply | None:
        """Fall silent, at once; enter what was heard."""
        reply, self._reply = self._reply, None
        self._filler.stop()
        self._tasks.stop_reply()
        if reply is None:
            return None
        heard_text, self.unsaid = reply.split(self._out.clear())
        self._hang_up_after_unsaid = reply.hang_up
        started_at, now = reply.started_at, self._clock()
        if started_at is not None:
            self._history.agent_said(heard_text, interrupted=True)
            rendered = reply.spoken.text
            turn_index, sources = reply.turn_index, reply.sources
            self._on_event(ReplyInterrupted(reply.reply_id, turn_index, rendered, heard_text, started_at, now, sources))
            self._measure(reply, interrupted=True)
        return reply

    def receive_playout(self, event: PlayoutEvent) -> None:
        """What the leg has sent of ours. Late news of a reply that is gone is dropped."""
        reply = self._reply
        if reply is None:
            return
        if reply.receive_playout(event):
            assert reply.started_at is not None, "that is what makes it audible"
            self._on_event(ReplyStarted(reply.reply_id, reply.turn_index, reply.started_at))
            self._events.append(ReplyAudible(reply.reply_id))
        self._maybe_finish(reply, event.sent_at)

    @property
    def is_behind(self) -> bool:
        """Words have come that are not in the leg's queue yet."""
        return self._reply is not None and self._speaker.is_behind

    @property
    def saying(self) -> Saying:
        """What the caller speaks over."""
        reply = self._reply
        if reply is None:
            return Saying()
        text = reply.spoken.text
        at_its_end = reply.is_written and self._out.queued_ms <= _AT_ITS_END_MS
        return Saying(text, asks=at_its_end and text.rstrip("\"') ").endswith("?"))

    def events(self) -> list[ReplyProgress]:
        """What became of the reply. Drain after each input."""
        events, self._events = self._events, []
        return events

    def receive_failure(self, error: ServiceError) -> None:
        """A service failed: make it known."""
        log.warning("service_failed", service=error.service, detail=error.detail, retryable=error.retryable)
        self._on_event(ServiceFailed(error.service, error.retryable))

    def apology(self) -> str:
        """What to say about a failure; after too many in a row, the last thing to say."""
        self._failures_in_a_row += 1
        return self._phrases.goodbye if self._has_given_up else self._phrases.trouble

    @property
    def _has_given_up(self) -> bool:
        return self._failures_in_a_row >= self._phrases.max_failures

    def _apologize_for(self, error: ServiceError) -> str:
        self.receive_failure(error)
        return self.apology()

    def _begin(self, reply: Reply, words: AsyncIterator[ReplyEvent]) -> None:
        self._reply = reply
        self.unsaid = ""
        self._tasks.reply(self._speak(reply, words))

    def _snapshot(self) -> Conversation:
        """All that an answer depends on."""
        tools = () if self._tools is None else self._tools.specs()
        conversation = self._history.snapshot()
        notes = (*conversation.notes, *self._caller_notes, *self._language_notes)
        return replace(conversation, tools=tools, notes=notes)

    def _use(self, prepared: _Prepared, answer: Answer) -> None:
        """The turn is ours: let go on what was prepared for it."""
        reply = prepared.reply
        if reply.marks is not None:
            answer.marks.merge_ahead(reply.marks)
        reply.reply_id, reply.turn_index, reply.marks = answer.reply_id, answer.turn_index, answer.marks
        self._reply = reply
        self.unsaid = ""
        self._tasks.use_prepared()
        prepared.is_ours.set()
        self._filler.watch(reply, answer.marks.spoken_at)

    async def _speak(self, reply: Reply, words: AsyncIterator[ReplyEvent]) -> None:
        await self._speaker.speak(reply, words)
        self._maybe_finish(reply, self._clock())
        self._on_progress()

    def _maybe_finish(self, reply: Reply, now: float) -> None:
        if self._reply is not reply or not reply.is_over:
            return
        self._reply = None
        self._filler.stop()
        if reply.turn_index is not None and not reply.has_failed:
            self._failures_in_a_row = 0
        if reply.started_at is not None:
            heard_text, _ = reply.split(Cleared())
            self._history.agent_said(heard_text, interrupted=False)
            turn_index, sources = reply.turn_index, reply.sources
            self._on_event(ReplyFinished(reply.reply_id, turn_index, heard_text, reply.started_at, now, sources))
            self._measure(reply, interrupted=False)
        reason = "service_failure" if self._has_given_up else reply.hang_up
        self._events.append(ReplyOver(reply.reply_id) if reason is None else LastWordHeard(reason))

    def _measure(self, reply: Reply, *, interrupted: bool) -> None:
        if reply.marks is None or reply.turn_index is None:
            return
        ledger = reply.marks.measure(reply.turn_index, interrupted=interrupted)
        if ledger is not None:
            log.info(
                "turn_measured",
                turn_index=ledger.turn_index,
                response_ms=ledger.response_ms,
                own_ms=round(ledger.own_ms, 3),
                speculative=ledger.speculative,
                interrupted=interrupted,
                **ledger.segments_ms,
            )
            self._on_event(TurnMeasured(ledger))


async def _words(text: str) -> AsyncIterator[ReplyEvent]:
    """Words that are known beforehand, as a language model would stream them."""
    yield TextDelta(text)
