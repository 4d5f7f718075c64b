# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents that lose a call and get it back."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from agent.config import AgentConfig
from agent.dialogue import AgentServices
from agent.phrases import Phrases
from agent.services.stt import Transcript
from agent.session import AgentSession
from gateway.calls.agent import AgentActivity, ConfiguredAgents
from gateway.calls.call import Call
from gateway.calls.campaign_order import CampaignOrder
from gateway.calls.facts import CallFacts
from gateway.store.records import TranscriptEntry, TurnRecord
from tests.fakes.leg import FakeLeg
from tests.fakes.services import ScriptedDetector, ScriptedLlm, ScriptedModel, ScriptedStt, ScriptedTts
from tests.fakes.tools import ScriptedControl
from tests.fakes.virtual_time import in_virtual_time


@pytest.fixture(autouse=True)
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions take the time of the test's loop."""
    defaults = AgentSession.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "clock", lambda: asyncio.get_running_loop().time())


class Line(FakeLeg):
    """A leg whose sent audio may be listened to."""

    utterance_ids = iter(range(1, 1000))

    def tap_sent(self, ear: object) -> None: ...

    def untap_sent(self, ear: object) -> None: ...


class LineCall:
    """As much of a `Call` as an agent needs; its own journal and metrics."""

    def __init__(self) -> None:
        self.facts = CallFacts("call_1", "inbound", "+15550100", "+15550101", answered_at=1.0)
        self.call_id = self.facts.call_id
        self.leg = Line()
        self.journal = self.metrics = self.story = self
        self.is_watched = False
        self.campaign: CampaignOrder | None = None
        self.keys_secret = False
        self.awaits_secret_keys: Callable[[], bool] = lambda: False
        self.turn_count = 0
        self.assigned: list[str] = []
        self.entries: list[str] = []
        self.turns: list[int] = []

    def assign(self, agent: str) -> None:
        self.assigned.append(agent)

    def is_engaged(self) -> bool:
        return False

    def elapsed_ms(self, now: float) -> int:
        return 0

    def said(self, call_id: str, entry: TranscriptEntry) -> None:
        self.entries.append(entry.text)

    def turn(self, call_id: str, turn: TurnRecord) -> None:
        self.turns.append(turn.index)

    def turn_measured(self, response_ms: float, segments_ms: dict[str, float], own_ms: float) -> None: ...

    def publish(self, kind: str, **data: object) -> None: ...


class Attended:
    """`async with`: this agent has the call."""

    def __init__(self, agents: ConfiguredAgents, call: LineCall, name: str) -> None:
        self.activity = cast(AgentActivity, agents.start(name, cast(Call, call)))
        call.leg.on_playout = self.activity.receive_playout

    async def __aenter__(self) -> AgentActivity:
        self._task = asyncio.create_task(self.activity.run())
        return self.activity

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def two_agents(call: LineCall, stt: ScriptedStt | None = None) -> ConfiguredAgents:
    tts = ScriptedTts()
    stt = stt or ScriptedStt(call.leg.utterances)
    services = AgentServices(stt, ScriptedLlm(), tts, ScriptedDetector(), Phrases(tts))
    configs = {"desk": AgentConfig(greeting="Desk here."), "night": AgentConfig(greeting="Night desk here.")}
    return ConfiguredAgents(configs, dict.fromkeys(configs, services), ScriptedModel, echo_gate=False)


@in_virtual_time
async def test_an_agent_that_gets_a_call_back_does_not_greet_again_and_remembers() -> None:
    call = LineCall()
    agents, clock = two_agents(call), asyncio.create_task(call.leg.run())
    async with Attended(agents, call, "desk"):
        await asyncio.sleep(5)
        assert call.entries == ["Desk here."]
    async with Attended(agents, call, "night"):
        await asyncio.sleep(5)
        assert call.entries == ["Desk here.", "Night desk here."]
    async with Attended(agents, call, "desk") as again:
        await asyncio.sleep(5)
        assert call.entries == ["Desk here.", "Night desk here."]
        heard = [message.text for message in again.session.history.snapshot().messages if message.role != "system"]
        assert heard == ["Desk here."]
    assert call.assigned == ["desk", "night", "desk"]
    clock.cancel()


@in_virtual_time
async def test_an_agent_of_which_nothing_was_heard_greets_when_the_call_comes_back() -> None:
    call = LineCall()
    agents, clock = two_agents(call), asyncio.create_task(call.leg.run())
    async with Attended(agents, call, "desk"):
        pass
    async with Attended(agents, call, "desk"):
        await asyncio.sleep(5)
    assert call.entries == ["Desk here."]
    clock.cancel()


@in_virtual_time
async def test_turns_are_counted_on_when_a_call_comes_back() -> None:
    call = LineCall()
    agents, clock = two_agents(call), asyncio.create_task(call.leg.run())
    for _ in range(2):
        async with Attended(agents, call, "desk") as activity:
            call.leg.on_frames = activity.session.feed
            await asyncio.sleep(5)
            await call.leg.speak("what time do you open")
            await asyncio.sleep(5)
    assert call.turns == [0, 1]
    clock.cancel()


@in_virtual_time
async def test_the_call_knows_when_the_agent_awaits_secret_keys() -> None:
    call = LineCall()
    async with Attended(two_agents(call), call, "desk") as desk:
        await asyncio.sleep(0)
        assert not call.awaits_secret_keys()
        desk.session.keep_keys_secret(True, 4)
        assert call.awaits_secret_keys()
    assert not call.awaits_secret_keys()


@pytest.mark.parametrize("said", ["please take me off your list", "please take me off hold"])
@pytest.mark.parametrize("stays_s", [0.1, 10.0])
@in_virtual_time
async def test_who_does_not_want_to_be_called_is_heard_even_when_they_hang_up_in_anger(
    said: str, stays_s: float
) -> None:
    call, control = LineCall(), ScriptedControl()
    stt = ScriptedStt(call.leg.utterances)
    agents, clock = two_agents(call, stt), asyncio.create_task(call.leg.run())
    agents.control_of = lambda _: control
    async with Attended(agents, call, "desk") as activity:
        call.leg.on_frames = activity.session.feed
        await asyncio.sleep(5)
        await call.leg.speak(said)
        stt.streams[-1].on_partial(Transcript(said, False, 0.9))
        await asyncio.sleep(stays_s)
        if stays_s < 1:
            assert not control.done  # they may go on: "... in the waiting room"
    assert [done for done, _ in control.done] == (["do_not_call"] if "list" in said else [])
    clock.cancel()
