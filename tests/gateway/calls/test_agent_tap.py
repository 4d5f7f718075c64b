# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent listens to what we send for as long as it has the call, and no longer."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import cast

from agent.config import AgentConfig
from agent.dialogue import AgentServices
from agent.phrases import Phrases
from gateway.calls.agent import AgentActivity
from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.calls.uplink import Uplink
from media.frames import PcmFrame
from tests.fakes.leg import FakeLeg
from tests.fakes.services import ScriptedDetector, ScriptedLlm, ScriptedModel, ScriptedStt, ScriptedTts

Tap = Callable[[list[PcmFrame]], None]


class TappedLeg(FakeLeg):
    """Knows who listens to what we send."""

    def __init__(self) -> None:
        super().__init__()
        self.utterance_ids = count(1)
        self.taps: list[Tap] = []

    def tap_sent(self, tap: Tap) -> None:
        self.taps.append(tap)

    def untap_sent(self, tap: Tap) -> None:
        self.taps.remove(tap)


class TappedCall:
    """As much of a `Call` as an agent needs."""

    def __init__(self) -> None:
        self.facts = CallFacts("call_1", "inbound", "+15550100", "+15550101", answered_at=1.0)
        self.call_id = self.facts.call_id
        self.leg = TappedLeg()
        self.turn_count = 0

    def is_engaged(self) -> bool:
        return False

    def elapsed_ms(self, now: float) -> int:
        return 0


async def test_an_agent_that_never_had_the_call_leaves_no_tap_on_its_leg() -> None:
    call, tts = TappedCall(), ScriptedTts()
    services = AgentServices(ScriptedStt(call.leg.utterances), ScriptedLlm(), tts, ScriptedDetector(), Phrases(tts))
    config = AgentConfig(greeting="")
    agent = AgentActivity(cast(Call, call), config, services, ScriptedModel, Uplink(8000))
    assert call.leg.taps == []
    running = asyncio.create_task(agent.run())
    await asyncio.sleep(0)
    assert len(call.leg.taps) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert call.leg.taps == []
