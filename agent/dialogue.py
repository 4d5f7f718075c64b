# SPDX-License-Identifier: GPL-3.0-or-later
"""Our side of the conversation: the reply in progress, what was heard of the last ones, and what to say in trouble.

Answer, Announce > Reply (a task in Speaker) > playout events > ReplyAudible, ReplyOver / LastWordHeard
Withdraw, Interrupt > stop > what was heard goes into the history, what was not waits in `unsaid`
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import structlog

from agent.clauses import plain_text
from agent.config import AgentConfig
from agent.conversation import History
from agent.errors import ServiceError
from agent.events import (
    AgentEvent,
    AudioOut,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ServiceFailed,
    TurnCommitted,
    TurnMeasured,
    TurnReopened,
)
from agent.interruption import Saying
from agent.phrases import Phrases
from agent.reply import Reply, Speaker
from agent.services.context import ContextSource
from agent.services.llm import LanguageModel, ReplyEvent, TextDelta
from agent.services.stt import SpeechToText
from agent.services.tts import TextToSpeech
from agent.services.turn import TurnDetector
from agent.tasks import SessionTasks
from agent.thinking import Thinking
from agent.turn import Announce, Answer
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
    ) -> None:
        """`on_progress` says that `events` has something new, when that is not the effect of a call from outside."""
        self._phrases = config.phrases
        self._thinking = Thinking(services.llm, services.sources)
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
        self._out = out
        self._history = history
        self._tasks = tasks
        self._on_event = on_event
        self._on_progress = on_progress
        self._clock = clock
        self._reply: Reply | None = None
        """The one being prepared or spoken."""
        self._failures_in_a_row = 0
        self._events: list[ReplyProgress] = []
        self.unsaid = ""
        """What the caller's sound kept us from saying: to be said again if that turns out to have been no speech."""
        self._hang_up_after_unsaid: str | None = None

    def answer(self, answer: Answer) -> None:
        """Answer a turn."""
        self.note(answer)
        words = self._thinking.reply(self._history.snapshot())
        self._begin(Reply(answer.reply_id, answer.turn_index, answer.marks), words)

    def note(self, answer: Answer) -> None:
        """Enter a turn that gets no answer."""
        ended_at = answer.marks.spoken_at
        self._on_event(TurnCommitted(answer.turn_index, answer.text, answer.confidence, answer.started_at, ended_at))
        self._history.caller_said(answer.text)

    def announce(self, announce: Announce) -> None:
        """Say what is known beforehand."""
        if announce.words is not None:
            self._begin(Reply(announce.reply_id), announce.words)
            return
        hang_up = self._hang_up_after_unsaid if announce.text == self.unsaid else None
        self._begin(
            Reply(announce.reply_id, announcement=plain_text(announce.text), hang_up=hang_up), _words(announce.text)
        )

    def withdraw(self) -> None:
        """Drop the reply: nothing of it was audible, and the turn it answered goes on."""
        reply = self.stop()
        if reply is not None and reply.turn_index is not None:
            self._history.take_back_caller()
            self._on_event(TurnReopened(reply.turn_index))

    def stop(self) -> Reply | None:
        """Fall silent, at once; enter what was heard."""
        reply, self._reply = self._reply, None
        self._tasks.stop_reply()
        if reply is None:
            return None
        heard_text, self.unsaid = reply.split(self._out.clear())
        self._hang_up_after_unsaid = reply.hang_up
        started_at, now = reply.started_at, self._clock()
        if started_at is not None:
            self._history.agent_said(heard_text, interrupted=True)
            rendered = reply.spoken.text
            self._on_event(ReplyInterrupted(reply.reply_id, reply.turn_index, rendered, heard_text, started_at, now))
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

    async def _speak(self, reply: Reply, words: AsyncIterator[ReplyEvent]) -> None:
        await self._speaker.speak(reply, words)
        self._maybe_finish(reply, self._clock())
        self._on_progress()

    def _maybe_finish(self, reply: Reply, now: float) -> None:
        if self._reply is not reply or not reply.is_over:
            return
        self._reply = None
        if reply.turn_index is not None and not reply.has_failed:
            self._failures_in_a_row = 0
        if reply.started_at is not None:
            heard_text, _ = reply.split(Cleared())
            self._history.agent_said(heard_text, interrupted=False)
            self._on_event(ReplyFinished(reply.reply_id, reply.turn_index, heard_text, reply.started_at, now))
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
                interrupted=interrupted,
                **ledger.segments_ms,
            )
            self._on_event(TurnMeasured(ledger))


async def _words(text: str) -> AsyncIterator[ReplyEvent]:
    """Words that are known beforehand, as a language model would stream them."""
    yield TextDelta(text)
