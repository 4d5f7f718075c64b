# SPDX-License-Identifier: GPL-3.0-or-later
"""A call between a scripted caller and an agent with scripted services, in virtual time."""

import asyncio
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Self, TypeVar

from agent.call_facts import CallFacts
from agent.config import AgentConfig, TurnConfig
from agent.conversation import History
from agent.dialogue import AgentServices
from agent.events import AgentEvent
from agent.far_end_judge import FarEndJudge
from agent.intents import IntentClassifier
from agent.phrases import Phrases
from agent.services.context import ContextSource
from agent.services.llm import Message
from agent.services.prosody import ProsodyAnalyser
from agent.session import AgentSession
from agent.summary import Summarizer
from agent.tools.builtin import builtin_tools
from agent.tools.tool import Tool
from agent.tools.toolbox import Toolbox
from tests.fakes.leg import FakeLeg
from tests.fakes.services import ScriptedDetector, ScriptedLlm, ScriptedModel, ScriptedStt, ScriptedTts
from tests.fakes.tools import ScriptedControl

Event = TypeVar("Event")


QUICK = TurnConfig(clear_wait_ms=250, fluent_wait_ms=200, sure_wait_ms=200, max_wait_ms=700, open_wait_ms=1_000)
"""The model decides at once, whatever was said: for scenes that are not about when a turn ends."""


class Scene:
    """`async with Scene(...)` answers the call; leaving it hangs up."""

    def __init__(
        self,
        *,
        config: AgentConfig | None = None,
        llm: ScriptedLlm | None = None,
        tts: ScriptedTts | None = None,
        detector: ScriptedDetector | None = None,
        leg: FakeLeg | None = None,
        prepared: bool = True,
        history: History | None = None,
        summarizer: Summarizer | None = None,
        sources: Sequence[ContextSource] = (),
        intents: IntentClassifier | None = None,
        tools: Sequence[Tool] = (),
        is_placed: bool = False,
        prosody: ProsodyAnalyser | None = None,
        far_end_judge: FarEndJudge | None = None,
    ) -> None:
        """Without a greeting, unless `config` has one. `prepared`: apologies are rendered beforehand. `tools`: besides
        the built-in ones; the agent has those that `config.tools` names. `is_placed`: we called."""
        self.config = config or AgentConfig(greeting="", turn=QUICK)
        self.leg = leg or FakeLeg()
        self.stt = ScriptedStt(self.leg.utterances)
        self.llm = llm or ScriptedLlm()
        self.tts = tts or ScriptedTts()
        self.detector = detector or ScriptedDetector()
        self.events: list[AgentEvent] = []
        self.end_reason: str | None = None
        self.is_engaged = False
        """The caller is on hold, say."""
        self._history = history
        self._summarizer = summarizer
        self.utterance_ids = count(1)
        """Whoever plays into the leg takes the next."""
        self.control = ScriptedControl()
        self._is_prepared = prepared
        self._sources = tuple(sources)
        self._intents = intents
        self._tools = tuple(tools)
        self._is_placed = is_placed
        self._prosody = prosody
        self._far_end_judge = far_end_judge
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        phrases = Phrases(self.tts)
        if self._is_prepared:
            ready = ScriptedTts(first_byte_s=0.0)
            phrases = Phrases(ready)
            await phrases.prepare(
                [self.config.phrases.trouble, self.config.phrases.goodbye, *self.config.phrases.filler]
            )
        toolbox = Toolbox(self.config.tools, (*builtin_tools(self.config.transfers), *self._tools))
        services = AgentServices(
            self.stt,
            self.llm,
            self.tts,
            self.detector,
            phrases,
            sources=self._sources,
            intents=self._intents,
            tools=toolbox,
            summarizer=self._summarizer,
            prosody=self._prosody,
            far_end_judge=self._far_end_judge,
        )
        self.session = AgentSession(
            self.config,
            services,
            self.leg,
            ScriptedModel,
            self.events.append,
            utterance_ids=self.utterance_ids,
            clock=loop.time,
            facts=CallFacts("call-1", "sip:caller@example.com", is_placed=self._is_placed),
            history=self._history,
            control=self.control,
            is_engaged=lambda: self.is_engaged,
        )
        self.leg.on_frames = self.session.feed
        self.leg.on_playout = self.session.playout
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self.leg.run())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def all(self, kind: type[Event]) -> list[Event]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type[Event], count: int = 1, timeout_s: float = 60.0) -> Event:
        """Wait until there have been so many of a kind; return the last."""
        async with asyncio.timeout(timeout_s):
            while len(self.all(kind)) < count:  # noqa: ASYNC110 - virtual time: a poll costs nothing
                await asyncio.sleep(0.005)
        return self.all(kind)[count - 1]

    def audible_between(self, since: float, until: float) -> bool:
        """Whether any sound of ours went out in that span."""
        return any(packet.peak > 0 for packet in self.leg.packets if since < packet.sent_at <= until)

    def first_sound_after(self, since: float) -> float:
        """When we became audible."""
        return next(packet.sent_at for packet in self.leg.packets if packet.peak > 0 and packet.sent_at > since)

    @property
    def history(self) -> tuple[Message, ...]:
        """What the language model was last shown, without the prompt."""
        return tuple(message for message in self.llm.asked[-1].messages if message.role != "system")

    async def _run(self) -> None:
        self.end_reason = await self.session.run()
