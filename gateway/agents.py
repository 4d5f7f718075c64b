# SPDX-License-Identifier: GPL-3.0-or-later
"""Every configured agent with what it works with: offline engines and services in any mix, and what it always says,
rendered before it is needed.

A hosted voice renders in the background, again and again until it is there: the gateway starts without it, and calls
that are faster only wait as long as for any other sentence.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import structlog

from agent.clauses import plain_clauses
from agent.config import AgentConfig
from agent.dialogue import AgentServices
from agent.errors import ServiceError
from agent.far_end_judge import LlmFarEndJudge
from agent.intents import IntentSource
from agent.knowledge.library import Knowledge
from agent.local.engines import OfflineEngines
from agent.local.prosody import PooledProsody
from agent.local.receptionist import Receptionist
from agent.phrases import Phrases
from agent.rendering import words
from agent.services.context import ContextSource
from agent.services.llm import LanguageModel
from agent.services.stt import SpeechToText
from agent.services.tts import TextToSpeech
from agent.summary import LlmSummarizer
from agent.tools.toolbox import Toolbox
from gateway.calls.agent import ConfiguredAgents
from gateway.config import MediaConfig, RedactionConfig
from gateway.knowledge import answering_again, context_sources, intent_classifier, offline_receptionist
from gateway.lookup import CallLookup
from gateway.services import Services
from gateway.services.kinds import LOCAL
from gateway.telemetry import Metrics
from gateway.tools import ConfiguredTools, agent_tools
from gateway.work import Work, WorkBoard

log = structlog.get_logger(__name__)

_NOTHING_REDACTED = RedactionConfig()
_RENDER_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""After a service that speaks has failed; the last one again and again."""


class Staff:
    """The agents, while they are being made ready."""

    def __init__(
        self, configs: Mapping[str, AgentConfig], engines: OfflineEngines, services: Services, board: WorkBoard
    ) -> None:
        """`board`: has how far the rendering ahead is."""
        self._board = board
        self._configs = configs
        self._engines = engines
        self._services = services
        self._phrases: dict[str, Phrases] = {}
        self._offline: dict[str, Receptionist] = {}
        self.models: dict[str, LanguageModel] = {}
        """By agent: those that follow instructions, for work beside the conversation."""

    async def assemble(
        self,
        media: MediaConfig,
        tools: ConfiguredTools,
        knowledge: Mapping[str, Knowledge],
        metrics: Metrics,
        lookups: Mapping[str, CallLookup],
        redaction: RedactionConfig = _NOTHING_REDACTED,
    ) -> ConfiguredAgents:
        """Every agent; what the offline voice always says is rendered now, so that it is there at pick-up."""
        services = {}
        engines = self._engines
        for name, config in self._configs.items():
            tts = self._tts(config)
            phrases = self._phrases[name] = Phrases(tts, config.voice, style=config.voice_style.style)
            if config.tts == LOCAL:
                await phrases.prepare(_always_said(config))
            intents = await intent_classifier(config, engines)
            sources: list[ContextSource] = [] if intents is None else [IntentSource(intents)]
            receptionist = offline_receptionist(config, knowledge[name])
            summarizer, judge = None, None
            if config.llm == LOCAL:
                self._offline[name] = receptionist
                llm = self._services.local_llm(receptionist)
            else:
                sources += context_sources(config, knowledge[name])
                sources += [lookups[name]] if name in lookups else []
                model = self._services.llm(config.llm, receptionist)
                llm = answering_again(model, config, knowledge[name], engines, partial(_count_answer, metrics))
                summarizer, judge = LlmSummarizer(model), LlmFarEndJudge(model)
                self.models[name] = model
            services[name] = AgentServices(
                stt=self._stt(config),
                llm=llm,
                tts=tts,
                turn_detector=None if config.turn.detector == "none" else engines.turn_detector,
                phrases=phrases,
                sources=tuple(sources),
                intents=intents,
                tools=Toolbox(config.tools, agent_tools(config.transfers, tools), tools.sources),
                summarizer=summarizer,
                prosody=PooledProsody(engines.pool),
                far_end_judge=judge,
                joins_sentences=config.tts != LOCAL,
                realtime=None if config.realtime == "off" else self._services.realtime(config.realtime),
            )
        return ConfiguredAgents(
            self._configs,
            services,
            engines.new_vad,
            echo_gate=media.echo_gate,
            suppress_noise=None if media.noise_suppression == "off" else media.noise_suppression,
            lookups=lookups,
            redact=redaction.redact,
            redact_streams=redaction.streams,
            warm_voice={
                name: self._services.warm_voice(config.tts, config.voice)
                for name, config in self._configs.items()
                if config.tts != LOCAL and config.realtime == "off"
            },
        )

    async def render_ahead(self) -> None:
        """Render what the agents will say: hosted voices what they always say, the offline one all that the offline
        brain can answer. Returns when all of it is there."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._render_offline(), name="render-offline")
            for name, config in self._configs.items():
                if config.tts != LOCAL:
                    said = (*_always_said(config), *_asides(config))
                    rendering = self._render_hosted(name, said)
                    tasks.create_task(rendering, name=f"render-{name}")

    async def _render_hosted(self, name: str, said: Sequence[str]) -> None:
        with self._board.working("phrases", name, "sentences") as work:
            await render_until_there(name, self._phrases[name], said, work)

    async def _render_offline(self) -> None:
        """One clause after the other as replies will ask for them. Then most answers wait for no speech synthesis."""
        try:
            for name, receptionist in self._offline.items():
                config = self._configs[name]
                if config.tts != LOCAL:
                    continue
                said = (*_asides(config), *receptionist.sayings())
                with self._board.working("phrases", name, "sentences", len(said)) as work:
                    for done, saying in enumerate(said):
                        work.update(done)
                        for clause in plain_clauses(saying):
                            style = config.voice_style.style
                            async for _ in self._engines.tts.synthesize(words(clause), voice=config.voice, style=style):
                                pass
        except ServiceError as error:  # the engines have more urgent work; answers are rendered when they are needed
            log.warning("answers_not_rendered", cause=str(error))
        else:
            log.info("answers_rendered")

    def _stt(self, config: AgentConfig) -> SpeechToText:
        local = self._engines.stt
        return self._services.local_stt(local) if config.stt == LOCAL else self._services.stt(config.stt, local)

    def _tts(self, config: AgentConfig) -> TextToSpeech:
        local = self._engines.tts
        return self._services.local_tts(local) if config.tts == LOCAL else self._services.tts(config.tts, local)


async def render_until_there(agent: str, phrases: Phrases, said: Sequence[str], work: Work) -> None:
    """Render these, in this order; what fails is tried again and again, what is there already is not."""
    failures = 0
    while True:
        try:
            for done, text in enumerate(said):
                work.update(done, len(said))
                await phrases.prepare((text,))
        except ServiceError as error:
            work.update(work.facts.done, detail=str(error))
            wait_s = _RENDER_AGAIN_S[min(failures, len(_RENDER_AGAIN_S) - 1)]
            log.warning("phrases_not_rendered", agent=agent, cause=str(error), again_in_s=wait_s)
            failures += 1
            await asyncio.sleep(wait_s)
        else:
            work.update(len(said), detail="")
            log.info("phrases_rendered", agent=agent)
            return


def _count_answer(metrics: Metrics, outcome: str) -> None:
    metrics.answers.labels(outcome).inc()


def _always_said(config: AgentConfig) -> tuple[str, ...]:
    """The greeting first: the next caller hears it."""
    asides = config.tool_use.filler if set(config.tools) - {"hang_up"} else ()
    said = (config.greeting, config.phrases.trouble, config.phrases.goodbye, config.phrases.do_not_call)
    return tuple(text for text in (*said, *config.phrases.filler, *asides) if text)


def _asides(config: AgentConfig) -> Iterator[str]:
    """What an agent says of its own accord later on."""
    silence, memory = config.silence, config.memory
    if silence.reprompt_after_s:
        yield from (*silence.phrases, silence.goodbye)
    if silence.max_call_s:
        yield from (silence.call_ends_soon, silence.call_over)
    yield config.phrases.taken_over
    if memory.resume_within_s:
        yield memory.welcome_back
    if memory.remember == "ask":
        yield memory.ask
