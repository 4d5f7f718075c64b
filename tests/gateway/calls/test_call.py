# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that one activity takes over from another, and one that lasts too long, in virtual time and without SIP."""

import asyncio
from types import SimpleNamespace
from typing import cast

from gateway.api.control import ActivityKind
from gateway.calls.activity import Activity
from gateway.calls.bridge import LinkedActivity
from gateway.calls.call import Call
from gateway.calls.campaign_order import CampaignOrder
from gateway.calls.facts import CallFacts
from gateway.calls.journal import Journal
from gateway.calls.recording import CallRecording, RecordingState
from gateway.events import EventBus
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallConfirmed
from gateway.store.records import Direction
from gateway.telemetry import Metrics
from media.keys import ToneDetection
from media.ports import CallAudio, PcmHub
from tests.fakes.leg import FakeLeg
from tests.fakes.virtual_time import in_virtual_time


class Leg(FakeLeg):
    """With what a call itself asks of its audio."""

    def detect_tones(self, mode: ToneDetection) -> None: ...

    def counters(self) -> SimpleNamespace:
        return SimpleNamespace(frames_dropped=0, frames_skipped=0, underruns=0, samples_refused=0)

    def close(self) -> None: ...


class Elsewhere:
    """Endpoint, journal and recording: nothing comes back from them."""

    state = RecordingState.OFF

    def began(self, facts: CallFacts) -> None: ...
    def answered(self, facts: CallFacts) -> None: ...
    def ended(self, facts: CallFacts, quality: object) -> None: ...
    async def answer(self, handle: str) -> None: ...
    async def hang_up(self, handle: str, code: int = 0, phrase: str = "", reason: object = None) -> None: ...
    async def close(self) -> None: ...


class Talker(LinkedActivity):
    """Has the call until it is taken from it."""

    kind: ActivityKind = "agent"

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()

    async def run(self) -> str:
        self.has_begun.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("it ends by cancellation only")


def call_of(first: Activity, leg: Leg, direction: Direction = "inbound", campaign: CampaignOrder | None = None) -> Call:
    nothing = Elsewhere()
    call = Call(
        CallFacts("call_1", direction, "+15550100", "+15550101"),
        cast(SipEndpoint, nothing),
        cast(PcmHub, None),
        cast(Journal, nothing),
        Metrics(),
        lambda call: first,
        cast(CallRecording, nothing),
        EventBus(),
        campaign=campaign,
    )
    call.audio = cast(CallAudio, leg)
    return call


@in_virtual_time
async def test_who_takes_a_call_over_is_neither_ducked_nor_paused_for_what_was_said_before() -> None:
    leg, first, second = Leg(), Talker(), Talker()
    call = call_of(first, leg)
    running = asyncio.create_task(call.run())
    await asyncio.sleep(0.01)
    call.receive(CallConfirmed("call_1"))
    await first.has_begun.wait()
    leg.duck(0.2)
    leg.pause()
    call.attendance.hand_over(lambda call: second)
    await second.has_begun.wait()
    assert (leg.gain, leg.is_paused) == (1.0, False)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@in_virtual_time
async def test_a_campaigns_call_is_ended_when_it_has_lasted_as_long_as_it_may() -> None:
    talker = Talker()
    call = call_of(talker, Leg(), "outbound", CampaignOrder(max_duration_s=60.0))
    running = asyncio.create_task(call.run())
    await asyncio.sleep(0.01)
    call.receive(CallConfirmed("call_1"))
    await talker.has_begun.wait()
    await asyncio.sleep(59.0)
    assert not call.is_ending
    await asyncio.sleep(2.0)
    assert call.is_ending
    facts = await call.until_done()
    assert facts.end_reason == "max_call"
    await running
