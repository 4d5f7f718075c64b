# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent on a call: the session gets the leg's audio, the record gets what was said, the metrics get every turn."""

import contextlib
import time
import weakref
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, replace
from typing import assert_never

import structlog

from agent.call_facts import CallFacts
from agent.config import AgentConfig
from agent.conversation import History
from agent.dialogue import AgentServices
from agent.do_not_call import asks_not_to_be_called
from agent.early_ear import EarlyEar
from agent.early_stt import EarlyStt
from agent.early_talk import EarlyTalk
from agent.errors import ToolFailed
from agent.events import (
    AgentEvent,
    CallerProsody,
    FarEndKnown,
    HangUpRequested,
    IntentRecognized,
    LanguageDetected,
    ReplyFinished,
    ReplyInterrupted,
    ReplyPrepared,
    ReplyStarted,
    ServiceFailed,
    SilencePrompted,
    ToolUsed,
    TranscriptPartial,
    TurnCommitted,
    TurnMeasured,
    TurnReopened,
)
from agent.interpreter import Translator, interpreter_config
from agent.realtime_session import RealtimeSession
from agent.redaction import Kind, Redactor
from agent.services.llm import LanguageModel
from agent.session import AgentSession
from agent.speech import MakeSpeechModel
from agent.talk_order import talk_order
from agent.tools.tool import CallControl
from gateway.api.control import ActivityKind
from gateway.calls.activity import Activity
from gateway.calls.call import Call
from gateway.calls.early_ear import EarlyListener
from gateway.calls.expected import Expected, WarmVoice
from gateway.calls.memory import CallerMemories, CallMemory
from gateway.calls.redaction import Redaction, told_of
from gateway.calls.uplink import LineReport, Uplink
from gateway.lookup import CallLookup
from gateway.store.records import Role, TranscriptEntry, TurnRecord
from gateway.streams.relay import relay_config
from media.frames import PcmFrame
from media.noise import Strength
from media.playout import PlayoutEvent

log = structlog.get_logger(__name__)

_MESSAGE_LEFT = "voicemail_message"
"""Why an agent hangs up when a machine has recorded all of its message (agent/far_end.py)."""
_USUAL_HZ = 8_000
_PARTIALS_S = 0.25
"""Between two partial transcripts of a call."""


class AgentActivity:
    """Joins an `AgentSession`, or a `RealtimeSession`, to a call."""

    kind: ActivityKind = "agent"
    hears_keys = True

    def __init__(
        self,
        call: Call,
        config: AgentConfig,
        services: AgentServices,
        make_speech_model: MakeSpeechModel,
        uplink: Uplink,
        follow: Callable[[AgentEvent], None] | None = None,
        history: History | None = None,
        memory: CallMemory | None = None,
        control: CallControl | None = None,
        early_ear: EarlyEar | None = None,
        redact: tuple[Kind, ...] = (),
    ) -> None:
        """`follow` is told what the session tells us. `history`: the agent had this call before. `memory`: what is
        remembered of the caller; None: nothing is. `control`: what its tools may do to the call.
        `early_ear`: what has listened until the answer of a call that we placed. `redact`: if the agent does not say
        what is taken out of the record."""
        self._call = call
        self._memory = memory
        self._control = control
        self._follow = follow
        self._uplink = uplink
        facts = call.facts
        names = [value for key, value in facts.metadata.items() if "name" in key.lower()]
        self._redaction = Redaction(redact if config.redact is None else config.redact, told_of(call), names)
        is_inbound = facts.direction == "inbound"
        self.caller = facts.from_ if is_inbound else facts.to
        told = CallFacts(
            call.call_id,
            self.caller,
            facts.metadata,
            is_placed=not is_inbound,
            elapsed_s=call.elapsed_ms(time.monotonic()) / 1000,
        )
        self._session: AgentSession | RealtimeSession
        if services.realtime is not None:
            self._session = RealtimeSession(
                config,
                services.realtime,
                call.leg,
                self._receive,
                facts=told,
                history=history,
                utterance_ids=call.leg.utterance_ids,
                toolbox=services.tools,
                control=control,
                phrases=services.phrases,
            )
        else:
            self._session = AgentSession(
                config,
                services,
                call.leg,
                make_speech_model,
                self._receive,
                facts=told,
                history=history,
                utterance_ids=call.leg.utterance_ids,
                is_engaged=call.is_engaged,
                control=control,
                caller_energy=lambda: uplink.caller_energy,
                early_ear=early_ear,
            )
        self._said: dict[int, TurnCommitted] = {}
        """Turns of the caller that are not in the record yet: they may be reopened until they are answered."""
        self._last_partial = ""
        """Of a turn that is not over: who is angry hangs up before it is."""
        self._next_partial_at = 0.0
        self._first_turn = call.turn_count
        """What the session counts from 0."""

    @property
    def line(self) -> LineReport:
        return self._uplink.report

    def go_on(self, dumped: str, *, apologize: bool) -> None:
        """Be what another gateway's agent was on this call; to be called before `run`. Raises `ValueError`."""
        self._session.go_on(dumped, apologize=apologize)

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        passed = self._uplink.process(frames)
        self._session.feed(passed, suspicious=self._uplink.suspects_caller)

    def receive_playout(self, event: PlayoutEvent) -> None:
        self._session.playout(event)

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        self._session.dtmf(digit, secret=secret)

    def audio_changed(self) -> None:
        self._session.audio_changed(self._call.leg.sample_rate_hz)

    async def run(self) -> str:
        self._call.leg.tap_sent(self._uplink.receive_sent)
        self._call.awaits_secret_keys = lambda: self._session.keeps_keys_secret
        try:
            if self._memory is not None:
                await self._memory.begin(self._session)
                self._redaction.know_name(self._session.history.memory.caller_name)
            return await self._session.run()
        finally:
            self._call.leg.untap_sent(self._uplink.receive_sent)
            self._call.awaits_secret_keys = lambda: False
            for turn_index in list(self._said):
                self._record_caller(turn_index)
            self._redaction.flush()
            self._heed(self._last_partial)
            if self._memory is not None:
                self._memory.end(self._redaction.recollection)

    @property
    def session(self) -> AgentSession:
        """Of agents that are no single service."""
        assert isinstance(self._session, AgentSession), "a speech-to-speech service has no such session"
        return self._session

    @property
    def history(self) -> History:
        """What was said."""
        return self._session.history

    def _receive(self, event: AgentEvent) -> None:
        if self._follow is not None:
            self._follow(event)
        match event:
            case TurnCommitted():
                self._said[event.turn_index] = event
                self._last_partial = ""
                self._call.turn_count = self._first_turn + event.turn_index + 1
                if isinstance(self._session, RealtimeSession):  # it opens no turn again
                    self._record_caller(event.turn_index)
            case TurnReopened():
                self._said.pop(event.turn_index, None)
            case ReplyStarted():
                self._record_caller(event.turn_index)
            case ReplyFinished():
                self._record_agent(event, event.text, interrupted=False)
                self._remember(event.text, event.turn_index)
            case ReplyInterrupted():
                self._record_agent(event, event.heard_text, interrupted=True)
                self._remember(event.heard_text, event.turn_index)
            case TurnMeasured(ledger):
                self._call.metrics.turn_measured(ledger.response_ms, ledger.segments_ms, ledger.own_ms)
                turn = TurnRecord(
                    index=self._first_turn + ledger.turn_index,
                    segments_ms=ledger.segments_ms,
                    response_ms=ledger.response_ms,
                    speculative=ledger.speculative,
                    interrupted=ledger.interrupted,
                )
                self._call.journal.turn(self._call.call_id, turn)
                self._call.publish("turn.measured", own_ms=ledger.own_ms, **turn.model_dump())
            case TranscriptPartial():
                self._last_partial = event.text
                self._tell_partial(event, time.monotonic())
            case SilencePrompted():
                self._call.publish("silence.prompted", number=event.number, text=self._redaction.plain(event.text))
            case IntentRecognized():
                self._call.publish(
                    "intent.recognized",
                    turn_index=self._first_turn + event.turn_index,
                    label=event.label,
                    score=round(event.score, 3),
                    is_final=event.is_final,
                )
            case ToolUsed():
                self._record_tool(event)
            case ReplyPrepared():
                self._call.metrics.speculations.labels(event.state).inc()
            case LanguageDetected(language):
                self._call.publish("language.detected", language=language)
            case FarEndKnown(kind, cause, confidence):
                self._call.know_far_end(kind, cause, confidence)
            case CallerProsody():
                self._call.publish("caller.prosody", **self._told(event))
            case HangUpRequested(reason):
                self._call.facts.message_left = reason == _MESSAGE_LEFT
            case ServiceFailed():
                pass  # `run` returns the reason, the session logs failures
            case _:
                assert_never(event)

    def _told(self, prosody: CallerProsody) -> dict[str, object]:
        return {
            **asdict(prosody),
            "turn_index": self._first_turn + prosody.turn_index,
            "pauses_ms": list(prosody.pauses_ms),
            "cues": list(prosody.cues),
        }

    def _tell_partial(self, partial: TranscriptPartial, now: float) -> None:
        """Only while somebody looks on, and not more often than he can read."""
        if self._call.story.is_watched and now >= self._next_partial_at:
            self._next_partial_at = now + _PARTIALS_S
            turn_index = self._first_turn + partial.turn_index
            text = self._redaction.partial(partial.text)
            self._call.publish("transcript.partial", turn_index=turn_index, text=text)

    def _record_caller(self, turn_index: int | None) -> None:
        said = self._said.pop(turn_index, None) if turn_index is not None else None
        if said is not None:
            self._record("user", said.text, None, said.started_at, said.ended_at, interrupted=False)
            self._heed(said.text)
            if self._memory is not None:
                self._memory.receive_caller(said.text)

    def _heed(self, text: str) -> None:
        """Whoever does not want to be called any more will not be."""
        if self._control is not None and asks_not_to_be_called(text):
            with contextlib.suppress(ToolFailed):  # it is not known who they are
                self._control.do_not_call()

    def _remember(self, heard_text: str, turn_index: int | None) -> None:
        if self._memory is not None:
            self._memory.receive_agent(heard_text, is_answer=turn_index is not None)

    def _record_agent(self, reply: ReplyFinished | ReplyInterrupted, heard: str, *, interrupted: bool) -> None:
        if reply.sources and reply.turn_index is not None:
            turn_index = self._first_turn + reply.turn_index
            self._call.publish("knowledge.used", turn_index=turn_index, sources=list(reply.sources))
        times = reply.started_at, reply.ended_at
        self._record("assistant", reply.text, heard, *times, interrupted=interrupted, sources=reply.sources)

    def _record_tool(self, used: ToolUsed) -> None:
        """Without what it was given and what it gave: that may be personal, and is of no use without the model."""
        took_s = used.ended_at - used.started_at
        self._call.metrics.tool_seconds.labels(used.outcome).observe(took_s)
        self._call.publish("tool.called", name=used.tool, outcome=used.outcome, took_ms=round(took_s * 1e3))
        entry = TranscriptEntry(
            role="tool",
            text=f"{used.tool}: {used.outcome}",
            started_ms=self._call.elapsed_ms(used.started_at),
            ended_ms=self._call.elapsed_ms(used.ended_at),
        )
        self._redaction.receive(entry)

    def _record(
        self,
        role: Role,
        text: str,
        heard: str | None,
        started_at: float,
        ended_at: float,
        *,
        interrupted: bool,
        sources: tuple[str, ...] = (),
    ) -> None:
        entry = TranscriptEntry(
            role=role,
            text=text,
            started_ms=self._call.elapsed_ms(started_at),
            ended_ms=self._call.elapsed_ms(ended_at),
            interrupted=interrupted,
            heard_text=heard,
            sources=sources,
        )
        self._redaction.receive(entry)


class ConfiguredAgents:
    """The agents of the configuration, with the services they name."""

    def __init__(
        self,
        configs: Mapping[str, AgentConfig],
        services: Mapping[str, AgentServices],
        make_speech_model: MakeSpeechModel,
        *,
        echo_gate: bool = True,
        suppress_noise: Strength | None = None,
        lookups: Mapping[str, CallLookup] = {},
        memories: CallerMemories | None = None,
        warm_voice: Mapping[str, WarmVoice] = {},
        redact: tuple[Kind, ...] = (),
        redact_streams: bool = False,
    ) -> None:
        """`memories`: None: no caller is remembered, no call resumed. `warm_voice`: of agents whose voice is a
        service. `redact`: what is taken out of the record where an agent does not say; `redact_streams`: also out of
        what text backends get."""
        self.memories = memories
        self._configs = dict(configs)
        self._services = services
        self._make_speech_model = make_speech_model
        self._echo_gate = echo_gate
        self._suppress_noise = suppress_noise
        self._redact = redact
        self._redact_streams = redact_streams
        self._lookups = lookups
        self.control_of: Callable[[Call], CallControl] | None = None
        """What tools may do to a call; the switchboard has it. None: agents have no tools."""
        self._warm_voice = warm_voice
        self._early_talks: weakref.WeakKeyDictionary[Call, tuple[str, EarlyTalk]] = weakref.WeakKeyDictionary()
        """Of the calls that ring, with the agent."""
        self._expected: weakref.WeakKeyDictionary[Call, Expected] = weakref.WeakKeyDictionary()
        """The calls that ring, or rang, and whose agent uses services."""
        self._early_listeners: weakref.WeakKeyDictionary[Call, EarlyListener] = weakref.WeakKeyDictionary()
        """Of calls that we placed and that ring."""
        self._leg_hz = _USUAL_HZ
        """Of the last call: the next is probably no other."""
        self._histories: weakref.WeakKeyDictionary[Call, dict[str, History]] = weakref.WeakKeyDictionary()
        """Of the calls that stand, by agent."""
        self._dumps: weakref.WeakKeyDictionary[Call, tuple[str, bool]] = weakref.WeakKeyDictionary()
        """Histories of calls that another gateway had."""

    def dump(self, call: Call) -> str | None:
        """The conversation of the agent that has this call; None: none has."""
        history = self._histories.get(call, {}).get(call.facts.agent or "")
        return None if history is None else history.dump()

    def load(self, call: Call, dumped: str, *, apologize: bool) -> None:
        """The agent that is to begin on this call goes on with this conversation; `apologize`: after a silence."""
        self._dumps[call] = (dumped, apologize)

    def __contains__(self, name: str) -> bool:
        return name in self._configs

    def change(self, name: str, prompt: str, greeting: str) -> None:
        """What the agent is told to be from the next call on."""
        self._configs[name] = self._configs[name].model_copy(update={"prompt": prompt, "greeting": greeting})

    async def prepare(self, name: str) -> None:
        """Render its greeting, so that the next call need not wait. Raises `ServiceError`."""
        phrases, greeting = self._services[name].phrases, self._configs[name].greeting
        if greeting and phrases is not None:
            await phrases.prepare((greeting,))

    def expect(self, call: Call) -> Coroutine[object, object, None] | None:
        """What is to be run while this call rings, so that services are there when it is answered; None: nothing."""
        name = call.facts.agent or ""
        config = self._configs.get(name)
        if config is None:
            return None
        service = self._services[name].realtime
        if service is not None:
            toolbox = self._services[name].tools
            tools = toolbox.specs() if toolbox is not None and self.control_of is not None else ()
            config = _as_ordered(config, call)
            fresh = History(config.prompt)
            talk = EarlyTalk(service, talk_order(config, self._leg_hz, fresh, tools, config.greeting))
            self._early_talks[call] = (name, talk)
            return talk.hold(call.until_over)
        config = _as_ordered(config, call)
        if call.facts.direction == "outbound" and config.far_end.recognize:
            self._early_listeners[call] = EarlyListener(call, name, config, self._make_speech_model)
        early = None
        if config.stt != "local":
            stt = self._services[name].stt
            early = EarlyStt(stt, sample_rate_hz=self._leg_hz, hints=config.hints, language=config.language)
        warm_voice = self._warm_voice.get(name)
        own_greeting = None
        if config.greeting != self._configs[name].greeting:
            own_greeting = (self._services[name].phrases.of_call(), config.greeting)
        if early is None and warm_voice is None and own_greeting is None:
            return None
        expected = self._expected[call] = Expected(name, early, warm_voice, self._leg_hz, own_greeting)
        return expected.run(call.until_over)

    def start(self, name: str, call: Call) -> Activity:
        """The activity of this agent on this call, whose audio is there. An agent that gets a call back goes on with
        the conversation that it had."""
        config = _as_ordered(self._configs[name], call)
        call.keys_secret = call.keys_secret or config.secret_keys
        call.assign(name)
        before = self._histories.setdefault(call, {})
        services = self._services[name]
        self._leg_hz = call.leg.sample_rate_hz
        expected = self._expected.pop(call, None)
        if expected is not None:
            expected.answered(self._leg_hz)
            if expected.agent == name and expected.stt is not None:
                services = replace(services, stt=expected.stt)
            if expected.agent == name and expected.phrases is not None:
                services = replace(services, phrases=expected.phrases)
        early_agent, early_talk = self._early_talks.pop(call, ("", None))
        if early_talk is not None and early_agent == name:
            services = replace(services, realtime=early_talk)
        listener = self._early_listeners.pop(call, None)
        early_ear = None if listener is None else listener.answered()
        activity = AgentActivity(
            call,
            config,
            services,
            self._make_speech_model,
            self._uplink(call),
            history=before.get(name),
            memory=None if self.memories is None else self.memories.of_call(call, name, config),
            control=None if self.control_of is None else self.control_of(call),
            early_ear=early_ear,
            redact=self._redact,
        )
        dumped = self._dumps.pop(call, None)
        if dumped is not None:
            with contextlib.suppress(ValueError):  # of another version: it begins anew
                activity.go_on(dumped[0], apologize=dumped[1])
        before[name] = activity.history
        if name in self._lookups:
            self._lookups[name].begin(activity.caller, call.facts.metadata)
        return activity

    def converse(
        self, name: str | None, call: Call, llm: LanguageModel, follow: Callable[[AgentEvent], None]
    ) -> AgentActivity:
        """Like an agent of this name, or one without a greeting, whose language model is another."""
        config = AgentConfig(greeting="") if name is None else self._configs[name]
        services = replace(self._services[name or next(iter(self._services))], llm=llm, realtime=None)
        call.keys_secret = call.keys_secret or config.secret_keys
        return AgentActivity(
            call,
            relay_config(config),
            services,
            self._make_speech_model,
            self._uplink(call),
            follow,
            redact=self._redact,
        )

    def redacts(self, name: str | None) -> tuple[Kind, ...]:
        """What is taken out of the record of this agent's calls."""
        kinds = None if name is None else self._configs[name].redact
        return self._redact if kinds is None else kinds

    def for_streams(self, name: str | None) -> Callable[[str], str]:
        """What a text backend may read of what was said."""
        if not self._redact_streams:
            return lambda text: text
        return Redactor(self.redacts(name)).redact

    def interpreter(
        self, name: str, call: Call, other: Call, languages: tuple[str, str], follow: Callable[[AgentEvent], None]
    ) -> tuple[AgentSession, Uplink]:
        """See `gateway.calls.interpreting.Interpreters`."""
        source, target = languages
        services = self._services[name]
        config = interpreter_config(self._configs[name], source, self._configs[name].voices.get(target))
        session = AgentSession(
            config,
            replace(services, llm=Translator(services.llm, source, target), sources=(), prosody=None),
            other.leg,
            self._make_speech_model,
            follow,
            utterance_ids=other.leg.utterance_ids,
        )
        return session, self._uplink(call)

    def _uplink(self, call: Call) -> Uplink:
        return Uplink(call.leg.sample_rate_hz, echo_gate=self._echo_gate, suppress_noise=self._suppress_noise)


def _as_ordered(config: AgentConfig, call: Call) -> AgentConfig:
    """The agent as it is on this call."""
    return config if call.campaign is None else call.campaign.applied_to(config)
