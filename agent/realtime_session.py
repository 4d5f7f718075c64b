# SPDX-License-Identifier: GPL-3.0-or-later
"""One call's agent that is a single speech-to-speech service: it takes `AgentSession`'s place.

    leg's frames > TalkStream.push > service > AnswerSound > SpokenAnswer > leg
    the caller speaks (the service says so) > the leg's queue is cleared > what was really sent > TalkStream.heard

The service decides when a turn is over and what is said. Ours are the truth about what the caller heard, the record,
the ledger, the tools, the keys and the end of the call.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import count

import structlog

from agent.call_facts import CallFacts
from agent.clauses import plain_clauses
from agent.config import AgentConfig
from agent.conversation import History
from agent.errors import ServiceError
from agent.events import (
    AgentEvent,
    AudioOut,
    HangUpRequested,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ServiceFailed,
    ToolUsed,
    TranscriptPartial,
    TurnCommitted,
    TurnMeasured,
)
from agent.expectation import ExpectedKind
from agent.ledger import LedgerMarks, Stage
from agent.phrases import Phrases
from agent.realtime_answer import SpokenAnswer
from agent.secret_keys import SecretKeys
from agent.services.llm import ToolCall, ToolSpec
from agent.services.realtime import (
    AnswerBegun,
    AnswerEnded,
    AnswerFailed,
    AnswerSound,
    AnswerWords,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    SpeechToSpeech,
    TalkLost,
    TalkNews,
    TalkStream,
    ToolsDropped,
    ToolWanted,
)
from agent.talk_order import talk_order
from agent.tasks import SessionTasks
from agent.tools.running import Outcome, RunningTool, ToolRunner
from agent.tools.tool import CallControl, OnCall
from agent.tools.toolbox import Toolbox
from media.frames import PcmFrame, PcmSamples
from media.playout import PlayoutEvent, UtteranceFinished, UtteranceStarted

log = structlog.get_logger(__name__)

_PUMP_S = 0.1
"""How soon to offer audio again that the leg's queue had no room for."""
_HEARD_POLL_S = 0.02
_KEYS_PAUSE_S = 1.5
"""After the last key of an entry."""
_MAX_KEYS = 64
_HANG_UP = ToolSpec(
    "hang_up", "End the call, after a goodbye has been said.", {"type": "object", "properties": {}, "required": []}
)
_UNKNOWN_CALL = CallFacts()


class RealtimeSession:
    """One call's."""

    def __init__(
        self,
        config: AgentConfig,
        service: SpeechToSpeech,
        out: AudioOut,
        on_event: Callable[[AgentEvent], None],
        *,
        facts: CallFacts = _UNKNOWN_CALL,
        history: History | None = None,
        utterance_ids: Iterator[int] | None = None,
        toolbox: Toolbox | None = None,
        control: CallControl | None = None,
        phrases: Phrases | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`control`: what tools may do to the call; None: the agent can only end it. `phrases`: rendered ahead, for
        when the service is gone. The rest is `AgentSession`'s."""
        self._config = config
        self._service = service
        self._phrases = phrases
        self._out = out
        self._on_event = on_event
        self._clock = clock
        self._rate_hz = out.sample_rate_hz
        self._tasks = SessionTasks()
        self._utterance_ids = count(1) if utterance_ids is None else utterance_ids
        self._keys = SecretKeys(config.secret_keys)
        self._pressed = ""
        self.history = history or History(config.prompt, facts.caller, facts.metadata)
        self._opening: str | None = None
        self._tools: ToolRunner | None = None
        if toolbox is not None and control is not None:
            on_call = OnCall(facts.call_id, facts.caller, dict(facts.metadata), control, self)
            self._tools = ToolRunner(
                toolbox, on_call, config.tool_use, self.history, self._tasks.use_tool, self._tool_used, clock
            )
        self._running: dict[str, RunningTool] = {}
        self._talk: TalkStream | None = None
        self._early: list[PcmFrame] = []
        """The caller's, until the service is there."""
        self._answers: dict[int, SpokenAnswer] = {}
        """Those of which something is not sent yet, by utterance."""
        self._coming: SpokenAnswer | None = None
        self._reply_ids = count(1)
        self._turn_index = -1
        self._untold: deque[tuple[int, float, float]] = deque()
        """Turns whose words are not there yet: index, begin and end."""
        self._announcements = 0
        """What the service was asked to say and has not begun with."""
        self._turn_answered = True
        self._spoken_at = 0.0
        """The caller's last speech sample, and the first of the turn."""
        self._began_at = 0.0
        self._marks: LedgerMarks | None = None
        self._failures = 0
        self._hang_up_after: str | None = None
        self._hung_up: asyncio.Future[str] | None = None
        self._keys_timer: asyncio.TimerHandle | None = None
        self._pump_timer: asyncio.TimerHandle | None = None

    # What the call tells

    def feed(self, frames: list[PcmFrame], *, suspicious: bool = False) -> None:
        """The caller's next frames, flagged by `media.vad.mark_speech`."""
        for frame in frames:
            if frame.sample_rate_hz != self._rate_hz:
                self.audio_changed(frame.sample_rate_hz)
            if frame.has_speech:
                if self._turn_answered or not self._began_at:
                    self._began_at = frame.arrived_at
                    self._turn_answered = False
                self._spoken_at = frame.arrived_at
            if self._talk is not None:
                self._talk.push(frame.samples)
            else:
                self._early.append(frame)
                del self._early[:-250]

    def playout(self, event: PlayoutEvent) -> None:
        """What the leg has sent of ours."""
        answer = self._answers.get(event.utterance_id)
        if answer is None:
            return
        match event:
            case UtteranceStarted(sent_at=sent_at):
                answer.started_at = sent_at
                if answer.marks is not None:
                    answer.marks.mark(Stage.FIRST_PACKET_SENT, sent_at)
                self._on_event(ReplyStarted(answer.reply_id, answer.turn_index, sent_at))
            case UtteranceFinished(sent_at=sent_at):
                del self._answers[event.utterance_id]
                self._finish(answer, sent_at)

    def dtmf(self, digit: str, *, secret: bool = False) -> None:
        """A key the caller pressed; an entry is told to the service once a pause or `#` ends it."""
        self._pressed = (self._pressed + self._keys.press(digit, secret=secret))[-_MAX_KEYS:]
        if self._keys_timer is not None:
            self._keys_timer.cancel()
        wait_s = 0.0 if digit == "#" else _KEYS_PAUSE_S
        self._keys_timer = asyncio.get_running_loop().call_later(wait_s, self._tell_keys)

    def audio_changed(self, sample_rate_hz: int) -> None:
        """The leg has this rate from the next frame on."""
        self._rate_hz = sample_rate_hz
        if self._talk is not None:
            self._talk.audio_changed(sample_rate_hz)

    # What tools and the gateway ask for (agent.tools.tool.CallTalk)

    def take_secret_keys(self) -> str:
        """The secret keys since this was last asked."""
        return self._keys.take()

    @property
    def keeps_keys_secret(self) -> bool:
        """Whether a key that is pressed now is secret."""
        return self._keys.are_kept

    def keep_keys_secret(self, are_secret: bool, length: int | None) -> None:
        """See `SecretKeys.keep_next`."""
        self._keys.keep_next(are_secret, length)

    def expect_answer(self, kind: ExpectedKind, length: int | None) -> None:
        """Nothing: the service decides when a turn is over."""

    async def until_heard(self) -> None:
        """Until what was said so far has been sent."""
        while self._answers or self._coming is not None:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(_HEARD_POLL_S)

    def say(self, text: str, *, protected: bool = False) -> None:
        """Have the service say this."""
        if self._talk is not None and text.strip():
            self._announcements += 1
            self._talk.say(text)

    def go_on(self, dumped: str, *, apologize: bool) -> None:
        """Be the session that another process had on this call; to be called before `run`. `apologize`: the caller
        has heard a silence. Raises `ValueError`."""
        self.history.load(dumped)
        self.open_with(self._config.phrases.taken_over if apologize else "")

    def open_with(self, text: str) -> None:
        """Say this at the beginning, in place of the greeting; to be called before `run`."""
        self._opening = text

    def stop_speaking(self) -> None:
        """Stop what is being heard of us."""
        self._interrupt(self._clock())

    async def run(self) -> str:
        """Greet, unless something was said before, and converse until the agent hangs up; returns why."""
        self._hung_up = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks.begin(group)
                await self._open()
                reason = await self._hung_up
                self._tasks.cancel()
            return reason
        finally:
            self._interrupt(self._clock())
            self._tasks.cancel()
            for timer in (self._keys_timer, self._pump_timer):
                if timer is not None:
                    timer.cancel()
            if self._talk is not None:
                await self._talk.aclose()

    async def _open(self) -> None:
        tools = self._tools.specs() if self._tools is not None else (_HANG_UP,) if self._may_hang_up else ()
        greeting = self._opening if self._opening is not None else self._config.greeting
        if self._opening is None and not self.history.is_empty:
            greeting = ""
        order = talk_order(self._config, self._rate_hz, self.history, tools, greeting)
        try:
            self._talk = await self._service.open(order, self._receive)
        except ServiceError as error:
            self._on_event(ServiceFailed(error.service, error.retryable))
            log.warning("service_failed", service=error.service, detail=error.detail)
            self._give_up()
            return
        self._announcements += bool(greeting.strip())
        early, self._early = self._early, []
        for frame in early:
            self._talk.push(frame.samples)

    @property
    def _may_hang_up(self) -> bool:
        return any(fnmatchcase("hang_up", name) for name in self._config.tools)

    # What the service tells

    def _receive(self, news: TalkNews) -> None:
        now = self._clock()
        match news:
            case CallerStarted():
                self._interrupt(now)
            case CallerStopped():
                self._turn_over(now)
            case CallerSaid(text):
                self._caller_said(text)
            case AnswerBegun(answer_id):
                self._begin(answer_id, now)
            case AnswerSound(answer_id, samples, rate_hz):
                self._sound(answer_id, samples, rate_hz, now)
            case AnswerWords(answer_id, text):
                if self._coming is not None and self._coming.answer_id == answer_id:
                    self._coming.text += text
                else:
                    for answer in self._answers.values():
                        if answer.answer_id == answer_id:
                            answer.text += text
            case AnswerEnded(answer_id):
                self._ended(answer_id)
            case AnswerFailed(error):
                self._failed(error)
            case ToolWanted(call):
                self._use(call)
            case ToolsDropped(call_ids):
                for call_id in call_ids:
                    if (running := self._running.get(call_id)) is not None:
                        running.interrupt()
            case TalkLost(error):
                self._on_event(ServiceFailed(error.service, error.retryable))
                log.warning("service_failed", service=error.service, detail=error.detail)
                self._give_up()

    def _turn_over(self, now: float) -> None:
        spoken_at = self._spoken_at or now
        self._turn_index += 1
        self._untold.append((self._turn_index, min(self._began_at or spoken_at, spoken_at), spoken_at))
        self._marks = LedgerMarks(spoken_at)
        self._marks.mark(Stage.ARRIVAL, spoken_at)
        self._marks.mark(Stage.ENDPOINTING, now)
        self._marks.mark(Stage.STT_FINAL, now)

    def _caller_said(self, text: str) -> None:
        """The words may come after the answer to them has begun, and turns without any have none."""
        if not self._untold:
            self._turn_over(self._clock())
        index, began_at, ended_at = self._untold.popleft()
        if text:
            self.history.caller_said(text)
            self._on_event(TranscriptPartial(index, text))
            self._on_event(TurnCommitted(index, text, 0.0, began_at, ended_at))

    def _begin(self, answer_id: str, now: float) -> None:
        marks, self._marks = self._marks, None
        turn_index = self._turn_index if self._turn_index >= 0 else None
        if marks is not None:
            marks.mark(Stage.LLM_FIRST_TOKEN, now)
        elif self._announcements:
            self._announcements -= 1
            turn_index = None
        self._coming = SpokenAnswer(answer_id, next(self._utterance_ids), next(self._reply_ids), turn_index, marks)
        self._turn_answered = True

    def _sound(self, answer_id: str, samples: PcmSamples, rate_hz: int, now: float) -> None:
        answer = self._coming
        if answer is None or answer.answer_id != answer_id:
            return  # it was broken off
        if not answer.written_samples and answer.marks is not None:
            answer.marks.waited(answer.marks.spoken_at, now)
            for stage in (Stage.FIRST_CLAUSE, Stage.TTS_FIRST_BYTE):
                answer.marks.mark(stage, now)
        answer.receive(samples, rate_hz, self._out)
        self._answers[answer.utterance_id] = answer
        self._pump()
        if answer.marks is not None:
            answer.marks.mark(Stage.FIRST_SAMPLE_WRITTEN, self._clock())

    def _pump(self) -> None:
        """Write what waits; the leg's queue holds a minute or so, answers come faster than they are spoken."""
        for utterance_id in sorted(self._answers):
            if self._answers[utterance_id].write(self._out):
                if self._pump_timer is not None:
                    self._pump_timer.cancel()
                self._pump_timer = asyncio.get_running_loop().call_later(_PUMP_S, self._pump)
                return

    def _ended(self, answer_id: str) -> None:
        answer = self._coming
        if answer is not None and answer.answer_id == answer_id:
            self._coming = None
            answer.end(self._out)
            self._pump()
            self._failures = 0
            if answer.utterance_id not in self._answers:
                self._maybe_hang_up()

    def _interrupt(self, now: float) -> None:
        """Fall silent, and tell the service how much of each answer was sent."""
        if not self._answers and self._coming is None:
            return
        heard = {one.utterance_id: one.heard_samples for one in self._out.clear().utterances}
        rate_hz = self._out.sample_rate_hz
        answers, self._answers = self._answers, {}
        coming, self._coming = self._coming, None
        if coming is not None:
            answers.setdefault(coming.utterance_id, coming)
        for utterance_id, answer in sorted(answers.items()):
            heard_samples = heard.get(utterance_id, answer.written_samples if answer.started_at is not None else 0)
            if self._talk is not None:
                self._talk.heard(answer.answer_id, heard_samples * 1000 // rate_hz)
            if answer.started_at is None:
                continue
            heard_text = answer.heard_text(heard_samples)
            self.history.agent_said(heard_text, interrupted=True)
            self._on_event(
                ReplyInterrupted(
                    answer.reply_id, answer.turn_index, answer.text.strip(), heard_text, answer.started_at, now
                )
            )
            self._measure(answer, interrupted=True)
        for running in self._running.values():
            running.interrupt()

    def _finish(self, answer: SpokenAnswer, now: float) -> None:
        self.history.agent_said(answer.text.strip(), interrupted=False)
        started_at = answer.started_at if answer.started_at is not None else now
        self._on_event(ReplyFinished(answer.reply_id, answer.turn_index, answer.text.strip(), started_at, now))
        self._measure(answer, interrupted=False)
        self._maybe_hang_up()

    def _measure(self, answer: SpokenAnswer, *, interrupted: bool) -> None:
        if answer.marks is not None and answer.turn_index is not None:
            ledger = answer.marks.measure(answer.turn_index, interrupted=interrupted)
            if ledger is not None:
                self._on_event(TurnMeasured(ledger))

    def _failed(self, error: ServiceError) -> None:
        self._on_event(ServiceFailed(error.service, error.retryable))
        log.warning("service_failed", service=error.service, detail=error.detail)
        self._failures += 1
        if self._failures >= self._config.phrases.max_failures:
            self._hang_up("service_failure")
        elif self._talk is not None and error.retryable:
            self.say(self._config.phrases.trouble)

    def _give_up(self) -> None:
        """The service is gone: apologize with what was rendered ahead, and end the call."""
        self._interrupt(self._clock())
        trouble = self._config.phrases.trouble
        clauses = [None if self._phrases is None else self._phrases.get(one.text) for one in plain_clauses(trouble)]
        chunks = [chunk for clause in clauses for chunk in clause or ()]
        if not chunks:
            self._hang_up("service_failure")
            return
        self._hang_up_after = "service_failure"
        answer = SpokenAnswer("", next(self._utterance_ids), next(self._reply_ids), None, None, trouble)
        self._answers[answer.utterance_id] = answer
        for chunk in chunks:
            answer.receive(chunk.samples, chunk.sample_rate_hz, self._out)
        answer.end(self._out)
        self._pump()

    # Tools and keys

    def _use(self, wanted: ToolCall) -> None:
        assert self._talk is not None, "a service that is not there wants nothing"
        if self._tools is None:
            known = wanted.name == "hang_up" and self._may_hang_up
            if known:
                self._hang_up_after = "goodbye"
                self._maybe_hang_up()
            else:
                self._talk.tool_result(wanted.call_id, wanted.name, "Error: there is no such tool.")
            return
        running = self._tools.begin(wanted)
        self._running[wanted.call_id] = running
        if running.task is None:
            self._tool_over(wanted.call_id, wanted.name)
        else:
            running.task.add_done_callback(lambda _: self._tool_over(wanted.call_id, wanted.name))

    def _tool_over(self, call_id: str, name: str) -> None:
        running = self._running.pop(call_id, None)
        if running is not None and self._talk is not None and self._tasks.is_running:
            self._talk.tool_result(call_id, name, running.text)

    def _tool_used(self, tool: str, outcome: Outcome, started_at: float, ended_at: float) -> None:
        self._on_event(ToolUsed(tool, outcome, started_at, ended_at))

    def _tell_keys(self) -> None:
        pressed, self._pressed = self._pressed, ""
        if pressed:
            self._keys.receive_entry()
            text = f"[pressed {pressed}]"
            self.history.caller_said(text)
            self._turn_index += 1
            now = self._clock()
            self._on_event(TurnCommitted(self._turn_index, text, 1.0, now, now))
            if self._talk is not None:
                self._interrupt(now)
                self._talk.tell(text)

    def _maybe_hang_up(self) -> None:
        if self._hang_up_after is not None and not self._answers and self._coming is None:
            self._hang_up(self._hang_up_after)

    def _hang_up(self, reason: str) -> None:
        self._on_event(HangUpRequested(reason))
        if self._hung_up is not None and not self._hung_up.done():
            self._hung_up.set_result(reason)
